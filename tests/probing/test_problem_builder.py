"""Which branch of a fork runs first: chosen by L1, kept in the schedule, obeyed by the device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import ReshardRequest
from autosched.device.worker import WorkerDevice
from autosched.errors import TimeUpError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Conv2d, Input, Output
from autosched.probing.candidates import Choice, ProbedTables
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.probing.probe_book import Ask, Phase, ProbeBook, Probed
from autosched.probing.problem_builder import ordered_problem
from autosched.probing.reshard_tables import probe_reshards
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome, TimeKind
from autosched.schedule.schedule import Provenance
from autosched.schedule.tensors import DataType, Edge, TensorLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.examples.layouts import ONE_CORE, height
from tests.examples.networks import BOARD

SHAPE = (1, 64, 32, 32)
SAME = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
CAPTURED = ["x", "wide", "narrow", "sum", "y"]


def fork() -> Network:
    return Network(
        "fork",
        (
            Layer("x", Input(), (), SHAPE),
            Layer("wide", SAME, ("x",), SHAPE),
            Layer("narrow", SAME, ("x",), SHAPE),
            Layer("sum", Binary("add"), ("wide", "narrow"), SHAPE),
            Layer("y", Output(), ("sum",), SHAPE),
        ),
    )


class NoReshards:
    """Answers as a book of probes in which no reshard works."""

    budget = UNLIMITED
    offers_unexecuted = True

    def ask_all(self, asks: Sequence[Ask], arrived: Callable[[int], object]) -> list[Rejection]:
        for index in range(len(asks)):
            arrived(index)
        return [Rejection(RejectionKind.INVALID, "no") for _ in asks]


class UnexecutedReshards(NoReshards):
    """In which every reshard works, and the kind of none was ever executed."""

    offers_unexecuted = False

    def ask_all(
        self, asks: Sequence[Ask], arrived: Callable[[int], object]
    ) -> list[Probed | Rejection]:
        if not self.offers_unexecuted:
            return [*super().ask_all(asks, arrived)]
        requests = [cast("ReshardRequest", request) for _, request in asks]
        return [
            Probed(ProbeOutcome((), (it.source,), it.target), 5.0, TimeKind.ESTIMATED, 0.0)
            for it in requests
        ]


def layout(tiles: int) -> TensorLayout:
    return height(32 * tiles, 32, ONE_CORE, dtype=DataType.BFLOAT16)


def choice(inputs: tuple[TensorLayout, ...], output: TensorLayout, scratch_bytes: int) -> Choice:
    return Choice(FixedConfig(), inputs or (output,), output, 1.0, scratch_bytes, ())


def tables(share: float) -> Mapping[str, tuple[Choice, ...]]:
    """ "wide" leaves a tensor, and "narrow" needs scratch, of this share of L1 each."""
    taken = int(share * BOARD.l1_bank_bytes)
    small, large = layout(1), layout(taken // 2048)
    slow = replace(choice((small,), small, 0), time_us=9.0)
    return {
        "x": (choice((), small, 0),),
        "wide": (choice((small,), large, 0), slow),
        "narrow": (choice((small,), small, taken),),
        "sum": (choice((large, small), small, 0), choice((small, small), small, 0)),
        "y": (choice((small,), small, 0),),
    }


def ordered(share: float) -> JointProblem:
    book = cast("ProbeBook", NoReshards())
    probed = ProbedTables(tables(share), {})
    return ordered_problem(fork(), probed, BOARD, book, lambda *_: None)


def names(layers: Any) -> list[str]:
    return [layer.name for layer in layers]


def test_the_captured_order_stays_where_l1_is_roomy() -> None:
    assert names(ordered(0.2).network) == CAPTURED


def test_a_branch_that_needs_room_goes_first() -> None:
    joint = ordered(0.6)
    assert names(joint.network) == ["x", "narrow", "wide", "sum", "y"]
    assert list(joint.tables) == names(joint.network)


def test_the_schedule_keeps_the_order_and_is_found_again() -> None:
    joint = ordered(0.6)
    chosen = Selection(dict.fromkeys(joint.tables, 0))
    schedule = joint.schedule(chosen, Provenance("fork", fork().signature, "n150", "0"))
    assert list(schedule.layers) == names(joint.network)
    assert joint.find(schedule) == chosen
    assert ordered(0.2).find(schedule) is None


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerDevice]:
    with WorkerDevice(BOARD) as device:
        yield device


@pytest.mark.parametrize("order", [CAPTURED, ["x", "narrow", "wide", "sum", "y"]])
def test_the_device_runs_a_schedule_in_its_order(worker: WorkerDevice, order: list[str]) -> None:
    network = fork()
    schedule = default_schedule(network, BOARD.name, "0", Formats())
    worker.load(network)
    layers = {name: schedule.layers[name] for name in order}
    ordered_schedule = replace(schedule, layers=layers)
    outcome = worker.run(ordered_schedule)
    assert (ordered_schedule.fingerprint() == schedule.fingerprint()) == (order == CAPTURED)
    assert isinstance(outcome, RunOutcome)
    ran = list(dict.fromkeys(op.layer for op in outcome.ops))
    assert [name for name in ran if name in order] == [name for name in order if name in ran]
    assert {"wide", "narrow", "sum"} <= set(ran)


class Timing:
    """A book whose reshards into one layout are measured, and others estimated."""

    def __init__(self, measured: TensorLayout) -> None:
        self.measured = measured

    def ask_all(self, asks: Sequence[Ask], **_: object) -> list[Probed]:
        return [self._answer(cast("ReshardRequest", request)) for _, request in asks]

    def _answer(self, asked: ReshardRequest) -> Probed:
        kind = TimeKind.MEASURED if asked.target == self.measured else TimeKind.ESTIMATED
        return Probed(ProbeOutcome((), (asked.source,), asked.target), 1.0, kind, 0.0)


def test_reshards_keep_where_their_times_are_from() -> None:
    own = tables(0.2)
    small, large = layout(1), own["wide"][0].output_layout
    book = cast("ProbeBook", Timing(small))
    reshards, _ = probe_reshards(fork(), own, book, lambda *_: None)
    table = reshards[Edge("wide", "sum", 0)]
    assert table.kind((large, small)) is TimeKind.MEASURED
    assert table.kind((small, large)) is TimeKind.ESTIMATED
    assert not table.impossible
    refused, _ = probe_reshards(fork(), own, cast("ProbeBook", NoReshards()), lambda *_: None)
    assert {(large, small), (small, large)} <= refused[Edge("wide", "sum", 0)].impossible
    assert not refused[Edge("wide", "sum", 0)].times_us


def test_what_is_known_of_unchanged_layers_is_not_asked_again() -> None:
    own = tables(0.2)
    known = probe_reshards(fork(), own, cast("ProbeBook", Timing(layout(1))), lambda *_: None)
    silent = cast("ProbeBook", NoReshards())
    asked: list[str] = []

    def note(layer: Layer, *_: int) -> None:
        asked.append(layer.name)

    assert probe_reshards(fork(), own, silent, note, known) == known
    assert asked == []
    again, _ = probe_reshards(fork(), own, silent, note, known, {"wide"})
    assert list(dict.fromkeys(asked)) == ["wide", "sum"]
    assert again[Edge("wide", "sum", 0)].times_us == {}
    assert again[Edge("x", "narrow", 0)] == known[0][Edge("x", "narrow", 0)]


def test_an_order_found_in_haste_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that goes on would come to another one."""
    phases: list[Phase] = []
    book = NoReshards()
    monkeypatch.setattr(book, "budget", Budget.of(0), raising=False)
    with pytest.raises(TimeUpError):
        ordered_problem(
            fork(),
            ProbedTables(tables(0.6), {}),
            BOARD,
            cast("ProbeBook", book),
            lambda phase, *_: phases.append(phase),
        )
    assert phases[-1] is Phase.ORDERING


def test_rather_a_reshard_that_nobody_executed_than_no_schedule() -> None:
    apart = {**tables(0.2), "y": (choice((layout(2),), layout(2), 0),)}
    for found, offered in ((tables(0.2), False), (apart, True)):
        book = UnexecutedReshards()
        joint = ordered_problem(
            fork(), ProbedTables(found, {}), BOARD, cast("ProbeBook", book), lambda *_: None
        )
        assert book.offers_unexecuted is offered
        assert bool(joint.reshards[Edge("sum", "y")].times_us) is offered
