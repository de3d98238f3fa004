"""``autosched merge`` and ``db``: another database brought into this one, and its upkeep."""

import re
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosched.cli import options
from autosched.cli.studies import confirm_deletion
from autosched.errors import StoreError, StudyError
from autosched.report.output import opened_output, say

if TYPE_CHECKING:
    from rich.console import Console

    from autosched.store.merging import Merged, MergedStudy, Tally
    from autosched.store.probe_files import Origin
    from autosched.store.purging import Purged

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
    again adds only what is new there. A study whose name another one has here is renamed. What was
    submitted to a service and has ended comes along; what waits or runs there does not.
    """
    from autosched.store.database import open_store
    from autosched.store.merging import merge_databases as merge_stores
    from autosched.store.merging import open_other

    with (
        opened_output(as_json) as output,
        open_other(other) as source,
        open_store(storage) as target,
    ):
        merged = merge_stores(source, target)
        print_merged(output.console, source.describe(), target.describe(), merged)
        output.result(merged_plain(source.describe(), target.describe(), merged))


def print_merged(console: "Console", source: str, target: str, merged: "Merged") -> None:
    """Print what came from ``source`` into ``target``, and what was there already."""
    from autosched.report import words

    say(console, f"From:   {source}")
    say(console, f"Into:   {target}")
    say(console, f"Probes: {_tally(merged.probes)}")
    if merged.executions.added or merged.executions.known:
        say(console, f"Executions: {_tally(merged.executions)}")
    if merged.measurements.added or merged.measurements.known:
        say(console, f"Measurements: {_tally(merged.measurements)}")
    if merged.sensitivities.added or merged.sensitivities.known:
        say(console, f"Errors of formats: {_tally(merged.sensitivities)}")
    if merged.networks.added or merged.networks.known:
        say(console, f"Networks: {_tally(merged.networks)}")
    if merged.submissions.added or merged.submissions.known:
        say(console, f"Submissions that have ended: {_tally(merged.submissions)}")
    if merged.unfinished:
        waiting = words.count(merged.unfinished, "submission")
        say(console, f"Left there: {waiting} that wait or run; a service here would run them again")
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
    return f"{tally.added:,} added, {tally.known:,} here already"


def _study(study: "MergedStudy") -> str:
    from autosched.report import words
    from autosched.store.studies import LONGEST_NAME

    trials = words.count(study.trials.added, "trial")
    if not study.is_new:
        here = f" as {study.name_here}" if study.name_here != study.name else ""
        return f"here already{here}; {trials} added, {study.trials.known:,} here already"
    if study.name_here != study.name:
        why = "another study here has that name"
        if len(study.name) > LONGEST_NAME:
            why = f"names have at most {LONGEST_NAME} characters"
        return f"added as {study.name_here} with {trials}, because {why}"
    return f"added with {trials}"


CHECK_DB_EXAMPLES = (
    "autosched db check",
    "autosched db check --storage postgresql://user@host/name --json",
)


def check_db(storage: options.Storage = None, as_json: options.Json = False) -> None:
    """Read every row of a database, and say what it holds and what is wrong with it.

    A database of an earlier version is upgraded first, as by every command; a copy of the file as
    it was stays beside it. Exit code 2 if anything is damaged.
    """
    from autosched.errors import StoreError
    from autosched.store.database import open_store
    from autosched.store.upkeep import check_database

    with opened_output(as_json) as output, open_store(storage) as store:
        with output.console.status("Reading every row"):
            found = check_database(store)
        say(output.console, f"Database: {store.describe()}")
        if store.backup is not None:
            say(output.console, f"Upgraded; as it was before: {store.backup}")
        room = "" if found.size_bytes is None else f", {_mebibytes(found.size_bytes)}"
        say(output.console, f"Schema: {found.schema}{room}")
        for name, number in found.rows.items():
            say(output.console, f"  {name}: {number:,}{_damage(found.damaged.get(name, 0))}")
        for line in found.faults:
            say(output.console, f"  SQLite: {line}", "red")
        output.result({"database": store.describe(), **asdict(found), "is_fine": found.is_fine})
        if found.faults:
            raise StoreError(
                f"{store.describe()} is a damaged file; restore it from a backup, or bring what "
                "can be read into a new one: autosched merge"
            )
        if not found.is_fine:
            raise StoreError(
                f"{store.describe()} has damaged rows; delete them with: autosched db purge "
                "--damaged"
            )
        say(output.console, "All of it can be read.")


def _damage(number: int) -> str:
    return f", {number:,} damaged" if number else ""


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB"


BACKUP_EXAMPLES = (
    "autosched db backup studies-2026-11.sqlite3",
    "autosched db backup /backups/tuning.sqlite3 --storage postgresql://user@host/name",
)


def backup(
    target: Annotated[
        str, typer.Argument(metavar="FILE", show_default=False, help="A new SQLite file.")
    ],
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Copy a database to a new SQLite file, whole or not at all, while searches go on.

    Of PostgreSQL all that autosched keeps is copied. What waits or runs in a service is in the
    copy, too: serve only one of the two. The copy is a database like any other: name it
    with --storage, or bring it back with autosched merge.
    """
    from pathlib import Path

    from autosched.store.database import open_store
    from autosched.store.upkeep import back_up

    path = Path(target)
    with opened_output(as_json) as output, open_store(storage) as store:
        with output.console.status("Copying"):
            back_up(store, path)
        size_bytes = path.stat().st_size
        say(output.console, f"Database: {store.describe()}")
        say(output.console, f"Copy: {path}, {_mebibytes(size_bytes)}")
        output.result({"database": store.describe(), "backup": str(path), "size_bytes": size_bytes})


EXPORT_PROBES_EXAMPLES = (
    "autosched db export probes-n150.jsonl.gz",
    "autosched db export probes-p150.jsonl.gz --board p150 --storage sqlite:///trials.sqlite3",
)
ProbeFile = Annotated[
    str, typer.Argument(metavar="FILE", show_default=False, help="Probes as compressed text.")
]
OfCard = Annotated[
    bool, typer.Option("--silicon", help="Probes that a card timed; default: of the mock device.")
]


def export_probes(
    target: ProbeFile,
    board: options.BoardOption = None,
    of_card: OfCard = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Write the probes of a board to a file that others can take, as a cache for their searches.

    The file says of which ttnn, board and compiler they are. It is text: whoever takes it executes
    nothing. Stale probes stay behind.
    """
    from pathlib import Path

    from autosched.device.revisions import current_revisions
    from autosched.report import words
    from autosched.store.database import open_store
    from autosched.store.probe_files import write_probes
    from autosched.store.probes import device_with_probes

    path = Path(target)
    if path.exists():
        raise StoreError(f"{target} is there already; name a new file")
    with opened_output(as_json) as output, open_store(storage) as store:
        today = _origin(board, of_card)
        origin = replace(today, device=device_with_probes(store, today.device))
        with output.console.status("Writing"):
            count = write_probes(store, origin, current_revisions(), path)
        size_bytes = path.stat().st_size
        say(output.console, f"Database: {store.describe()}")
        say(output.console, f"Written: {target}, {words.count(count, 'probe')}")
        written = {"probes": count, "file": target, "size_bytes": size_bytes}
        output.result({"database": store.describe(), **written, **origin.to_plain()})


IMPORT_PROBES_EXAMPLES = ("autosched db import probes-n150.jsonl.gz",)


def import_probes(
    source: ProbeFile, storage: options.Storage = None, as_json: options.Json = False
) -> None:
    """Bring probes from a file into the database: searches then need not ask for them again.

    Each is checked as it is read, and nothing is executed. What is of another ttnn version, another
    board than today's of that name, or another compiler is refused.
    """
    from pathlib import Path

    from autosched.device.machine import ttnn_version
    from autosched.store.database import open_writable
    from autosched.store.probe_files import read_origin, read_probes

    path = Path(source)
    with opened_output(as_json) as output:
        found = read_origin(path)
        expected = _origin(found.device.board, found.device.device_kind == "silicon")
        if found.device.ttnn_version != ttnn_version():
            raise StoreError(
                f"{source} has probes of ttnn {found.device.ttnn_version}; here is {ttnn_version()}"
            )
        # They stay those of their card's firmware: a search on another one does not use them.
        theirs = replace(expected.device, firmware=found.device.firmware)
        expected = replace(expected, device=theirs)
        with open_writable(storage) as store:
            with output.console.status("Reading"):
                tally = read_probes(store, path, expected)
            say(output.console, f"From:   {source}")
            say(output.console, f"Into:   {store.describe()}")
            say(output.console, f"Probes: {_tally(tally)}")
            output.result({"file": source, "database": store.describe(), **asdict(tally)})


def _origin(board: str | None, of_card: bool) -> "Origin":
    from autosched.boards import facts_of
    from autosched.device.machine import card_firmware, kernel_compiler, ttnn_version
    from autosched.device.which_board import USUAL, named_board
    from autosched.store.probe_files import Origin
    from autosched.store.probes import DeviceKey

    known = named_board(board or USUAL)
    kind, firmware = ("silicon", card_firmware()) if of_card else ("mock", "")
    key = DeviceKey(known.name, kind, ttnn_version(), firmware)
    return Origin(key, facts_of(known), kernel_compiler() if of_card else "")


VACUUM_EXAMPLES = ("autosched db vacuum", "autosched db vacuum --storage sqlite:///old.sqlite3")


def vacuum_db(storage: options.Storage = None, as_json: options.Json = False) -> None:
    """Give back the room of what was deleted; while searches write, it waits for them."""
    from autosched.store.database import open_store
    from autosched.store.upkeep import vacuum

    with opened_output(as_json) as output, open_store(storage) as store:
        with output.console.status("Writing the file anew"):
            before, after = vacuum(store)
        say(output.console, f"Database: {store.describe()}")
        if before is not None and after is not None:
            say(output.console, f"Size: {_mebibytes(before)} -> {_mebibytes(after)}")
        output.result({"database": store.describe(), "before_bytes": before, "after_bytes": after})


PURGE_EXAMPLES = (
    "autosched db purge --stale",
    "autosched db purge --kind 'invalid configuration' --since 2d",
    "autosched db purge --kind hang --kind crash --board n150 --since 2026-11-01 --yes --json",
)


def purge(  # noqa: PLR0913, PLR0917 - one parameter per option
    stale: Annotated[
        bool,
        typer.Option(
            "--stale",
            help="Probes and executions of another revision of the lowering: no search uses them.",
        ),
    ] = False,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="What cannot be read, or is of a study that is gone.")
    ] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Probes, executions and trials that were turned down so, such as 'invalid "
            "configuration', hang or wrong; may be given several times.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With --kind: only what was stored since a date, a moment (2026-11-20T08:00) or "
            "for so long (30m, 12h, 2d).",
        ),
    ] = None,
    board: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --kind: only of this board.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --kind and --damaged: do not ask.")
    ] = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Delete what is of no more use (--stale, --damaged), or was wrongly turned down (--kind).

    A probe or execution is stale where the code that ran it has changed since: it is run again
    where it is needed. What was turned down because of a full disk or a broken compiler is stored
    as a fact: --kind forgets it, trials included, as a study neither tries one of them twice nor
    chooses what failed in it. Trials that ran stay, and so do studies. A file does not become
    smaller, but what is freed is used again.
    """
    if stale + damaged + bool(kind) != 1:
        raise StudyError("say what to delete: --stale, --damaged or --kind KIND, one at a time")
    if not kind and (since is not None or board is not None):
        raise StudyError("--since and --board go with --kind: the rest is of no use anywhere")
    if stale:
        _purge_stale(storage, as_json)
    elif damaged:
        _purge_damaged(yes, storage, as_json)
    else:
        _purge_turned_down(kind or [], since, board, yes, storage, as_json)


def _purge_stale(storage: str | None, as_json: bool) -> None:
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


def _purge_damaged(yes: bool, storage: str | None, as_json: bool) -> None:
    from autosched.report import words
    from autosched.store.database import open_store
    from autosched.store.purging import find_damaged, purge_damaged

    with opened_output(as_json) as output, open_store(storage) as store:
        found = find_damaged(store)
        deleted = {name.removeprefix("autosched_"): len(ids) for name, ids in found.items()}
        text = ", ".join(words.count(number, f"damaged {name}") for name, number in deleted.items())
        if not yes and any(deleted.values()):
            confirm_deletion(f"{text} in {store.describe()}")
        purge_damaged(store, found)
        say(output.console, f"Database: {store.describe()}")
        say(output.console, f"Deleted: {text}")
        output.result({"database": store.describe(), "damaged": deleted})


def _purge_turned_down(
    kinds: list[str],
    since: str | None,
    board: str | None,
    yes: bool,
    storage: str | None,
    as_json: bool,
) -> None:
    from autosched.device.which_board import named_board
    from autosched.store.database import open_store
    from autosched.store.purging import Turned, count_turned_down, purge_turned_down

    names = {_kind(text) for text in kinds}
    found = None if board is None else named_board(board)
    what = Turned(
        names,
        None if since is None else moment(since),
        None if found is None else found.name,
        None if found is None else found.arch,
    )
    with opened_output(as_json) as output, open_store(storage) as store:
        deleted = count_turned_down(store, what)
        text = f"{_purged(deleted)} turned down as {', '.join(sorted(names))}"
        if not yes and any(vars(deleted).values()):
            confirm_deletion(f"{text} in {store.describe()}")
        deleted = purge_turned_down(store, what)
        say(output.console, f"Database: {store.describe()}")
        say(output.console, f"Deleted: {text}")
        output.result({"database": store.describe(), **asdict(deleted)})


def _purged(purged: "Purged") -> str:
    from autosched.report import words

    counts = (words.count(number, name[:-1]) for name, number in asdict(purged).items())
    return ", ".join(counts)


def _kind(text: str) -> str:
    from autosched.schedule.outcomes import RejectionKind, Verdict

    fine = {Verdict.RIGHT, Verdict.IMPRECISE}
    names = [kind.value for kind in RejectionKind]
    names += [verdict.value for verdict in Verdict if verdict not in fine]
    known: dict[str, str] = {_plain(name): name for name in names}
    if _plain(text) not in known:
        raise StudyError(
            f"--kind {text!r} is no kind of rejection; there are {', '.join(known.values())}"
        )
    return known[_plain(text)]


def _plain(text: str) -> str:
    return text.lower().replace("-", " ").replace("_", " ").strip()


_AGE = re.compile(r"(\d+)\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """Return the moment of "30m", "12h" or "2d" ago, of a date, or of a date and time.

    What names no time zone is local time.

    Raises:
        StudyError: if it is none of these.
    """
    try:
        if age := _AGE.fullmatch(text.strip().lower()):
            return datetime.now(timezone.utc) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise StudyError(
            f"--since {text!r} is no moment; write an age (30m, 12h, 2d), a date (2026-11-20), or "
            "a date and time (2026-11-20T08:00)"
        ) from None
