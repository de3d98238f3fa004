"""``autosched predict``: the device model beside a profile of a real card."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = ("autosched predict ops_perf_results.csv", "autosched predict profile.csv --json")


def predict(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE.CSV", show_default=False, help="An ops_perf_results CSV."),
    ],
    arch: options.Arch = None,
    as_json: options.Json = False,
) -> None:
    """Compare predicted with measured times, op by op and in total."""
    from autosched.cost.prediction import predict_profile  # noqa: PLC0415 - the help starts quickly
    from autosched.report.calibrations import print_prediction  # noqa: PLC0415 - as above

    with opened_output(as_json) as output:
        report = predict_profile(file, arch=arch)
        print_prediction(output.console, report)
        output.result(report.to_plain())
