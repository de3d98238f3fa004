"""The steps of ``autosched calibrate --network``: which times of a card matter, what they teach."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosched.boards import Board
from autosched.budget import Budget
from autosched.cli import exits, hints
from autosched.cli.steps.inputs import captured_network
from autosched.cli.steps.search_request import parse_duration
from autosched.cost.coefficients import Coefficients
from autosched.cost.coefficients import save as save_coefficients
from autosched.cost.model_choice import base_model, keep_calibration
from autosched.device.interface import TimingSettings
from autosched.device.machine import card_firmware, check_kind, silicon_devices, ttnn_version
from autosched.device.pool import DevicePool, open_pool
from autosched.device.which_board import wanted_board
from autosched.device.worker import WorkerDevice
from autosched.errors import BoardError, ProfileError
from autosched.export.saving import check_target, save_schedule
from autosched.learning.decisions import Decision
from autosched.learning.session import Lesson, learn
from autosched.learning.timetable import LearningTask, Piece
from autosched.network.graph import Network
from autosched.probing.execution_judge import load_judge
from autosched.probing.probe_book import Phase, ProbeBook
from autosched.report import words
from autosched.report.learning_table import answer_line, lesson_plain, print_lesson
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.schedule.outcomes import AloneTime, Rejection
from autosched.space.efforts import find_effort
from autosched.space.formats import parse_formats
from autosched.store.database import Store, open_writable
from autosched.store.probes import DeviceKey
from autosched.store.studies import check_stored_name

_SILICON = "silicon"


@dataclass(frozen=True)
class LearningRequest:
    """What is to be learned, as the user typed it; None and "" where nothing was named."""

    net: str
    device: str
    board: str | None
    batch: int | None
    measurements: int
    time_limit: str | None
    effort: str
    formats: Mapping[str, Any]
    name: str | None
    output: str | None
    storage: str | None
    export: str | None = None

    @property
    def command(self) -> str:
        """The command line that goes on after an interruption."""
        named = {
            "--board": self.board,
            "--batch": self.batch,
            "--measurements": self.measurements,
            "--effort": self.effort,
            "--save": self.name,
            "--output": self.output,
            "--export": self.export,
            **{f"--{name}": self.formats[name] for name in ("weights", "activations", "fidelity")},
        }
        words = [word for option, value in named.items() if value for word in (option, str(value))]
        if self.formats["fp32_accumulation"]:
            words.append("--fp32-accumulation")
        asked = ("--device", self.device, "--network", self.net)
        return hints.command("calibrate", *asked, *words, storage=self.storage)

    def check(self) -> None:
        """Refuse what can be refused before anything slow is done.

        Raises:
            BoardError: if there is no card, or another kind of device was named.
            SearchError: for an unknown effort or format, or a time that is none.
            StudyError: if the name is none that can be stored.
            ProfileError: if the coefficients could not be written where they are wanted.
            ScheduleError: if the schedule could not be.
        """
        check_kind(self.device)
        if self.device == "mock":
            raise BoardError(
                "the mock device takes no time that anything could be learned from; name --device "
                "silicon on a machine with a card"
            )
        find_effort(self.effort)
        parse_formats(**self.formats)
        if self.time_limit is not None:
            parse_duration(self.time_limit, "--time-limit")
        if self.name is not None:
            check_stored_name(self.name, "calibration")
        if self.output is not None and not Path(self.output).absolute().parent.is_dir():
            raise ProfileError(f"{self.output}: there is no such directory")
        if self.export is not None:
            check_target(Path(self.export))
        check_card()


def check_card() -> None:
    """Make sure that there is a card.

    Raises:
        BoardError: if there is none.
    """
    if not silicon_devices():
        raise BoardError(
            "no Tenstorrent card on this machine (nothing in /dev/tenstorrent), and --network "
            "learns from a card's times; with its profiles at hand, name them: autosched "
            "calibrate FILES..."
        )


def open_card(board: Board) -> WorkerDevice:
    """Return the card, in a process of its own."""
    return WorkerDevice(board, _SILICON, TimingSettings())


def learn_from_card(output: Screen, asked: LearningRequest) -> None:
    """Time what matters for a network's schedule, learn from it, and keep what was learned.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    asked.check()
    budget = Budget.of(
        None if asked.time_limit is None else parse_duration(asked.time_limit, "--time-limit")
    )
    board = wanted_board(asked.board, _SILICON)
    with ExitStack() as opened:
        store = opened.enter_context(open_writable(asked.storage))
        say(output.console, f"Device: {board.name}, a card on this machine; times are measured")
        say(output.console, f"Database: {store.describe()}")
        network = captured_network(output, asked.net, asked.batch)
        card = opened.enter_context(open_card(board))
        scout = opened.enter_context(open_pool(board))
        scout.load(network)
        task = task_of(store, network, board, asked, scout)
        screen = SearchScreen(output.console)
        opened.enter_context(screen.shown())
        listener = _LearningScreen(output, screen, asked.measurements, task.book)
        lesson = learn(task, card, asked.measurements, listener, budget)
    name = asked.name or f"card-{board.name}"
    print_lesson(output.console, lesson)
    exported = None
    if asked.export is not None:
        exported = str(save_schedule(lesson.schedule, asked.export))
        say(output.console, f"Exported: {exported}")
        going_on = hints.command(
            "run", asked.net, "--device", asked.device, "--start", exported, storage=asked.storage
        )
        say(output.console, "Run it as a whole, and search on from it:")
        say(output.console, f"  {going_on}", "cyan")
    kept = _kept(output, asked, lesson, name)
    output.result({**lesson_plain(lesson), **kept, "schedule": exported})


def task_of(
    store: Store, network: Network, board: Board, asked: LearningRequest, scout: DevicePool
) -> LearningTask:
    """Return what is learned for; ``scout`` is a mock device of the board."""
    version = ttnn_version()
    base = base_model(store, board.arch, version)
    judge = load_judge(store, network, board.arch, version)
    key = DeviceKey(board.name, scout.kind, version)
    book = ProbeBook(store, scout, key, base.model, judge)
    return LearningTask(
        network=network,
        board=board,
        ttnn_version=version,
        formats=parse_formats(**asked.formats),
        effort=find_effort(asked.effort),
        book=book,
        store=store,
        firmware=card_firmware(),
    )


def _kept(output: Screen, asked: LearningRequest, lesson: Lesson, name: str) -> dict[str, Any]:
    """Keep what was learned where it was asked for; return what says so in JSON."""
    if lesson.taken + lesson.known == lesson.rejected:
        say(output.console, "Nothing was timed, so that there is nothing to keep")
        return {"saved": None, "written": []}
    with open_writable(asked.storage) as store:
        keep_calibration(store, name, [lesson.coefficients])
        say(
            output.console,
            f"Kept as {name} ({lesson.coefficients.version}) in {store.describe()}; new searches "
            "there use it, studies keep the model they began with",
        )
    written = [] if asked.output is None else [_written(lesson.coefficients, Path(asked.output))]
    for path in written:
        say(output.console, f"Written: {path}")
    return {"saved": name, "written": [str(path) for path in written]}


def _written(coefficients: Coefficients, path: Path) -> Path:
    target = path if path.suffix == ".json" else path / f"{coefficients.arch}.json"
    try:
        target.parent.mkdir(exist_ok=True)
        save_coefficients(coefficients, target)
    except OSError as error:
        raise ProfileError(f"{target}: cannot be written: {error.strerror}") from error
    return target


class _LearningScreen:
    """Shows what is asked of the card, and each answer."""

    def __init__(self, output: Screen, screen: SearchScreen, wanted: int, book: ProbeBook) -> None:
        self._output = output
        self._screen = screen
        self._wanted = wanted
        self._book = book
        self._number = 0

    def on_phase(self, phase: Phase, done: int, total: int, detail: str) -> None:
        """Show how far something is."""
        exits.check_interrupt()
        self._screen.on_phase(phase, done, total, detail, self._book.counts)

    def on_decision(self, decision: Decision, taken: int) -> None:
        """Say what is best by now, and what not knowing better is expected to cost."""
        exits.check_interrupt()
        self._number = taken
        best_us, loss_us = decision.best.cost_us, decision.expected_loss_us
        say(
            self._output.console,
            f"After {words.count(taken, 'time')}: best schedule {words.microseconds(best_us)} "
            f"{words.MICRO} (estimated), {words.share(loss_us / best_us)} of it expected to be "
            "lost by not knowing better",
        )

    def on_answer(self, piece: Piece, estimated_us: float, answer: AloneTime | Rejection) -> None:
        """Say what the card answered."""
        self._number += 1
        line = answer_line(piece, estimated_us, answer)
        say(self._output.console, f"  {self._number} of {self._wanted}, {line}")
        exits.check_interrupt()
