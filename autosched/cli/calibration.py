"""``autosched calibrate`` and ``predict``: the device model held against profiles of real cards."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.report.output import opened_output

CALIBRATE_EXAMPLES = (
    "autosched calibrate ops_perf_results.csv --save my-card --ttnn-version 0.81.1",
    "autosched calibrate -o coefficients/ --json",
)


def calibrate(  # noqa: PLR0913, PLR0917 - one parameter per option
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILES...]",
            show_default=False,
            help="ops_perf_results CSV files; none for what autosched's own model is made from.",
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep it in the database, where searches find it."),
    ] = None,
    output_place: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="PLACE", help="Directory, or .json file, to write them to."
        ),
    ] = None,
    ttnn_version: Annotated[
        str, typer.Option(metavar="VERSION", help="ttnn that the profiles were made with.")
    ] = "",
    arch: options.Arch = None,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Fit from the priors alone, not from the shipped model."),
    ] = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Fit the device model's coefficients to profiles, judged on held-out layers and networks."""
    from autosched.cost.calibration.calibration import fit_coefficients as fit_profiles
    from autosched.cost.calibration.calibration import shipped_coefficients, write_coefficients
    from autosched.cost.model_choice import keep_calibration
    from autosched.report.output import say
    from autosched.report.tables import print_calibration
    from autosched.store.database import open_store

    with opened_output(as_json) as output:
        start = None if anew or not files else shipped_coefficients()
        report = fit_profiles(files or (), ttnn_version, start, arch)
        print_calibration(output.console, report)
        written = () if output_place is None else write_coefficients(report, output_place)
        for path in written:
            say(output.console, f"Written: {path}")
        if save is not None:
            with open_store(storage) as store:
                keep_calibration(store, save, report.coefficients.values())
                say(output.console, f"Kept as {save} in {store.describe()}; searches there use it")
        result = {**report.to_plain(), "written": [str(path) for path in written], "saved": save}
        output.result(result)


PREDICT_EXAMPLES = (
    "autosched predict ops_perf_results.csv",
    "autosched predict profile.csv --ttnn-version 0.81.1 --json",
)


def predict(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE.CSV", show_default=False, help="An ops_perf_results CSV."),
    ],
    ttnn_version: Annotated[
        str, typer.Option(metavar="VERSION", help="ttnn that the profile was made with.")
    ] = "",
    arch: options.Arch = None,
    as_json: options.Json = False,
) -> None:
    """Compare predicted with measured times, op by op and in total."""
    from autosched.cost.calibration.prediction import predict_profile
    from autosched.report.tables import print_prediction

    with opened_output(as_json) as output:
        report = predict_profile(file, arch=arch, ttnn_version=ttnn_version)
        print_prediction(output.console, report)
        output.result(report.to_plain())
