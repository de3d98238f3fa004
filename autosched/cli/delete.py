"""``autosched delete``: forget a study."""

import sys
from typing import Annotated

import typer

from autosched.cli import options
from autosched.cli.output import opened_output
from autosched.errors import StudyError

EXAMPLES = ("autosched delete resnet50-n150", "autosched delete resnet50-n150 --yes --json")


def delete(
    study: options.Study,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Forget a study and its trials. Its probes stay: other studies reuse them."""
    from autosched.report import words  # noqa: PLC0415 - the help starts quickly
    from autosched.report.console import say  # noqa: PLC0415 - as above
    from autosched.search.forgetting import forget_study  # noqa: PLC0415 - as above
    from autosched.store.database import open_store  # noqa: PLC0415 - as above
    from autosched.store.studies import get_study  # noqa: PLC0415 - as above
    from autosched.store.trials import list_trials  # noqa: PLC0415 - as above

    with opened_output(as_json) as output, open_store(storage) as store:
        record = get_study(store, study)
        trials = len(list_trials(store, record, with_schedules=False))
        what = f"study {study} and its {words.count(trials, 'trial')} in {store.describe()}"
        if not yes:
            _ask(what)
        forget_study(store, study)
        say(output.console, f"Deleted: {what}")
        output.result({"database": store.describe(), "study": study, "trials": trials})


def _ask(what: str) -> None:
    if not sys.stdin.isatty():
        raise StudyError(f"deleting {what} cannot be undone; confirm it with --yes")
    typer.confirm(f"Delete {what}? This cannot be undone.", abort=True, err=True)
