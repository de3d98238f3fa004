"""The steps of ``pareto``, ``bench --min-pcc``, ``bench --mixes`` and ``coverage --min-pcc``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autosched.bench.coverage import Captured
from autosched.bench.floors import ALIKE, FIXED, FormatComparison, FormatRow, Way, searched_at
from autosched.bench.format_mixes import Additivity, MixDrawer
from autosched.boards import Board
from autosched.cli import exits, hints
from autosched.cli.steps.bench_run import BenchRequest
from autosched.cli.steps.inputs import captured_network, describe_device
from autosched.cli.steps.search_request import Wishes
from autosched.cli.steps.search_session import (
    GoingOn,
    Resumed,
    interruptible,
    reopened,
    watched_search,
)
from autosched.device.machine import choose_device, ttnn_version
from autosched.device.pool import open_pool
from autosched.device.which_board import named_board
from autosched.errors import SearchError
from autosched.files import replace_file
from autosched.network.graph import Network
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.report import words
from autosched.report.coverage_table import (
    formats_markdown,
    mixes_markdown,
    print_formats,
    print_mixes,
)
from autosched.report.front import check_picture, front_of, front_table, write_picture
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.search.run import StopReason
from autosched.search.settings import MIN_PCC, Settings
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_schedule
from autosched.store.database import Store, open_writable
from autosched.store.studies import StudyRecord, get_study

_SEED = 0


class _Interruptible(SearchScreen):
    """Ends at a signal whose exception was swallowed."""

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        exits.check_interrupt()
        super().on_phase(phase, done, total, detail, counts)


def rows_of(  # noqa: PLR0913, PLR0917 - what is asked, of whom
    output: Screen,
    networks: Iterable[Captured],
    store: Store,
    board: Board,
    ways: Sequence[Way],
    settings: Settings,
    trials: int | None,
    jobs: int | None,
) -> Iterator[FormatRow]:
    """Yield a row for each network and way of choosing formats; one without a network is one row.

    Raises:
        AutoschedError: if the database or the device fails for good.
    """
    screen = _Interruptible(output.console)
    with open_pool(board, settings.device, jobs=jobs) as device:
        for item in networks:
            if item.network is None:
                yield FormatRow(item.name, board.name, 0, (), "-", reason=item.reason)
                continue
            comparison = FormatComparison(item.network, device, store, settings)
            for way in ways:
                with screen.shown():
                    row = comparison.row(way, trials, screen)
                say(output.console, f"  {row.network} on {row.board}, {row.formats}: {_told(row)}")
                yield row


def _told(row: FormatRow) -> str:
    pcc = "" if row.pcc is None else f", PCC {row.pcc:.5f} (emulated)"
    time = row.reason if row.reason else words.latency(row.latency_us, row.latency_kind)
    return f"{time}{pcc}, {words.seconds(row.search_s)}"


def compare_formats(output: Screen, request: BenchRequest, floors: Sequence[float]) -> None:
    """Search at each floor, and with the same formats for all layers; print and write the tables.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    option = "--min-pcc"
    _check(request, option)
    rows: list[FormatRow] = []
    ways = (*ALIKE, FIXED, *map(searched_at, floors))
    command = _command(request, [word for floor in floors for word in (option, f"{floor:g}")])
    settings = Settings(device="mock", effort=request.effort, allow_host=request.allow_host)
    with open_writable(request.storage) as store, interruptible(output, GoingOn(command)):
        for board in map(named_board, request.boards):
            say(output.console, f"Device: {describe_device('mock', board.name, request.device)}")
            networks = (
                Captured(network.name, network, 0.0) for network in _networks(output, request)
            )
            for row in rows_of(
                output, networks, store, board, ways, settings, request.trials, request.jobs
            ):
                rows.append(row)
                if request.markdown is not None:
                    replace_file(Path(request.markdown), formats_markdown(rows, command))
    print_formats(output.console, rows)
    if request.markdown is not None:
        say(output.console, f"Written: {request.markdown}")
    output.result({"formats": [row.to_plain() for row in rows]})


def correlate_mixes(output: Screen, request: BenchRequest, count: int) -> None:
    """Draw mixes of formats, and compare what they lose with what is foretold.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    option = "--mixes"
    _check(request, option)
    found: list[Additivity] = []
    command = _command(request, [option, str(count)])
    with open_writable(request.storage) as store, interruptible(output, GoingOn(command), ""):
        for board in map(named_board, request.boards):
            settings = Settings(
                device="mock", effort=request.effort, min_pcc=MIN_PCC, search_formats=True
            )
            with open_pool(board, jobs=request.jobs) as device:
                for network in _networks(output, request):
                    comparison = FormatComparison(network, device, store, settings)
                    found.append(_drawn(output, comparison, network, board, count))
    print_mixes(output.console, found)
    if request.markdown is not None:
        replace_file(Path(request.markdown), mixes_markdown(found, command))
        say(output.console, f"Written: {request.markdown}")
    output.result({"mixes": [item.to_plain() for item in found]})


def _drawn(
    output: Screen, comparison: FormatComparison, network: Network, board: Board, count: int
) -> Additivity:
    screen = _Interruptible(output.console)
    with screen.shown():
        errors = comparison.study(searched_at(MIN_PCC)).errors(screen)
        formats = Formats()
        default = default_schedule(network, board.name, ttnn_version(), formats)
        drawer = MixDrawer(network, board, default, LayerFormats(network, formats), errors)

        def tell(done: int) -> None:
            exits.check_interrupt()
            screen.begin(f"{network.name}: mixes of formats, emulated", f"{done} of {count}")

        mixes = tuple(drawer.drawn(count, _SEED, tell))
    return Additivity(network.name, board.name, network.batch, mixes)


def _networks(output: Screen, request: BenchRequest) -> Iterator[Network]:
    for net in request.nets:
        for batch in request.batches:
            yield captured_network(output, net, batch, allow_host=request.allow_host)


def _command(request: BenchRequest, words_: Sequence[str]) -> str:
    return f"{request.command} {' '.join(words_)}"


def _check(request: BenchRequest, option: str) -> None:
    """Refuse what says how methods are compared, or asks for times of a card."""
    request.check()
    if choose_device(request.device) == "silicon":
        raise SearchError(
            f"{option} compares estimates and emulation; say --device mock beside a card"
        )
    named = {
        "--method": request.methods,
        "--all-samplers": request.all_samplers,
        "--speed": request.speed,
        "--plot": request.plot is not None,
    }
    idle = [name for name, is_named in named.items() if is_named]
    if idle:
        raise SearchError(f"{option} compares formats, no methods; leave out {', '.join(idle)}")


_FLOOR = 0.9
_SUFFIX = "-pareto"


@dataclass(frozen=True)
class Front:
    """A front that is asked for: of which study, from which floor, of how many schedules."""

    study: Resumed
    min_pcc: float | None
    points: int
    picture: str | None
    timeout: str | None


def trace_front(output: Screen, asked: Front, began: float) -> None:
    """Trace a front, or go on with it, and print it.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    wishes = Wishes(trials=asked.points, timeout=asked.timeout)
    wishes.check()
    picture = None if asked.picture is None else Path(asked.picture)
    if picture is not None:
        check_picture(picture)
    with open_writable(asked.study.storage) as store:
        base = get_study(store, asked.study.name)
        own = _record_of(base, asked.min_pcc)
        settings = Settings.from_plain(own.settings)
        with reopened(output, store, own, settings, asked.study) as study:
            watched_search(output, study, wishes, began)
            record, stopped = study.record, study.stopped
        points = front_of(store, record)
        say(output.console)
        say(output.console, "Time against accuracy (PCC and concordance of the worst output)")
        output.console.print(front_table(points))
        kind = points[0].kind.value if points else "of none"
        say(output.console, f"Latencies are {kind}; accuracy is emulated on inputs of its own")
        if stopped is not StopReason.FRONT:
            again = hints.command("pareto", asked.study.name, storage=asked.study.storage)
            why = "" if stopped is None else f": {stopped.value}"
            say(output.console, f"This is not all of it{why}; go on with: {again}", "yellow")
        if picture is not None:
            write_picture(store, record, picture)
            say(output.console, f"Picture: {picture}")
        say(output.console, "\nNext:")
        name, storage = record.name, asked.study.storage
        for words in (("export", name, "--trial", "N", "-o", "FILE.py"), ("show", name)):
            say(output.console, f"  {hints.command(*words, storage=storage)}", "cyan")
        output.result(
            {
                "study": record.name,
                "stopped": "" if stopped is None else stopped.value,
                "points": [point.to_plain() for point in points],
                "picture": None if picture is None else str(picture),
            }
        )


def _record_of(base: StudyRecord, floor: float | None) -> StudyRecord:
    """Return the record of a study's front, which is searched as the study is but for formats.

    The front of another floor than usual has the floor in its name.
    """
    settings = Settings.from_plain(base.settings)
    name = base.name
    if settings.front and floor in (None, settings.min_pcc):
        floor = settings.min_pcc
    else:
        name = f"{name.removesuffix(_SUFFIX) if settings.front else name}{_SUFFIX}"
        name += "" if floor in (None, _FLOOR) else f"-{floor:g}"
    wanted = replace(
        settings,
        sampler="joint",
        min_pcc=_FLOOR if floor is None else floor,
        min_metric=None,
        search_formats=True,
        front=True,
    )
    return replace(base, name=name, settings=wanted.to_plain())
