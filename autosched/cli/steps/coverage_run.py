"""The steps of ``autosched coverage``: check, capture all, schedule each, print and write."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from autosched.bench.comparison import MethodResult
from autosched.bench.coverage import Captured, CoverageRow, capture_timed, cover
from autosched.bench.floors import FIXED, FormatRow, searched_at
from autosched.boards import Board
from autosched.cli import exits, hints
from autosched.cli.steps.accuracy_run import rows_of
from autosched.cli.steps.inputs import captured_file, describe_device, loaded_file
from autosched.cli.steps.search_session import GoingOn, interruptible
from autosched.device.machine import choose_device
from autosched.device.pool import open_pool
from autosched.device.which_board import named_board
from autosched.errors import NetworkFileError, ScheduleError, SearchError
from autosched.files import check_name, replace_file
from autosched.network.capture.network_file import split_path
from autosched.network.graph import Network
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.report import words
from autosched.report.coverage_table import (
    coverage_markdown,
    floors_markdown,
    print_coverage,
    print_floors,
)
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.search.settings import Settings
from autosched.space.efforts import find_effort
from autosched.store.database import Store, open_writable

_STUDIES = Path(__file__).resolve().parents[3] / "studies"


@dataclass(frozen=True)
class CoverageRequest:
    """What is to be covered, as the user typed it; no nets stands for all of ``studies/``."""

    nets: tuple[str, ...]
    boards: tuple[str, ...]
    batch: int | None
    device: str
    trials: int | None
    effort: str
    storage: str | None
    markdown: str | None
    allow_host: bool = False
    jobs: int | None = None
    side: int | None = None
    min_pcc: float | None = None

    def check(self) -> None:
        """Refuse what can be refused before anything slow is done.

        Raises:
            BoardError, SearchError: for an unknown board or effort.
            NetworkFileError: for a network file that is not there.
            ScheduleError: if the table could not be written where it is wanted.
        """
        for board in self.boards:
            named_board(board)
        find_effort(self.effort)
        if self.markdown is not None:
            _check_page(Path(self.markdown))
        for net in self.nets:
            split_path(net)

    @property
    def files(self) -> tuple[str, ...]:
        """The network files.

        Raises:
            NetworkFileError: if none is named and there is no ``studies/`` beside the package.
        """
        if self.nets:
            return self.nets
        found = tuple(hints.short_path(str(path)) for path in sorted(_STUDIES.glob("*.py")))
        if not found:
            raise NetworkFileError(
                "name the network files to cover: studies/ comes with a checkout, not the package"
            )
        return found

    @property
    def command(self) -> str:
        """The command line that makes the same tables."""
        parts = [word for board in self.boards for word in ("--board", board)]
        if self.batch is not None:
            parts += ["--batch", str(self.batch)]
        if self.side is not None:
            parts += ["--side", str(self.side)]
        if self.allow_host:
            parts.append("--allow-host")
        if self.trials is not None:
            parts += ["--trials", str(self.trials)]
        if self.min_pcc is not None:
            parts += ["--min-pcc", f"{self.min_pcc:g}"]
        parts += ["--effort", self.effort]
        if self.markdown is not None:
            parts += ["-o", hints.short_path(self.markdown)]
        return hints.command("coverage", *map(hints.short_path, self.nets), *parts)


def _check_page(path: Path) -> None:
    if path.suffix != ".md":
        raise ScheduleError(f"--output {path}: name a file that ends in .md")
    if not path.parent.is_dir():
        raise ScheduleError(f"--output {path}: there is no such directory; create it first")
    check_name(path)


class _Watcher:
    """Shows on one line what runs, and lets a signal end it."""

    def __init__(self, screen: SearchScreen) -> None:
        self._screen = screen

    def on_method(self, network: str, method: str, seed: int | None) -> None:  # noqa: ARG002
        exits.check_interrupt()
        self._screen.begin(f"{network}: {method}")

    def on_result(self, network: str, result: MethodResult) -> None:  # noqa: ARG002
        exits.check_interrupt()


def run_coverage(output: Screen, request: CoverageRequest) -> None:
    """Schedule every network on every board; print and write the tables.

    Raises:
        AutoschedError: for options that are wrong, or if no network at all could be captured. What
            a network raises is its row.
    """
    request.check()
    files = request.files
    kind = choose_device(request.device)
    if kind == "silicon":
        raise SearchError(
            "coverage compares estimates; on a card use 'autosched run' or 'autosched bench', or "
            "say --device mock"
        )
    if request.min_pcc is not None:
        _judge_floors(output, request, files, request.min_pcc)
        return
    rows: list[CoverageRow] = []
    with (
        open_writable(request.storage) as store,
        interruptible(output, GoingOn(request.command)),
    ):
        for board in map(named_board, request.boards):
            say(output.console, f"Device: {describe_device(kind, board.name, request.device)}")
            with closing(_covered(output, request, store, board, files)) as covered:
                for row in covered:
                    rows.append(row)
                    _write(request, rows)
    print_coverage(output.console, rows)
    if request.markdown is not None:
        say(output.console, f"Written: {request.markdown}")
    output.result({"rows": [row.to_plain() for row in rows]})
    if not any(row.captured for row in rows):
        raise NetworkFileError("no network could be captured; the rows above say why")


def _covered(
    output: Screen,
    request: CoverageRequest,
    store: Store,
    board: Board,
    files: Sequence[str],
) -> Generator[CoverageRow, None, None]:
    effort = find_effort(request.effort)
    settings = Settings(device="mock", effort=effort.name)
    screen = SearchScreen(output.console)

    def progress(phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts) -> None:
        exits.check_interrupt()
        screen.on_phase(phase, done, total, detail, counts)

    with open_pool(board, jobs=request.jobs) as device, screen.shown():
        for row in cover(
            (_captured(output, net, request) for net in files),
            device,
            store,
            settings,
            trials=effort.trials if request.trials is None else request.trials,
            progress=progress,
            watcher=_Watcher(screen),
        ):
            say(output.console, f"  {row.network} on {row.board}: {_outcome(row)}")
            yield row


def _judge_floors(
    output: Screen, request: CoverageRequest, files: Sequence[str], floor: float
) -> None:
    """Search each network at a floor and with fixed formats; print and write the tables."""
    rows: list[FormatRow] = []
    settings = Settings(device="mock", effort=request.effort, allow_host=request.allow_host)
    ways = (FIXED, searched_at(floor))
    with (
        open_writable(request.storage) as store,
        interruptible(output, GoingOn(request.command)),
    ):
        for board in map(named_board, request.boards):
            networks = (_captured(output, net, request) for net in files)
            for row in rows_of(
                output, networks, store, board, ways, settings, request.trials, request.jobs
            ):
                rows.append(row)
                if request.markdown is not None:
                    replace_file(Path(request.markdown), floors_markdown(rows, request.command))
    print_floors(output.console, rows)
    if request.markdown is not None:
        say(output.console, f"Written: {request.markdown}")
    output.result({"rows": [row.to_plain() for row in rows]})
    if not any(row.inputs for row in rows):
        raise NetworkFileError("no network could be captured; the rows above say why")


def _write(request: CoverageRequest, rows: Sequence[CoverageRow]) -> None:
    """Write the table as far as it is: an interruption leaves what was reached."""
    if request.markdown is not None:
        replace_file(Path(request.markdown), coverage_markdown(rows, request.command))


def _captured(output: Screen, net: str, request: CoverageRequest) -> Captured:
    def capture() -> Network:
        from autosched.network.capture.network_file import with_smaller_images

        loaded = loaded_file(output, net, request.batch)
        if request.side is not None:
            loaded = with_smaller_images(loaded, request.side)
        return captured_file(output, loaded, allow_host=request.allow_host)

    return capture_timed(hints.network_name(net), capture)


def _outcome(row: CoverageRow) -> str:
    if not row.feasible:
        return row.reason or "no schedule ran"
    return (
        f"{words.latency(row.best_us, row.latency_kind)}, ttnn's default "
        f"{words.microseconds(row.default_us)}; {words.seconds(row.search_s)}"
    )
