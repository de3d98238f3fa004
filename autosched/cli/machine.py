"""``boards``, ``doctor``, ``worker``, ``version``, ``schema``: what there is; ``clean``."""

import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from autosched import __version__
from autosched.cli import options
from autosched.errors import StudyError
from autosched.report.output import Screen, opened_output, say

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from autosched.cleaning.leftovers import Leftover
    from autosched.store.database import Store

BOARDS_EXAMPLES = ("autosched boards",)


def boards(as_json: options.Json = False) -> None:
    """List the boards, and the cards on this machine."""
    from autosched.boards import BOARDS
    from autosched.device.machine import silicon_devices
    from autosched.report.output import say
    from autosched.report.tables import board_plain, board_table

    cards = [str(path) for path in silicon_devices()]
    with opened_output(as_json) as output:
        output.console.print(board_table(BOARDS.values()))
        found = ", ".join(cards) if cards else "none; the mock device stands in for every board"
        say(output.console)
        say(output.console, f"Cards on this machine: {found}")
        output.result({"boards": [board_plain(board) for board in BOARDS.values()], "cards": cards})


DOCTOR_EXAMPLES = (
    "autosched doctor",
    "autosched doctor --board p150 --json",
    "autosched doctor --device simulator --simulator libttsim_wh.so",
    "autosched doctor --known-bad",
)


def doctor(
    board: options.BoardOption = None,
    device: options.ExecutingOption = "auto",
    simulator: options.Simulator = None,
    storage: options.Storage = None,
    known_bad: Annotated[
        bool,
        typer.Option("--known-bad", help="List what is known to go wrong in ttnn, and stop."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Check this machine: Python, ttnn, device, compiler, cache and database.

    The exit code is 0 if a search can run (with --device simulator: if kernels can be executed),
    2 if not.
    """
    from autosched.cli.steps.execution_run import use_simulator
    from autosched.cli.steps.machine_checks import checks
    from autosched.device.machine import SIMULATOR
    from autosched.device.which_board import wanted_board
    from autosched.report.output import say

    if known_bad:
        from autosched.report.execution_table import fault_plain, print_faults

        with opened_output(as_json) as output:
            print_faults(output.console)
            output.result({"known_bad": fault_plain()})
        return
    use_simulator(device, simulator)
    purpose = "execute kernels" if device == SIMULATOR else "search"

    found = []
    with opened_output(as_json) as output:
        known = wanted_board(board, "mock" if device in ("mock", SIMULATOR) else "auto")
        for check in checks(known, device, storage):
            found.append(check)
            say(output.console, f"{check.mark:<8}{check.name:<10} {check.detail}", check.style)
            if check.advice:
                say(output.console, f"{'':<19}{check.advice}")
        well = all(check.state != "failed" for check in found)
        say(output.console, f"Ready to {purpose}." if well else "Not ready: see what failed above.")
        output.result({"ok": well, "checks": [vars(check) for check in found]})
    if not well:
        raise typer.Exit(2)


WORKER_EXAMPLES = (
    "autosched worker tcp://localhost:8786",
    "autosched worker tcp://localhost:8786 --device mock --jobs 2",
)


def worker(
    scheduler: Annotated[
        str,
        typer.Argument(
            metavar="SCHEDULER",
            help="Address of the Dask scheduler: tcp://HOST:PORT on this machine, or tls://.",
        ),
    ],
    *,
    board: options.BoardOption = None,
    device: options.DeviceOption = "auto",
    jobs: options.Jobs = None,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long a scheduler that is not there is waited for: 90, 5m; default: for ever.",
        ),
    ] = None,
) -> None:
    """Let this machine's devices work for studies that run with --cluster.

    It is a worker of Dask's, which announces its card and board, or mock devices, with the versions
    of ttnn and autosched and the compiler; studies use those that can do what they need. The
    scheduler is Dask's own: dask scheduler --host 127.0.0.1. Dask sends pickled Python, so other
    machines are reached by TLS, or by a tunnel.

    Ctrl-C ends it; what it was at is given to others.
    """
    from autosched.cli.steps.search_request import parse_duration
    from autosched.cluster.workplace import need_cluster_packages

    need_cluster_packages()
    from autosched.cluster.worker import equipment_of, work

    wait_s = None if wait is None else parse_duration(wait, "--wait")
    with opened_output(as_json=False) as output:
        equipment = equipment_of(board, device, jobs)
        work(scheduler, equipment, lambda line: say(output.console, line), wait_s)


VERSION_EXAMPLES = ("autosched version",)


def version(as_json: options.Json = False) -> None:
    """Print the versions of autosched and ttnn."""
    with opened_output(as_json) as output:
        say(output.console, _line())
        output.result({"autosched": __version__, "ttnn": _ttnn_version()})


def print_and_exit(wanted: bool) -> None:
    """Print the versions, if the option ``--version`` is given, and exit."""
    if wanted:
        with opened_output(as_json=False) as output:
            say(output.console, _line())
        raise typer.Exit


def _line() -> str:
    return f"autosched {__version__} (ttnn {_ttnn_version() or 'is not installed'})"


def _ttnn_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ttnn")
    except PackageNotFoundError:
        return None


SCHEMA_EXAMPLES = (
    "autosched schema run",
    "autosched schema db purge --json",
    "autosched schema --page docs/json.md",
)


def schema(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", show_default=False, help="A command, as it is typed."),
    ] = None,
    page: Annotated[
        str | None, typer.Option("--page", metavar="FILE", help="Write all of it as Markdown.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show what a command writes with --json: its fields, or with --json the JSON Schema of it.

    Without a command, all there are; "error" is what a command that fails writes.
    """
    from pathlib import Path

    from autosched.files import replace_file
    from autosched.report.schemas.fields_page import fields_page, sections
    from autosched.report.schemas.json_schemas import documented, schema_of, shared_schemas
    from autosched.report.tables import simple_table

    name = " ".join(command or ())
    if name and name not in (*documented(), *shared_schemas()):
        raise StudyError(f"{name!r} is no command; there are {', '.join(documented())}")
    with opened_output(as_json) as output:
        if page is not None:
            try:
                replace_file(Path(page), fields_page())
            except OSError as error:
                raise StudyError(f"{page}: cannot be written: {error.strerror}") from None
            say(output.console, f"Written: {page}")
        elif name:
            for title, fields in sections(schema_of(name)):
                table = simple_table(title, ("field", "holds", "meaning"))
                for field in fields:
                    table.add_row(field.path, field.holds, field.meaning)
                output.console.print(table)
        else:
            for known in documented():
                say(output.console, f"{known:<16}{schema_of(known)['description']}")
        output.result(
            schema_of(name) if name else {known: schema_of(known) for known in documented()}
        )


CLEAN_EXAMPLES = (
    "autosched clean",
    "autosched clean --yes --json",
    "autosched clean --what simulator --what backups",
)


def clean(
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--what",
            metavar="KIND",
            help="Delete this alone: kernels, reports, probes, executions (all of these by "
            "default), simulator, backups, searches, measurements, other-ttnn, studies (only where "
            "named); may be given several times.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """List what is of no use any more and how much it is, ask, and delete it.

    Kernels that tt-metal keeps for the mock device, reports of failures, and probes and executions
    of another revision of the code: no search reads them, and all are made again where needed.
    Only where named: compiled kernels of the simulator, copies of the database from before an
    upgrade, what searches of a service said that have ended, times of cards of another revision,
    probes, executions and times of another ttnn version, and the studies made with one. Studies of
    the installed version stay in any case; see autosched delete. Where nobody can be asked, nothing
    is deleted without --yes.
    """
    from autosched.cleaning.leftovers import KEPT, chosen_kinds, delete_leftovers, find_leftovers
    from autosched.report import words

    chosen = chosen_kinds(what)
    with opened_output(as_json) as output, _opened_if_there(storage) as store:
        with output.console.status("Looking for what is of no use any more"):
            found = find_leftovers(store)
        if store is not None:
            say(output.console, f"Database: {store.describe()}")
        _print_found(output, found, chosen)
        meant = [item for item in found if item.what in chosen]
        size = sum(item.size_bytes or 0 for item in meant)
        rows = sum(item.number for item in meant if item.size_bytes is None)
        text = f"{_mebibytes(size)} MiB of files and {words.count(rows, 'row')} of the database"
        states: dict[Leftover, str] = {}
        if not meant:
            say(output.console, "There is nothing to delete.")
        elif not yes and not sys.stdin.isatty():
            say(output.console, f"Nothing was deleted: --yes deletes {text}.")
        else:
            if not yes:
                typer.confirm(f"Delete {text}?", abort=True, err=True)
            states = delete_leftovers(meant, store)
            for item, state in states.items():
                say(output.console, f"{item.what}, {item.of}: {state}")
            if rows:
                say(output.console, "autosched db vacuum gives back its room in the database.")
        output.result(
            {
                "database": None if store is None else store.describe(),
                "found": [{**asdict(item), "state": states.get(item, KEPT)} for item in found],
            }
        )


@contextmanager
def _opened_if_there(storage: str | None) -> "Iterator[Store | None]":
    """Open the database, but make none where there is none."""
    from autosched.store.address import default_url, named_url, parse_url
    from autosched.store.database import open_store

    address = parse_url(named_url(storage) or default_url())
    if address.path is not None and not address.path.exists():
        yield None
        return
    with open_store(storage) as store:
        yield store


def _print_found(output: Screen, found: "Sequence[Leftover]", chosen: "Collection[str]") -> None:
    from autosched.report.tables import simple_table

    if not found:
        return
    table = simple_table("", ("what", "of", "number", "MiB", "goes"), right=("number", "MiB"))
    for item in found:
        size = "-" if item.size_bytes is None else _mebibytes(item.size_bytes)
        goes = "yes" if item.what in chosen else f"with --what {item.what}"
        table.add_row(item.what, item.of, f"{item.number:,}", size, goes)
    output.console.print(table)
    say(output.console)


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f}"
