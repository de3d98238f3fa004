"""``autosched export``, ``check`` and ``diff``: schedules as files, run again and compared."""

from pathlib import Path
from typing import Annotated

import typer

from autosched.cli import hints, options
from autosched.cli.shell import completion
from autosched.report.output import opened_output

CHECK_EXAMPLES = (
    "autosched check resnet50_n150.py --net studies/resnet50.py",
    "autosched check resnet50_n150.py --net studies/resnet50.py --device simulator --layers",
    "autosched check resnet50_n150.py --net studies/resnet50.py --device emulator --min-pcc 0.95",
    "autosched check from_a_colleague.py --safe --net studies/resnet50.py",
)


def check(  # noqa: PLR0913 - one parameter per option
    schedule: Annotated[
        str,
        typer.Argument(
            metavar="SCHEDULE",
            show_default=False,
            help="Exported .py or .json file.",
            autocompletion=completion.schedule_files,
        ),
    ],
    net: Annotated[
        str,
        typer.Option(
            "--net",
            metavar="NET.PY",
            help="Network file, or NET.PY:name; it is executed.",
            autocompletion=completion.network_files,
        ),
    ],
    *,
    safe: options.Safe = False,
    no_check: options.NoCheck = False,
    board: options.BoardOption = None,
    device: options.CheckedOn = "auto",
    simulator: options.Simulator = None,
    layers: options.Layers = False,
    min_pcc: options.MinPcc = 0.99,
    batch: options.Batch = None,
    warm_ups: options.WarmUps = None,
    replays: options.Replays = None,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Check a schedule's network, board and ttnn version, run it on the device and time it.

    Board and batch are the schedule's own unless they are named. On the mock device the time is
    estimated by the shipped cost model, or by the calibration of a database named by --storage.

    On a card and on the simulator the outputs, and every layer alone, are compared with PyTorch in
    float32, on the network file's calibration_inputs() or its example's. The exit code is 1 if one
    of them is wrong. With --device emulator so are the numbers that the device's formats and
    fidelities give, emulated on the host within minutes; whether kernels are right it cannot see.

    A schedule's .py is executed, as the network file is. From others, take JSON, which is only
    read, or give --safe.
    """
    from autosched.cli.steps.check_run import CheckRequest, check_schedule
    from autosched.cli.steps.execution_run import use_simulator
    from autosched.device.interface import TimingSettings

    named = {"warm_ups": warm_ups, "replays": replays}
    timing = TimingSettings(**{key: value for key, value in named.items() if value is not None})
    use_simulator(device, simulator)
    asked = CheckRequest(
        schedule,
        net,
        board,
        device,
        batch,
        timing,
        storage,
        layers,
        min_pcc,
        safe,
        not no_check,
    )
    with opened_output(as_json) as output:
        is_right = check_schedule(output, asked)
    if not is_right:
        raise typer.Exit(1)


DIFF_EXAMPLES = (
    "autosched diff resnet50-n150:0 resnet50-n150",
    "autosched diff by_hand.py resnet50-n150 --all",
    "autosched diff resnet50-n150 resnet50-p150 --json",
)


def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A study, STUDY:TRIAL, or a schedule (.py or .json).",
            autocompletion=completion.study_or_schedule,
        ),
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="What it is compared with.",
            autocompletion=completion.study_or_schedule,
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Show layers in which nothing differs, too.")
    ] = False,
    storage: options.Storage = None,
    safe: options.Safe = False,
    as_json: options.Json = False,
) -> None:
    """Show what differs between two schedules, layer by layer, and what it costs.

    Of a study it is the best trial. A schedule's times are those of the trial that ran it, if the
    database has one. Boards, ttnn versions and cost models may differ: that is said.

    The .py of a schedule is executed unless --safe is given.
    """
    from autosched.cli.steps.stored_run import compared
    from autosched.report.differences import differences_of, print_differences
    from autosched.store.database import open_store

    with opened_output(as_json) as output, open_store(storage) as store:
        one, other = (compared(output, store, text, safe=safe) for text in (before, after))
        found = differences_of(one, other)
        print_differences(output.console, found, everything=everything)
        output.result(found.to_plain())


EXPORT_EXAMPLES = (
    "autosched export resnet50-n150 -o resnet50_n150.py",
    "autosched export resnet50-n150 --trial 0 -o default.json",
    "autosched export resnet50-n150 --format model -o resnet50_model.py",
    "autosched export resnet50-n150 --format ttcnn",
    "autosched export resnet50-n150 --format tt-mlir",
)


def export(  # noqa: PLR0913 - one parameter per option
    study: options.StudyOption,
    output_file: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; default: named by the study."
        ),
    ] = None,
    *,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="module or json, which autosched reads back; model (a program of ttnn alone, with "
            "its weights beside it); ttcnn (the same, convolutions by tt-metal's TT-CNN builder); "
            "or tt-mlir (overrides of its convolutions). Default: json by the file's ending, else "
            "module.",
            autocompletion=completion.word_of("exports"),
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(min=0, max=options.MOST, help="Number of the trial; default: the fastest."),
    ] = None,
    net: options.OtherNetwork = None,
    safe: options.SafeStudy = False,
    no_check: options.NoCheck = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that was edited, too.")
    ] = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Write a study's best schedule as a Python module that needs ttnn alone, or as something else.

    For model and ttcnn the network file is executed, and the schedule run on the mock device: the
    calls that this makes are written. What tt-mlir's option has no field for stands in comments.
    """
    from autosched.export.saving import (
        FORMATS,
        check_target,
        check_text_target,
        format_of,
        save_schedule,
    )
    from autosched.report import words
    from autosched.report.output import say
    from autosched.report.summary import print_next
    from autosched.store.database import open_store
    from autosched.store.studies import get_study
    from autosched.store.trials import finished_trial

    chosen_form = format_of(form, output_file)
    default = Path(hints.module_name(study)).with_suffix(FORMATS[chosen_form])
    is_program = chosen_form in ("model", "ttcnn")
    if is_program:
        default = default.with_stem(f"{default.stem}_{chosen_form}")
    target = default if output_file is None else Path(output_file)
    is_read_back = chosen_form in ("module", "json")
    if is_read_back:
        check_target(target, force=force)
    else:
        check_text_target(target)
    with opened_output(as_json) as output, open_store(storage) as store:
        record = get_study(store, study)
        chosen, schedule = finished_trial(store, record, trial)
        if is_read_back:
            save_schedule(schedule, target)
        else:
            from autosched.cli.steps.reproduce_run import OthersRequest, save_for_others

            asked = OthersRequest(chosen_form, target, net, safe, not no_check, force)
            save_for_others(output, record, schedule, asked)
        latency = words.latency(chosen.latency_us, chosen.latency_kind)
        say(output.console, f"Trial {chosen.number} of {study}, {latency}: {target}")
        file = net or str(record.settings.get("network_file") or "NET.PY")
        made = schedule.provenance
        say(output.console, f"Its kernels: {made.verified}", "red" if made.went_wrong else "")
        check = hints.command("check", str(target), "--net", hints.short_path(file))
        profile = hints.command("profile", str(target), "--board", record.board)
        resume = hints.command("resume", study, storage=storage)
        follow = [check] if is_read_back else [profile] if is_program else []
        if made.went_wrong or follow:
            print_next(output.console, [resume] if made.went_wrong else follow)
        output.result(
            {
                "study": record.name,
                "trial": chosen.number,
                "latency_us": chosen.latency_us,
                "latency_kind": chosen.latency_kind,
                "verified": made.verified,
                "format": chosen_form,
                "schedule_path": str(target),
            }
        )
