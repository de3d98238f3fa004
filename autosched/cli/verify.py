"""``autosched verify`` and ``simulate``: what layers compute when they are executed."""

from typing import Annotated

import typer

from autosched.cli import hints, options
from autosched.report.output import opened_output

VERIFY_EXAMPLES = (
    "autosched verify resnet50-n150",
    "autosched verify resnet50-n150 --candidates 3 --json",
    "autosched verify resnet50-n150 --table docs/verified.md",
    "autosched verify resnet50-n150 --reproduce layer1.0.conv1 -o wrong.py",
)


def verify(  # noqa: PLR0913 - one parameter per option
    study: options.StudyOption,
    *,
    device: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="simulator, silicon, or auto: a card if there is one, else the simulator.",
        ),
    ] = "auto",
    simulator: options.Simulator = None,
    candidates: Annotated[
        int,
        typer.Option(min=0, metavar="K", help="Also the K fastest candidates of each layer."),
    ] = 0,
    min_concordance: Annotated[
        float,
        typer.Option(min=-1.0, max=1.0, help="Below this concordance with PyTorch it is wrong."),
    ] = 0.99,
    reproduce: Annotated[
        str | None,
        typer.Option(
            "--reproduce",
            metavar="LAYER",
            help="Write a script for a bug report on this layer or edge, instead of executing.",
        ),
    ] = None,
    output_file: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE.PY", help="Where --reproduce writes."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="FILE.md", help="Add the result to a page of verified schedules."),
    ] = None,
    hang_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long one layer may take before it counts as hung, such as 30m; default: by "
            "its size.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Execute once more what is stored as wrong, hung or aborted."),
    ] = False,
    net: options.OtherNetwork = None,
    safe: options.SafeStudy = False,
    no_check: options.NoCheck = False,
    jobs: options.Jobs = None,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Execute each distinct layer and reshard of a study's best schedule alone, and compare it.

    Then the whole schedule. Each verdict is stored as it comes, and used again by every study. A
    later search leaves out what computes wrong. Exit code 1 if anything is wrong, hangs or aborts.

    The network file that the study names is executed, or the one of --net.
    """
    from autosched.cli.steps.execution_run import use_simulator
    from autosched.cli.steps.reproduce_run import write_reproduction
    from autosched.cli.steps.search_request import parse_duration
    from autosched.cli.steps.search_session import GoingOn, interruptible
    from autosched.cli.steps.verify_run import VerifyRequest, verify_study
    from autosched.device.machine import SIMULATOR, choose_executing_device

    kind = choose_executing_device(device)
    use_simulator(SIMULATOR if kind == SIMULATOR else "", simulator)
    asked = VerifyRequest(
        study,
        kind,
        candidates,
        min_concordance,
        storage,
        jobs,
        table,
        net,
        safe,
        not no_check,
        None if hang_limit is None else parse_duration(hang_limit, "--hang-limit"),
        again,
    )
    going_on = GoingOn(hints.command("verify", study, storage=storage))
    with opened_output(as_json) as output, interruptible(output, going_on, "verdict"):
        if reproduce is not None:
            write_reproduction(output, asked, reproduce, output_file)
            return
        stands = verify_study(output, asked)
    if not stands:
        raise typer.Exit(1)


SIMULATE_EXAMPLES = (
    "autosched simulate --timeout 10m",
    "autosched simulate net.py --side 64 --each 30",
    "autosched simulate --board p150 --seed 1000 --effort full --write executed.json",
)


def simulate(  # noqa: PLR0913 - one parameter per option
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK.py]...", help="Take their layers, not those of random networks."
        ),
    ] = None,
    board: options.BoardOption = None,
    *,
    simulator: options.Simulator = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of the first random network.")
    ] = 0,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Stop after 90s, 10m or 1h30m.")
    ] = "10m",
    each: Annotated[
        int,
        typer.Option(min=1, help="Candidates executed of each network, the most telling first."),
    ] = 4,
    effort: options.EffortOption = None,
    side: Annotated[
        int, typer.Option(min=1, help="Rows and columns that images of networks are cut to.")
    ] = 64,
    min_concordance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="A candidate below it is wrong.")
    ] = 0.99,
    all_formats: Annotated[
        bool,
        typer.Option("--all-formats", help="Candidates in all formats that a search may choose."),
    ] = False,
    write: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Add what was executed to a table of kinds (.json)."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Execute candidates of small random networks on the simulator, and compare with PyTorch.

    The candidates are those that a search of the network is given, each alone. Every random network
    has a seed, with which it is found again; networks of yours are taken with small images. What is
    wrong is shown as small as it can be made. The exit code is 1 if anything is.
    """
    from autosched.cli.steps.execution_run import use_simulator
    from autosched.cli.steps.search_session import GoingOn, interruptible
    from autosched.cli.steps.simulate_run import SimulateRequest, simulate_candidates
    from autosched.device.machine import SIMULATOR

    use_simulator(SIMULATOR, simulator)
    asked = SimulateRequest(
        "n150" if board is None else board,
        seed,
        timeout,
        each,
        "default" if effort is None else effort,
        min_concordance,
        write,
        tuple(networks or ()),
        side,
        all_formats,
    )
    again = hints.command("simulate", "--seed", str(seed))
    kept = "" if write is None else "candidate in the table of --write"
    with opened_output(as_json) as output, interruptible(output, GoingOn(again), kept):
        is_right = simulate_candidates(output, asked)
    if not is_right:
        raise typer.Exit(1)


LIST_QUARANTINE_EXAMPLES = (
    "autosched quarantine list",
    "autosched quarantine list --board n150 --json",
)
LIFT_QUARANTINE_EXAMPLES = (
    "autosched quarantine lift 17 42",
    "autosched quarantine lift --all --board n150",
)
_BoardOnly = Annotated[
    str | None, typer.Option("--board", metavar="NAME", help="Only of this board.")
]


def list_quarantine(
    board: _BoardOnly = None, storage: options.Storage = None, as_json: options.Json = False
) -> None:
    """List the configurations that hung or crashed a device: no search asks for them any more.

    What hangs or ends ttnn's process is asked for once more; what does so twice is kept with what
    was seen, and left out on this board and ttnn version until it is lifted. A crash counts only if
    the device then answers what it answered before.
    """
    from autosched.report.output import say
    from autosched.report.verification_table import print_quarantine, quarantine_plain
    from autosched.search.stored_study import layers_by_signature
    from autosched.store.database import open_store
    from autosched.store.purging import find_quarantined

    with opened_output(as_json) as output, open_store(storage) as store:
        found = find_quarantined(store, _board_name(board))
        names = layers_by_signature(store) if found else {}
        say(output.console, f"Database: {store.describe()}")
        print_quarantine(output.console, found, names)
        output.result({"database": store.describe(), "quarantined": quarantine_plain(found, names)})


def lift_from_quarantine(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="NUMBER...", help="As quarantine list shows them."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is listed.")] = False,
    board: _BoardOnly = None,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Have configurations asked for again that hung or crashed a device."""
    from autosched.errors import StudyError
    from autosched.report import words
    from autosched.report.output import say
    from autosched.store.database import open_store
    from autosched.store.purging import find_quarantined
    from autosched.store.purging import lift_quarantine as lift

    named = set(numbers or ())
    if bool(named) == everything:
        raise StudyError("say what to lift: numbers of autosched quarantine list, or --all")
    with opened_output(as_json) as output, open_store(storage) as store:
        there = {item.number for item in find_quarantined(store, _board_name(board))}
        if unknown := named - there:
            raise StudyError(
                f"nothing in quarantine has number {', '.join(map(str, sorted(unknown)))}; see "
                "autosched quarantine list"
            )
        lifted = lift(store, there if everything else named)
        say(output.console, f"Database: {store.describe()}")
        say(output.console, f"Lifted: {words.count(lifted, 'configuration')}")
        output.result({"database": store.describe(), "lifted": lifted})


def _board_name(board: str | None) -> str | None:
    from autosched.device.which_board import named_board

    return None if board is None else named_board(board).name
