"""``autosched merge`` and ``db``: another database brought into this one, and its upkeep."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosched.cli import options
from autosched.report.output import opened_output, say

if TYPE_CHECKING:
    from rich.console import Console

    from autosched.store.merging import Merged, MergedStudy, Tally

MERGE_EXAMPLES = (
    "autosched merge colleague.sqlite3",
    "autosched merge postgresql://user@host/name --storage sqlite:///trials.sqlite3 --json",
)


def merge(
    other: Annotated[
        str,
        typer.Argument(metavar="OTHER", show_default=False, help="Database file, or its URL."),
    ],
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Bring what another database remembers into this one: probes, executions, studies, trials.

    Searches then reuse the probes of both. Nothing that is of use here is changed, and merging
    again adds only what is new there. A study whose name another one has here is renamed.
    """
    from autosched.device.revisions import current_revisions
    from autosched.store.database import open_store
    from autosched.store.merging import merge_databases as merge_stores
    from autosched.store.merging import open_other

    with (
        opened_output(as_json) as output,
        open_other(other) as source,
        open_store(storage) as target,
    ):
        merged = merge_stores(source, target, current_revisions())
        print_merged(output.console, source.describe(), target.describe(), merged)
        output.result(merged_plain(source.describe(), target.describe(), merged))


def print_merged(console: "Console", source: str, target: str, merged: "Merged") -> None:
    """Print what came from ``source`` into ``target``, and what was there already."""
    say(console, f"From:   {source}")
    say(console, f"Into:   {target}")
    say(console, f"Probes: {_tally(merged.probes)}")
    if merged.executions.added or merged.executions.known:
        say(console, f"Executions: {_tally(merged.executions)}")
    if merged.calibrations.added or merged.calibrations.known:
        say(console, f"Calibrations: {_tally(merged.calibrations)}")
    if merged.calibrations.added:
        say(
            console, "  new studies are estimated with the newest calibration of their board's kind"
        )
    for study in merged.studies:
        say(console, f"Study {study.name}: {_study(study)}")


def merged_plain(source: str, target: str, merged: "Merged") -> dict[str, Any]:
    """Return a merge as JSON types."""
    return {"from": source, "into": target, **asdict(merged)}


def _tally(tally: "Tally") -> str:
    text = f"{tally.added:,} added, {tally.known:,} here already"
    return f"{text}, {tally.replaced:,} in place of stale ones" if tally.replaced else text


def _study(study: "MergedStudy") -> str:
    from autosched.report import words

    trials = words.count(study.trials.added, "trial")
    if not study.is_new:
        here = f" as {study.name_here}" if study.name_here != study.name else ""
        return f"here already{here}; {trials} added, {study.trials.known:,} here already"
    if study.name_here != study.name:
        return f"added as {study.name_here} with {trials}, because another study here has that name"
    return f"added with {trials}"


PURGE_EXAMPLES = (
    "autosched db purge --stale",
    "autosched db purge --stale --storage sqlite:///trials.sqlite3 --json",
)


def purge(
    _stale: Annotated[
        bool,
        typer.Option(
            "--stale",
            help="Probes and executions of another revision of the lowering: no search uses them.",
        ),
        # Required, so that the command says what it deletes; there is nothing else to purge.
    ],
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Delete what is of no more use; studies and trials stay.

    A probe or execution is stale where the code that ran it has changed since: it is run again
    where it is needed. A file does not become smaller, but what is freed is used again.
    """
    from autosched.device.revisions import current_execution_revisions, current_revisions
    from autosched.report import words
    from autosched.store.database import open_store
    from autosched.store.executions import purge_executions
    from autosched.store.probes import purge_stale

    with opened_output(as_json) as output, open_store(storage) as store:
        deleted = purge_stale(store, current_revisions())
        executions = purge_executions(store, current_execution_revisions())
        say(output.console, f"Database: {store.describe()}")
        say(output.console, f"Deleted: {words.count(deleted, 'stale probe')}")
        if executions:
            say(output.console, f"Deleted: {words.count(executions, 'stale execution')}")
        output.result(
            {
                "database": store.describe(),
                "stale_probes": deleted,
                "stale_executions": executions,
            }
        )
