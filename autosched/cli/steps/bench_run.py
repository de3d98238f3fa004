"""The steps of ``autosched bench``: check, capture, probe, run every method, print and write."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosched.bench.bench import Bench
from autosched.bench.comparison import (
    DEFAULT_METHODS,
    HAND_TUNED,
    METHODS,
    OPTUNA_SAMPLERS,
    SAMPLER_TRIALS,
    MethodResult,
    NetworkComparison,
    check_start_up,
    compare,
)
from autosched.bench.speed import measure_solver
from autosched.cli import exits, hints
from autosched.cli.steps.inputs import captured_network, describe_device, hand_tuned
from autosched.device.interface import Device
from autosched.device.machine import choose_device
from autosched.device.pool import open_pool
from autosched.device.which_board import named_board
from autosched.errors import ScheduleError, SearchError
from autosched.files import check_name, replace_file
from autosched.network.capture.network_file import split_path
from autosched.network.graph import Network
from autosched.report import words
from autosched.report.bench_tables import (
    comparison_markdown,
    print_comparison,
    print_speeds,
    speeds_markdown,
    write_growth,
)
from autosched.report.layer_rows import host_rows
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.schedule.schedule import Schedule
from autosched.search.settings import Settings
from autosched.space.efforts import find_effort
from autosched.store.database import Store, open_writable

_NO_HAND_TUNED = SearchError(
    "nobody has written a hand-tuned schedule for this network, board and batch; put one into the "
    "directory baselines beside the network file, or name other methods"
)


@dataclass(frozen=True)
class BenchRequest:
    """What is to be compared, as the user typed it.

    No methods stands for all but Optuna's samplers, which ``all_samplers`` adds.
    """

    nets: tuple[str, ...]
    boards: tuple[str, ...]
    batches: tuple[int | None, ...]
    device: str
    methods: tuple[str, ...]
    trials: int | None
    seeds: int
    effort: str
    storage: str | None
    plot: str | None
    markdown: str | None
    speed: bool
    allow_host: bool = False
    allow_known_faults: bool = False
    jobs: int | None = None
    all_samplers: bool = False
    sampler_trials: int = SAMPLER_TRIALS

    @property
    def compared(self) -> tuple[str, ...]:
        """The names of the methods to run, in the order of all."""
        wanted = {*(self.methods or DEFAULT_METHODS)}
        if self.all_samplers:
            wanted.update(OPTUNA_SAMPLERS)
        return tuple(name for name in METHODS if name in wanted)

    def check(self) -> None:
        """Refuse what can be refused before anything slow is done.

        Raises:
            BoardError, SearchError: for an unknown board, effort or method.
            ScheduleError: if a file could not be written where it is wanted.
        """
        for board in self.boards:
            named_board(board)
        find_effort(self.effort)
        unknown = [name for name in self.methods if name not in METHODS]
        if unknown:
            raise SearchError(f"unknown method {unknown[0]!r}; it is one of {', '.join(METHODS)}")
        check_start_up(self.compared, self.sampler_trials)
        for option, file, ending in (
            ("--plot", self.plot, ".html"),
            ("--markdown", self.markdown, ".md"),
        ):
            if file is not None and Path(file).suffix != ending:
                raise ScheduleError(f"{option} {file}: name a file that ends in {ending}")
            if file is not None and not Path(file).parent.is_dir():
                raise ScheduleError(f"{option} {file}: there is no such directory; create it first")
            if file is not None:
                check_name(Path(file))
        for net in self.nets:
            split_path(net)

    @property
    def is_single(self) -> bool:
        """Whether one network is compared, on one board and in one batch."""
        return len(self.nets) == len(self.boards) == len(self.batches) == 1

    @property
    def command(self) -> str:
        """The command line that makes the same tables."""
        several = [("--board", self.boards), ("--batch", self.batches), ("--method", self.methods)]
        parts = [
            word
            for option, values in several
            for value in values
            if value is not None
            for word in (option, str(value))
        ]
        if self.allow_host:
            parts.append("--allow-host")
        if self.allow_known_faults:
            parts.append("--allow-known-faults")
        if self.all_samplers:
            parts.append("--all-samplers")
        if self.trials is not None:
            parts += ["--trials", str(self.trials)]
        if set(self.compared) & set(OPTUNA_SAMPLERS):
            parts += ["--sampler-trials", str(self.sampler_trials)]
        parts += ["--seeds", str(self.seeds), "--effort", self.effort]
        if self.markdown is not None:
            parts += ["--markdown", hints.short_path(self.markdown)]
        return hints.command("bench", *map(hints.short_path, self.nets), *parts)


class _Watcher:
    """Shows on one line which method runs, and says what it came to."""

    def __init__(self, output: Screen, screen: SearchScreen) -> None:
        self._console = output.console
        self._screen = screen

    def on_method(self, network: str, method: str, seed: int | None) -> None:
        exits.check_interrupt()
        self._screen.begin(f"{network}: {method}", "" if seed is None else f"seed {seed}")

    def on_result(self, network: str, result: MethodResult) -> None:
        exits.check_interrupt()
        best = result.typical.best
        outcome = "rejected" if best is None else words.latency(best.latency_us, best.kind)
        trials = words.count(len(result.typical.points), "trial")
        say(self._console, f"  {network}, {result.name}: {outcome}, {trials}")


def run_bench(output: Screen, request: BenchRequest) -> None:
    """Compare on every board, network and batch, and print and write the results.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    request.check()
    kind = choose_device(request.device)
    speed = _measured_speed(output, request, kind) if request.speed else None
    comparisons: list[NetworkComparison] = []
    failed: list[dict[str, Any]] = []
    host_layers: dict[str, Any] = {}

    def leave_out(network: Network, board: str, error: SearchError) -> None:
        """Go on with the others where there are any."""
        if request.is_single:
            raise error
        said = str(error)
        say(output.console, f"{network.name} on {board} is left out: {said}", "yellow")
        row = {"network": network.name, "board": board, "batch": network.batch, "reason": said}
        failed.append(row)

    with closing(prepared_benches(output, request, kind, leave_out)) as benches:
        for prepared in benches:
            if request.compared == (HAND_TUNED,) and prepared.hand_tuned is None:
                leave_out(prepared.bench.network, prepared.bench.board.name, _NO_HAND_TUNED)
                continue
            host_layers[prepared.bench.network.name] = host_rows(prepared.bench.network)
            comparisons.append(_compared(output, request, prepared))
            print_comparison(output.console, comparisons[-1])
            # After each, so that what is done is there when a later one fails or is interrupted.
            _write(request, comparisons, failed)
    if not comparisons:
        raise SearchError(f"none of the {len(failed)} could be scheduled; the reasons are above")
    _write(request, comparisons, failed)
    for file in filter(None, (request.markdown, request.plot)):
        say(output.console, f"Written: {file}")
    plain: dict[str, Any] = {
        "networks": [item.to_plain() for item in comparisons],
        "failed": failed,
        "host_layers": host_layers,
    }
    output.result(plain if speed is None else {**plain, "speed": speed})


@dataclass(frozen=True)
class PreparedBench:
    """A network to be probed and compared, and the screen that shows what is done.

    ``hand_tuned`` is None where nobody has written a schedule for it.
    """

    bench: Bench
    screen: SearchScreen
    hand_tuned: Schedule | None


LeaveOut = Callable[[Network, str, SearchError], None]
"""What to do with a network that has no schedule on a board; it may raise the error."""


def _refuse(_network: Network, _board: str, error: SearchError) -> None:
    raise error


def prepared_benches(
    output: Screen, request: BenchRequest, kind: str, leave_out: LeaveOut = _refuse
) -> Generator[PreparedBench, None, None]:
    """Probe every network, in every batch and on every board, one after the other.

    To be closed if it is left early: workers run, and a screen is shown.
    """
    with open_writable(request.storage) as store:
        for board in map(named_board, request.boards):
            say(output.console, f"Device: {describe_device(kind, board.name, request.device)}")
            with ExitStack() as devices:
                device = devices.enter_context(open_pool(board, kind, jobs=request.jobs))
                scout = None
                if kind == "silicon":
                    scout = devices.enter_context(open_pool(board, jobs=request.jobs))
                for prepared in _prepared(output, request, store, device, scout):
                    with prepared.screen.shown():
                        if _is_ready(prepared, leave_out):
                            yield prepared


def _is_ready(prepared: PreparedBench, leave_out: LeaveOut) -> bool:
    """Probe and prove; return whether there is anything to compare."""
    bench = prepared.bench
    try:
        bench.prepare(prepared.screen.on_phase)
        return bench.proof.bound_us > 0
    except SearchError as error:
        leave_out(bench.network, bench.board.name, error)
        return False


def _prepared(
    output: Screen, request: BenchRequest, store: Store, device: Device, scout: Device | None
) -> Iterator[PreparedBench]:
    for net in request.nets:
        for batch in request.batches:
            network = captured_network(output, net, batch, allow_host=request.allow_host)
            settings = Settings(
                hints.absolute_path(net),
                device.kind,
                effort=request.effort,
                allow_known_faults=request.allow_known_faults,
            )
            network, by_hand = hand_tuned(output, net, network, device.board.name)
            known = [] if by_hand is None else [by_hand]
            bench = Bench(network, device, store, settings, scout, known)
            yield PreparedBench(bench, SearchScreen(output.console), by_hand)


def _compared(output: Screen, request: BenchRequest, prepared: PreparedBench) -> NetworkComparison:
    bench = prepared.bench
    effort = find_effort(request.effort)
    return compare(
        bench,
        _Watcher(output, prepared.screen),
        trials=effort.trials if request.trials is None else request.trials,
        seeds=range(request.seeds),
        hand_tuned=prepared.hand_tuned,
        methods=request.compared,
        sampler_trials=request.sampler_trials,
    )


def _measured_speed(output: Screen, request: BenchRequest, kind: str) -> dict[str, Any]:
    """Time the main job on the first network, batch and board."""
    from autosched.bench.speed import measure_speed

    effort = find_effort(request.effort)
    net, batch = request.nets[0], request.batches[0]
    settings = Settings(hints.absolute_path(net), kind, effort=effort.name)
    speed = measure_speed(
        lambda: captured_network(output, net, batch, allow_host=request.allow_host),
        named_board(request.boards[0]).name,
        settings,
        request.trials,
        request.jobs,
    ).to_plain()
    for name, value in speed.items():
        text = f"{value:,.2f}" if isinstance(value, float) else str(value)
        say(output.console, f"  {name}: {text}")
    return speed


def _write(
    request: BenchRequest, comparisons: list[NetworkComparison], failed: list[dict[str, Any]]
) -> None:
    if request.markdown is not None:
        page = comparison_markdown(comparisons, request.command, failed)
        replace_file(Path(request.markdown), page)
    if request.plot is not None:
        from autosched.report.bench_tables import write_plot

        write_plot(comparisons, Path(request.plot))


def time_solver(output: Screen, request: BenchRequest) -> None:
    """Probe every network, solve its tables, and print and write the figures.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    _check_timed_alone(request)
    request.check()
    speeds = []
    kind = choose_device(request.device)
    with closing(prepared_benches(output, request, kind)) as benches:
        for prepared in benches:
            exits.check_interrupt()
            prepared.screen.begin(f"{prepared.bench.network.name}: solver", "")
            speeds.append(measure_solver(prepared.bench))
    print_speeds(output.console, speeds)
    if request.markdown is not None:
        replace_file(Path(request.markdown), speeds_markdown(speeds))
        say(output.console, f"Written: {request.markdown}")
    if request.plot is not None:
        write_growth(speeds, Path(request.plot))
        say(output.console, f"Written: {request.plot}")
    output.result({"solver": [speed.to_plain() for speed in speeds]})


def _check_timed_alone(request: BenchRequest) -> None:
    """Refuse what says how methods are compared, where none is."""
    named = {
        "--method": request.methods,
        "--all-samplers": request.all_samplers,
        "--trials": request.trials is not None,
        "--speed": request.speed,
    }
    idle = [option for option, is_named in named.items() if is_named]
    if idle:
        raise SearchError(
            f"--solver times the exact solver and compares nothing; leave out {', '.join(idle)}"
        )
