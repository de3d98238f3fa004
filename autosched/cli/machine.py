"""``autosched boards``, ``doctor``, ``worker`` and ``version``: what is there, and at work."""

from typing import Annotated

import typer

from autosched import __version__
from autosched.cli import options
from autosched.report.output import opened_output, say

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


CLEAN_EXAMPLES = ("autosched clean", "AUTOSCHED_CACHE=/tmp/cache autosched clean --json")


def clean(as_json: options.Json = False) -> None:
    """Delete the kernels that tt-metal keeps for the mock device.

    They are made again when they are needed. What a search uses at the moment stays. Studies,
    probes and the simulator's kernels are not touched.
    """
    from autosched.cli.steps.machine_checks import clean_kernels

    with opened_output(as_json) as output:
        clean_kernels(output)
