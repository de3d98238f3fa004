"""``autosched export``: a study's schedule as a file."""

from pathlib import Path
from typing import Annotated

import typer

from autosched.cli import hints, options
from autosched.cli.output import opened_output

EXAMPLES = (
    "autosched export resnet50-n150 -o resnet50_n150.py",
    "autosched export resnet50-n150 --trial 0 -o default.json",
)


def export(
    study: options.Study,
    output_file: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A .py or .json; default: named by the study."
        ),
    ] = None,
    trial: Annotated[
        int | None, typer.Option(min=0, help="Number of the trial; default: the fastest.")
    ] = None,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Write a study's best schedule as a Python module that needs ttnn alone, or as JSON."""
    from autosched.cli.targets import check_target  # noqa: PLC0415 - the help starts quickly
    from autosched.report import words  # noqa: PLC0415 - as above
    from autosched.report.console import say  # noqa: PLC0415 - as above
    from autosched.report.summary import print_next  # noqa: PLC0415 - as above
    from autosched.search.finished import finished_trial  # noqa: PLC0415 - as above
    from autosched.store.database import open_store  # noqa: PLC0415 - as above
    from autosched.store.studies import get_study  # noqa: PLC0415 - as above

    target = Path(output_file or hints.module_name(study))
    check_target(target)
    with opened_output(as_json) as output, open_store(storage) as store:
        record = get_study(store, study)
        chosen, schedule = finished_trial(store, record, trial)
        path = schedule.export(target)
        latency = words.latency(chosen.latency_us, chosen.latency_kind)
        say(output.console, f"Trial {chosen.number} of {study}, {latency}: {path}")
        net = str(record.settings.get("network_file") or "NET.PY")
        check = hints.command("check", str(path), "--net", hints.short_path(net))
        print_next(output.console, [check])
        output.result(
            {
                "study": record.name,
                "trial": chosen.number,
                "latency_us": chosen.latency_us,
                "latency_kind": chosen.latency_kind,
                "schedule_path": str(path),
            }
        )
