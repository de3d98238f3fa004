"""What ``run`` and ``resume`` share: a search with its screen, its result and its way out."""

import gc
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from autosched.boards import Board, find_board
from autosched.cli import exits, hints
from autosched.cli.steps.inputs import (
    captured_file,
    captured_network,
    check_start,
    describe_device,
    loaded_file,
    network_file_of,
    packed_network,
    read_pins,
    read_schedule,
)
from autosched.cli.steps.packing_run import (
    Tried,
    chosen_packing,
    parse_images,
)
from autosched.cli.steps.search_request import Target, Wishes
from autosched.cluster.workplace import Workplace
from autosched.errors import NetworkFileError, SearchError, StudyError
from autosched.export.saving import save_schedule
from autosched.network.ends import Ends
from autosched.network.graph import Network
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.probing.restrictions import freezing_pins
from autosched.report import words
from autosched.report.layer_rows import host_rows
from autosched.report.margin import margin_of
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.report.summary import SearchResult, print_next, print_result
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.schedule import Schedule
from autosched.search.open_study import (
    default_study_name,
    network_difference,
    open_study,
    own_study_name,
)
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.store.database import Store, open_writable
from autosched.store.studies import StudyRecord, check_stored_name, find_study, get_study
from autosched.store.trials import TrialRecord

_NAMED_RULES = 6


class GoingOn:
    """The command that goes on after an interruption; another one once the study is stored."""

    def __init__(self, command: str) -> None:
        self.command = command


@contextmanager
def interruptible(
    output: Screen, going_on: GoingOn, kept: str = "finished trial and probe"
) -> Iterator[None]:
    """Say how to go on if a signal ends the body, whatever a library made of it.

    ``kept`` says what of it is stored, "" where nothing is.
    """
    try:
        yield
    except BaseException:
        if not exits.received():
            raise
        stored = f"; every {kept} is stored" if kept else ""
        say(output.console, f"\nInterrupted{stored}. Go on with:")
        say(output.console, f"  {going_on.command}", "cyan")
        raise exits.Interrupted from None


class _Screen(SearchScreen):
    """A search screen that ends the search when a signal's exception was swallowed."""

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        exits.check_interrupt()
        super().on_phase(phase, done, total, detail, counts)

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        super().on_trial(trial, best)
        exits.check_interrupt()


def search_and_report(
    output: Screen,
    study: Study,
    wishes: Wishes,
    storage: str | None,
    began: float,
    start: Schedule | None = None,
) -> None:
    """Search, and print or write what it came to; ``began`` is when the command started."""
    settings = study.settings
    best = watched_search(output, study, wishes, began, start)
    path = None
    if wishes.export is not None and best is not None and best.schedule is not None:
        path = save_schedule(best.schedule, wishes.export)
    summaries = study.summaries
    result = SearchResult(
        study=study.record,
        trials=summaries,
        best=best,
        proof=study.proof,
        floor_bound_us=study.floor_bound_us,
        counts=study.probe_counts,
        wall_s=time.monotonic() - began,
        outside_share=_outside_share(study, best),
        schedule_path=path,
        host_layers=host_rows(study.network),
        stopped="" if study.stopped is None else study.stopped.value,
        soaked=study.soaked,
        margin=margin_of(best, summaries, study.cost, study.trial),
    )
    report(output, result, settings, storage)


def watched_search(
    output: Screen, study: Study, wishes: Wishes, began: float, start: Schedule | None = None
) -> TrialRecord | None:
    """Search behind a screen, and return the best; ``began`` is when the command started."""
    deadline = None if wishes.timeout is None else wishes.deadline_s(began)
    screen = _Screen(output.console, deadline)
    with screen.shown():
        screen.begin("opening", f"the {study.settings.device} device")
        # What is there by now stays: the collector need not go through it again and again.
        gc.freeze()
        try:
            return study.optimize(
                trials=wishes.trials,
                timeout_s=None if deadline is None else max(0.0, deadline - time.monotonic()),
                observer=screen,
                start=start,
            )
        finally:
            gc.unfreeze()


def _outside_share(study: Study, best: TrialRecord | None) -> float | None:
    """Return how much of an estimate is far outside the calibration data, None if measured."""
    if best is None or best.latency_kind is not TimeKind.ESTIMATED:
        return None
    return study.cost.outside_share(best.ops)


def report(output: Screen, result: SearchResult, settings: Settings, storage: str | None) -> None:
    """Print a search's result, and as JSON where that is asked for."""
    print_result(output.console, result)
    exported = "" if result.schedule_path is None else str(result.schedule_path)
    if exported:
        say(output.console, f"Exported: {exported}")
    has_run = result.best is not None
    lines = hints.after_search(result.study.name, storage, settings, exported, has_run=has_run)
    print_next(output.console, lines)
    output.result(result.to_plain())


@dataclass(frozen=True)
class Resumed:
    """A stored study to go on with, as the user typed it; ``jobs`` workers probe.

    ``net`` is the network file to take in place of its own, as it must be where ``safe`` is set.
    Without ``check`` the captured network is not compared with its module.
    """

    name: str
    storage: str | None
    net: str | None = None
    safe: bool = False
    jobs: int | None = None
    check: bool = True
    cluster: str | None = None


def resume_search(output: Screen, asked: Resumed, wishes: Wishes, began: float) -> None:
    """Go on with a stored study.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    wishes.check()
    with open_writable(asked.storage) as store:
        record = get_study(store, asked.name)
        settings = wishes.over(Settings.from_plain(record.settings))
        with reopened(output, store, record, settings, asked) as study:
            search_and_report(output, study, wishes, asked.storage, began)


@contextmanager
def reopened(
    output: Screen, store: Store, record: StudyRecord, settings: Settings, asked: Resumed
) -> Iterator[Study]:
    """Capture a stored study's network again, and open the study of the record's name for it.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    net = network_file_of(record, settings, asked.net, safe=asked.safe)
    board = find_board(record.board)
    with _workplace(output, asked.cluster, asked.jobs) as workplace:
        kind = workplace.kind(settings.device, board)
        _say_device(output, workplace, kind, board, settings.device)
        say(output.console, f"Database: {store.describe()}")
        with workplace.open(board, kind, settings.timing) as pool:
            pool.start(1)
            network = _captured_again(output, record, settings, net, check=asked.check)
            with open_study(store, network, record.board, settings, record.name, pool) as study:
                introduce(output, store, study)
                yield study


def _workplace(output: Screen, cluster: str | None, jobs: int | None) -> Workplace:
    return Workplace(cluster, jobs, lambda line: say(output.console, line))


def _say_device(output: Screen, workplace: Workplace, kind: str, board: Board, wanted: str) -> None:
    said = workplace.describe(kind, board) or describe_device(kind, board.name, wanted)
    say(output.console, f"Device: {said}")


def _captured_again(
    output: Screen, record: StudyRecord, settings: Settings, net: str, *, check: bool
) -> Network:
    try:
        return captured_network(
            output,
            net,
            record.batch,
            allow_host=settings.allow_host,
            check=check,
            io=settings.io,
            pack_images=settings.pack_images,
        )
    except NetworkFileError as error:
        moved = hints.command("run", "NEW/PLACE/NET.PY", "--study", record.name)
        raise NetworkFileError(
            f"{error} If the file of study {record.name!r} has moved: {moved}"
        ) from None


def run_search(
    output: Screen, target: Target, wishes: Wishes, going_on: GoingOn, began: float
) -> None:
    """Search a network file, printing each step.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    wishes.check()
    _check(target)
    packed = parse_images(target.pack_images)
    with _workplace(output, target.cluster, target.jobs) as workplace:
        board = workplace.board(target.board, target.device)
        start = None
        if target.start is not None:
            start = read_schedule(output, target.start, safe=target.safe)
        with open_writable(target.storage) as store:
            named = None if target.name is None else find_study(store, target.name)
            if target.name is not None and named is None:
                check_stored_name(target.name)
            batch = named.batch if named is not None and target.batch is None else target.batch
            loaded = loaded_file(output, target.net, batch)
            if wishes.min_metric is None:
                wishes = replace(wishes, min_metric=loaded.metric_floor)
            images = len(loaded.example_inputs[0])
            guess = default_study_name(loaded.name, board.name, images)
            likely = named if target.name is not None else find_study(store, guess)
            settings = target.likely_settings(likely)
            kind = workplace.kind(settings.device, board)
            _say_device(output, workplace, kind, board, settings.device)
            say(output.console, f"Database: {store.describe()}")
            timing = settings.timing
            with workplace.open(board, kind, timing) as pool:
                pool.start(1)
                network = captured_file(
                    output,
                    loaded,
                    allow_host=settings.allow_host,
                    check=target.check,
                    io=target.io if target.io or named is None else settings.io,
                )
                if start is not None and packed is None:
                    packed = start.provenance.pack_images
                if packed is None:
                    asked = wishes.over(settings)
                    deadline_s = wishes.deadline_s(began)
                    tried = Tried(store, asked, board.name, pool, target.jobs, likely, deadline_s)
                    packed = chosen_packing(output, network, tried)
                network = packed_network(output, network, packed, check=target.check)
                name = target.name or _own_name(output, store, network, board.name, guess)
                wishes = _with_pins(output, target, wishes, network, start)
                settings = wishes.over(target.settings(find_study(store, name)))
                if (workplace.kind(settings.device, board), settings.timing) != (kind, timing):
                    raise StudyError(
                        f"study {name!r} is not run as {guess!r} is, which is of another network; "
                        "give it a name of its own with --study NAME"
                    )
                if start is not None and target.start is not None:
                    check_start(output, start, target.start, network, board.name, settings.formats)
                with open_study(
                    store, network, board.name, settings, name, pool, jobs=target.jobs
                ) as study:
                    if target.strict:
                        study.ask_store_alone()
                    going_on.command = hints.command(
                        "resume", study.name, storage=target.storage, cluster=target.cluster
                    )
                    introduce(output, store, study)
                    search_and_report(output, study, wishes, target.storage, began, start)


def _check(target: Target) -> None:
    """Refuse what can be refused before anything slow is done.

    Raises:
        AutoschedError: for an order of images, a format or a name that is none.
    """
    target.settings(None)
    if target.io is not None:
        Ends.parse(target.io)
    if target.freeze and target.start is None:
        raise SearchError("--freeze keeps layers of a schedule; name it with --start SCHEDULE")
    if target.name == "":
        raise StudyError("--study '' is no name; give one, or leave the option out")


def _with_pins(
    output: Screen, target: Target, wishes: Wishes, network: Network, start: Schedule | None
) -> Wishes:
    """Return wishes with the formats of a schedule pinned, and layers that stay as at the start.

    Own pins of formats go before.
    """
    pins = wishes.pinned
    if target.formats_of is not None:
        formats = target.settings(None).formats
        read = read_pins(output, target.formats_of, network, formats, safe=target.safe)
        pins = (*read, *pins)
    if start is not None:
        pins = (*pins, *(pin.text for pin in freezing_pins(start, target.freeze)))
    return replace(wishes, pinned=pins)


def _own_name(output: Screen, store: Store, network: Network, board: str, guess: str) -> str:
    """Return the study's name where the user gave none, and say if it is not the usual one."""
    name = own_study_name(store, network, board)
    other = find_study(store, guess)
    if name != guess and other is not None and other.board != board:
        say(
            output.console,
            f"Study {guess} is of what is called board {other.board} today; this one is {name}",
            "yellow",
        )
    elif name != guess and other is not None and other.network_signature != network.signature:
        why = network_difference(store, other, network)
        say(
            output.console,
            f"Study {guess} is of another network of this name{f' ({why})' if why else ''}; this "
            f"one is {name}",
            "yellow",
        )
    return name


def introduce(output: Screen, store: Store, study: Study) -> None:
    """Say which study this is, and on what its numbers rest."""
    before = len(study.summaries)
    state = f"goes on after {words.count(before, 'trial')}" if before else "is new"
    settings = study.settings
    say(
        output.console,
        f"Study: {study.name} {state}; sampler {settings.sampler}, effort {settings.effort.name}",
    )
    for rule in settings.restrictions[:_NAMED_RULES]:
        say(output.console, f"Restriction: {rule}")
    if len(settings.restrictions) > _NAMED_RULES:
        rest = len(settings.restrictions) - _NAMED_RULES
        say(output.console, f"  and {words.count(rest, 'more restriction')}")
    say(output.console, f"Formats: {settings.formats}")
    floors = settings.min_pcc, settings.min_metric
    say(output.console, f"  {words.accuracy(*floors, searched=settings.search_formats)}")
    if settings.device == "mock":
        chosen = study.cost_choice
        say(output.console, f"Times: estimated by cost model {chosen.model.version}")
        say(output.console, f"  {chosen.source}")
    if store.describe().startswith("/"):
        say(output.console, f"Dashboard: {shlex.join(['optuna-dashboard', store.shown_url])}")
