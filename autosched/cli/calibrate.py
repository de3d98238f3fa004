"""``autosched calibrate``: fit the device model to profiles of real cards."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = (
    "autosched calibrate ops_perf_results.csv",
    "autosched calibrate wormhole_*.csv blackhole_*.csv -o coefficients/ --json",
)


def calibrate(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", show_default=False, help="ops_perf_results CSV files."),
    ],
    output_place: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="PLACE", help="Directory, or .json file, to write them to."
        ),
    ] = None,
    ttnn_version: Annotated[
        str, typer.Option(metavar="VERSION", help="ttnn that the profiles were made with.")
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Fit the device model's coefficients to profiles, and judge them on held-out layers."""
    from autosched.cost.calibration import (  # noqa: PLC0415 - the help starts quickly
        calibrate as fit_profiles,
    )
    from autosched.cost.calibration import write_coefficients  # noqa: PLC0415 - as above
    from autosched.report.calibrations import print_calibration  # noqa: PLC0415 - as above
    from autosched.report.console import say  # noqa: PLC0415 - as above

    with opened_output(as_json) as output:
        report = fit_profiles(files, ttnn_version)
        print_calibration(output.console, report)
        written = () if output_place is None else write_coefficients(report, output_place)
        for path in written:
            say(output.console, f"Written: {path}")
        output.result({**report.to_plain(), "written": [str(path) for path in written]})
