"""``autosched show``: a study's trials and its best schedule."""

from typing import Annotated

import typer

from autosched.cli import hints, options
from autosched.cli.output import opened_output

EXAMPLES = (
    "autosched show resnet50-n150",
    "autosched show resnet50-n150 --layers --csv ops.csv",
)


def show(
    study: options.Study,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show the best trial layer by layer.")
    ] = False,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write the best trial's ops as tt-perf-report reads them."
        ),
    ] = None,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Show a study: its trials and its best, with --layers where that one's time goes."""
    from autosched.report import studies, summary  # noqa: PLC0415 - the help starts quickly
    from autosched.report.console import say  # noqa: PLC0415 - as above
    from autosched.report.profiles import write_ops  # noqa: PLC0415 - as above
    from autosched.report.tables import trial_table  # noqa: PLC0415 - as above
    from autosched.search.finished import best_of, finished_trial  # noqa: PLC0415 - as above
    from autosched.search.settings import Settings  # noqa: PLC0415 - as above
    from autosched.store.database import open_store  # noqa: PLC0415 - as above
    from autosched.store.studies import get_study  # noqa: PLC0415 - as above
    from autosched.store.trials import list_trials  # noqa: PLC0415 - as above

    with opened_output(as_json) as output, open_store(storage) as store:
        record = get_study(store, study)
        trials = list_trials(store, record, with_schedules=False)
        best = best_of(store, record)
        settings = Settings.from_plain(record.settings)
        say(
            output.console,
            f"Study {record.name}: {record.network}, batch {record.batch}, {record.device_kind} "
            f"{record.board}, ttnn {record.ttnn_version}",
        )
        say(output.console, f"Formats: {settings.formats}; accuracy is not judged yet")
        if layers and best is not None:
            summary.print_layers(output.console, best)
        elif trials:
            say(output.console)
            output.console.print(trial_table(trials))
            say(output.console)
        if csv is not None:
            say(output.console, f"Ops: {write_ops(finished_trial(store, record)[0], record, csv)}")
        summary.print_gain(output.console, summary.SearchResult(record, trials, best))
        summary.print_next(output.console, hints.after_search(study, storage, settings, ""))
        output.result(studies.shown_plain(record, trials, best, layers=layers))
