"""``autosched calibrate``, ``predict`` and ``drift``: the device model, held against others."""

from typing import Annotated, Any

import typer

from autosched.cli import options
from autosched.errors import ProfileError
from autosched.report.output import opened_output

CALIBRATE_EXAMPLES = (
    "autosched calibrate ops_perf_results.csv --save my-card --ttnn-version 0.81.1",
    "autosched calibrate -o coefficients/ --json",
    "autosched calibrate --device silicon --network net.py",
    "autosched calibrate --device silicon --network net.py --measurements 80 --time-limit 20m",
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
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NET.PY",
            help="Learn from a card for this network: time what matters for its schedule and is "
            "least known. The file is executed.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="KIND", help="With --network: silicon (default), a card on this machine."
        ),
    ] = None,
    board: options.BoardOption = None,
    batch: options.Batch = None,
    measurements: Annotated[
        int,
        typer.Option(
            min=0,
            max=options.MOST,
            metavar="N",
            help="With --network: how many times are taken for it, those stored before included.",
        ),
    ] = 40,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="With --network: ask nothing more after 90s, 10m or 1h30m."
        ),
    ] = None,
    effort: Annotated[
        str, typer.Option(metavar="NAME", help="With --network: quick, default or full, as in run.")
    ] = "default",
    export: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="With --network: write the schedule that is best by now, for run."
        ),
    ] = None,
    weights: options.WeightsOption = "",
    activations: options.Activations = "",
    fidelity: options.FidelityOption = "",
    fp32_accumulation: options.Fp32Accumulation = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Fit the device model's coefficients to profiles, or learn them from a card's own times.

    Profiles: all coefficients are fitted to their rows, and judged on held-out layers and networks.

    With --network a card is asked instead, for some ten minutes: the network's schedule is worked
    out with what the coefficients leave open of each time, and those layers and changes of layout
    are timed alone, by replays of a trace, of which the choice is expected to gain most. What these
    measured times teach is added to the coefficients of before, whose errors serve as prior. The
    layers that are configured otherwise by it are printed with times before and after, each
    measured or estimated as it says.

    Every time is stored at once: after Ctrl-C the same command goes on, and another network on the
    same card starts from what is known. What was learned is kept in the database under a name
    (--save; default: card-BOARD), and new searches there estimate with it. A schedule that rests on
    the measured times themselves is what --export writes; run --start runs it as a whole.
    """
    if device is not None and network is None:
        raise ProfileError(
            f"--device {device} says where times are taken to learn from; name the network that "
            "they are to be of with --network NET.PY"
        )
    if network is not None:
        formats = {
            "weights": weights,
            "activations": activations,
            "fidelity": fidelity,
            "fp32_accumulation": fp32_accumulation,
        }
        wishes = (device or "silicon", board, batch, measurements, time_limit, effort, formats)
        _learn(files, (network, *wishes, save, output_place, storage, export), as_json=as_json)
        return
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


def _learn(files: list[str] | None, asked: tuple[Any, ...], *, as_json: bool) -> None:
    """Learn from a card; ``asked`` has what is asked in the order of ``LearningRequest``."""
    from autosched.cli.steps.learn_run import LearningRequest, learn_from_card
    from autosched.cli.steps.search_session import GoingOn, interruptible

    if files:
        raise ProfileError(
            "profiles and --network at once: calibrate on the profiles with --save first; what a "
            "card teaches is added to that"
        )
    request = LearningRequest(*asked)
    again = GoingOn(request.command)
    with opened_output(as_json) as output, interruptible(output, again, "time that was taken"):
        learn_from_card(output, request)


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


DRIFT_EXAMPLES = (
    "autosched drift 0.80.0 0.81.1 --board p150",
    "autosched drift shipped my-card",
    "autosched drift shipped new/wormhole_b0.json --most 50 --json",
)


def drift(  # noqa: PLR0917 - one parameter per option
    before: Annotated[
        str,
        typer.Argument(metavar="BEFORE", help="A version of ttnn, or a calibration."),
    ],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Another one.")],
    board: options.BoardOption = None,
    of_card: Annotated[
        bool, typer.Option("--silicon", help="Probes of a card; default: of the mock device.")
    ] = False,
    most: Annotated[
        int,
        typer.Option(
            min=1, max=options.MOST, metavar="N", help="How many are listed of each way to change."
        ),
    ] = 10,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Compare two versions of ttnn, or two calibrations, record by record.

    Probes of the same layers, configurations and layouts under both: what got faster or slower,
    what is rejected now, and what is accepted. A calibration is shipped, a name that calibrate
    --save kept, or a .json file; it estimates the probes of the installed ttnn. No device is asked.
    """
    from autosched.device.machine import card_firmware
    from autosched.device.machine import ttnn_version as installed
    from autosched.device.which_board import USUAL, named_board
    from autosched.probing.drift import drift_between, find_side
    from autosched.report.differences import drift_plain, print_drift
    from autosched.search.stored_study import layers_by_signature
    from autosched.store.database import open_store
    from autosched.store.probes import DeviceKey, device_with_probes

    known = named_board(board or USUAL)
    kind = "silicon" if of_card else "mock"
    firmware = card_firmware() if of_card else ""
    with opened_output(as_json) as output, open_store(storage) as store:
        today = device_with_probes(store, DeviceKey(known.name, kind, installed(), firmware))
        sides = [find_side(store, title, today, known.arch) for title in (before, after)]
        with output.console.status("Comparing"):
            found = drift_between(store, *sides)
            names = layers_by_signature(store)
        print_drift(output.console, found, names, most)
        output.result({"board": known.name, "device": kind, **drift_plain(found, names)})
