"""The lower bound holds for whatever the device makes of a schedule."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.budget import UNLIMITED, Budget
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Conv2d, Input, Output
from autosched.probing.candidates import Choice, ProbedTables, Tables
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import MIXED, Proof, prove, relative_gap, widened
from autosched.probing.probe_book import Ask, ProbeBook, Probed
from autosched.probing.problem_builder import ordered_problem
from autosched.probing.reshard_tables import LayoutChange, probe_reshards
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, TimeKind
from autosched.schedule.tensors import CoreRange, TensorLayout
from autosched.solver.solver import solve
from tests.examples.layouts import DRAM_8B, height
from tests.examples.networks import BOARD
from tests.examples.studied import Studied
from tests.solver.random_problems import every_schedule

if TYPE_CHECKING:
    from autosched.device.interface import ReshardRequest


def with_moves(joint: JointProblem, share: float) -> JointProblem:
    """The same tables, where a share of every layer's time is a move."""
    tables = {
        name: tuple(replace(choice, move_us=share * choice.time_us) for choice in choices)
        for name, choices in joint.tables.items()
    }
    left_out = {
        name: tuple(replace(choice, move_us=share * choice.time_us) for choice in choices)
        for name, choices in joint.left_out.items()
    }
    return JointProblem(
        joint.network, tables, joint.reshards, joint.spills, joint.board, left_out=left_out
    )


def test_no_trial_is_faster_than_the_bound(either: Studied) -> None:
    proof = prove(either.joint, 10.0)
    latencies = [trial.latency_us for trial in either.trials if trial.latency_us is not None]
    assert latencies
    assert proof.bound_us <= min(latencies) * (1 + 1e-9)


def test_without_moves_the_bound_is_the_optimum(either: Studied) -> None:
    without = with_moves(either.joint, 0.0)
    proof = prove(without, 10.0)
    assert proof.optimal
    assert proof.bound_us == pytest.approx(solve(without.problem).best.cost_us)
    assert proof.any_order_us <= proof.bound_us


def test_what_a_move_takes_is_left_out_of_the_bound(either: Studied) -> None:
    """The proposal counts it all the same."""
    moving = with_moves(either.joint, 0.25)
    still = with_moves(either.joint, 0.0)
    assert prove(moving, 10.0).bound_us < prove(still, 10.0).bound_us
    assert solve(moving.problem).best.cost_us == solve(still.problem).best.cost_us


def test_little_l1_raises_the_bound_of_one_order_only(either: Studied) -> None:
    joint = with_moves(either.joint, 0.0)
    peak = max(solve(joint.problem).best.peak_bytes)
    joint.bounding_problem = replace(joint.bounding_problem, capacity_bytes=peak - 1)
    tight = prove(joint, 10.0)
    roomy = prove(with_moves(either.joint, 0.0), 10.0)
    assert tight.bound_us >= tight.any_order_us
    assert tight.any_order_us == pytest.approx(roomy.any_order_us)


def test_what_is_reached_may_lack_moves_only() -> None:
    proof = Proof(bound_us=1000.0, any_order_us=990.0, optimal=True, seconds=0.1)
    assert proof.is_reached(1000.4)
    assert not proof.is_reached(1001.0)
    assert not proof.is_reached(None)


def test_the_gap_is_relative_to_the_bound() -> None:
    assert relative_gap(110.0, 100.0) == pytest.approx(0.1)
    assert relative_gap(100.0 - 1e-12, 100.0) == 0
    assert relative_gap(90.0, 100.0) == pytest.approx(-0.1)
    assert relative_gap(None, 100.0) is None
    assert relative_gap(1.0, None) is None


SHAPE = (1, 64, 32, 32)
CONV = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
REFUSED = Rejection(RejectionKind.INVALID, "no")


def sharded(cores: int, kib: int) -> TensorLayout:
    """Height shards of about ``kib`` KiB a core."""
    return height(32 * max(1, kib), 32, (CoreRange(0, 0, cores - 1, 0),))


@dataclass
class Reshards:
    """A book of probes that knows reshards alone, and counts what it is asked.

    A pair that is not among ``times_us`` takes ``otherwise_us``; None: the device refuses it.
    """

    times_us: Mapping[LayoutChange, float | None] = field(default_factory=dict)
    otherwise_us: float | None = 50.0
    kind: TimeKind = TimeKind.ESTIMATED
    refused: Rejection = REFUSED
    asked: list[LayoutChange] = field(default_factory=list)
    budget: Budget = UNLIMITED
    offers_unexecuted: bool = True

    def ask_all(self, asks: Sequence[Ask], **_: object) -> list[Probed | Rejection]:
        requests = [cast("ReshardRequest", request) for _, request in asks]
        return [self._answer(request.source, request.target) for request in requests]

    def _answer(self, source: TensorLayout, target: TensorLayout) -> Probed | Rejection:
        self.asked.append((source, target))
        time_us = self.times_us.get((source, target), self.otherwise_us)
        if time_us is None:
            return self.refused
        return Probed(ProbeOutcome((), (source,), target), time_us, self.kind, 0.0)

    def problem(self, network: Network, tables: ProbedTables) -> JointProblem:
        return ordered_problem(network, tables, BOARD, cast("ProbeBook", self), lambda *_: None)

    def widened(self, joint: JointProblem, budget: Budget | None = None) -> JointProblem:
        book = cast("ProbeBook", self)
        return widened(joint, book, lambda *_: None, budget=budget or Budget())


def chain(count: int) -> Network:
    layers = [Layer("x", Input(), (), SHAPE)]
    for index in range(count):
        layers.append(Layer(f"conv{index}", CONV, (layers[-1].name,), SHAPE))
    return Network("chain", (*layers, Layer("y", Output(), (layers[-1].name,), SHAPE)))


def split(everything: Tables, kept: int) -> ProbedTables:
    """Keep the fastest of each layer, as the tables do."""
    ranked = {
        name: sorted(choices, key=lambda item: item.time_us) for name, choices in everything.items()
    }
    return ProbedTables(
        {name: tuple(choices[:kept]) for name, choices in ranked.items()},
        {name: tuple(choices[kept:]) for name, choices in ranked.items()},
    )


def alike(network: Network, layouts: Sequence[TensorLayout]) -> Tables:
    """Each convolution in each layout: another one is fastest each time, by at most 2 us."""
    tables = {}
    for number, layer in enumerate(network):
        tables[layer.name] = tuple(
            Choice(
                Conv2dConfig(act_block_h_override=32 * (place + 1)),
                (layout,),
                layout,
                20.0 + 2.0 * ((place + number) % len(layouts)) / len(layouts),
                0,
                (),
            )
            for place, layout in enumerate(layouts)
        )
    return tables


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_the_bound_does_not_fall_when_more_layouts_are_kept(kept: int) -> None:
    """Layers that differ by at most 2 us, and reshards that are dearer than that by far."""
    network = chain(6)
    everything = alike(network, [sharded(cores, 1) for cores in (1, 2, 4, 8)])
    book = Reshards()
    whole = prove(book.problem(network, split(everything, 4)), 10.0)
    joint = book.problem(network, split(everything, kept))
    assert prove(joint, 10.0).bound_us <= whole.bound_us
    wide = book.widened(joint)
    proof = prove(wide, 10.0)
    assert proof.bound_us == pytest.approx(whole.bound_us)
    assert proof.optimal
    assert solve(wide.problem).best.cost_us == pytest.approx(whole.bound_us)


def test_what_rests_on_a_choice_left_out_is_not_tight() -> None:
    """Its reshards were never probed: the bound takes them to cost nothing."""
    network = chain(3)
    everything = alike(network, [sharded(cores, 1) for cores in (1, 2, 4)])
    book = Reshards()
    joint = book.problem(network, split(everything, 1))
    proof = prove(joint, 10.0)
    assert not proof.optimal
    assert proof.bound_us < solve(joint.problem).best.cost_us
    unchanged = book.widened(joint, Budget.of(0.0))
    assert unchanged.tables == joint.tables, "the time was up"


def test_a_slower_candidate_that_may_be_faster_in_place_counts() -> None:
    """It moves a tensor when it is probed alone, and in a network it may not have to."""
    layout = sharded(4, 1)
    network = chain(1)
    plain = Choice(Conv2dConfig(), (layout,), layout, 10.0, 0, ())
    moving = replace(plain, time_us=11.0, move_us=4.0)
    assert not plain.dominates(moving)
    assert plain.dominates(replace(plain, time_us=11.0, move_us=1.0))
    ends = replace(plain, time_us=1.0)
    tables: Tables = {"x": (ends,), "conv0": (plain, moving), "y": (ends,)}
    book = Reshards()
    assert prove(book.problem(network, ProbedTables(tables, {})), 1.0).bound_us == pytest.approx(
        9.0
    )
    left_out = ProbedTables({**tables, "conv0": (plain,)}, {"conv0": (moving,)})
    assert prove(book.problem(network, left_out), 1.0).bound_us == pytest.approx(9.0)


def test_a_reshard_over_which_the_device_died_may_be_possible_all_the_same() -> None:
    """A crash is no answer: the bound takes the reshard to cost nothing, and is not tight."""
    network = chain(1)
    here, there = sharded(1, 1), sharded(2, 1)
    end = Choice(Conv2dConfig(), (here,), here, 1.0, 0, ())
    fast = replace(end, input_layouts=(there,), time_us=2.0)
    slow = replace(end, time_us=50.0)
    tables: Tables = {"x": (end,), "conv0": (fast, slow), "y": (end,)}
    book = Reshards({(here, there): None}, refused=replace(REFUSED, kind=RejectionKind.CRASH))
    joint = book.widened(book.problem(network, ProbedTables(tables, {})))
    assert solve(joint.problem).best.cost_us == 52.0
    proof = prove(joint, 1.0)
    assert proof.bound_us == pytest.approx(4.0)
    assert not proof.optimal


def test_only_what_the_bound_rests_on_is_brought_in() -> None:
    """Nothing is asked of a layout that is hopeless by itself."""
    network = chain(2)
    hopeless = sharded(8, 1)
    everything = dict(alike(network, [sharded(cores, 1) for cores in (1, 2)]))
    slow = replace(
        everything["conv0"][0], input_layouts=(hopeless,), output_layout=hopeless, time_us=500.0
    )
    everything["conv0"] = (*everything["conv0"], slow)
    book = Reshards()
    joint = book.widened(book.problem(network, split(everything, 1)))
    assert prove(joint, 1.0).optimal
    assert slow in joint.left_out["conv0"]
    assert not any(hopeless in pair for pair in book.asked)
    assert len(joint.tables["conv0"]) == 2


def test_the_card_has_the_last_word_on_what_is_brought_in() -> None:
    """A candidate that it rejects is gone; one that it times has its time."""
    network = chain(1)
    here, there = sharded(1, 1), sharded(2, 1)
    end = Choice(Conv2dConfig(), (here,), here, 1.0, 0, ())
    slow = replace(end, time_us=100.0, kind=TimeKind.MEASURED)
    fast = Choice(Conv2dConfig(), (there,), there, 2.0, 0, ())
    tables: Tables = {"x": (end,), "conv0": (slow,), "y": (end,)}
    book = Reshards(otherwise_us=3.0)
    joint = book.problem(network, ProbedTables(tables, {"conv0": (fast,)}))
    timed = replace(fast, time_us=5.0, kind=TimeKind.MEASURED)
    rejected = widened(joint, cast("ProbeBook", book), lambda *_: None, lambda *_: None)
    assert rejected.tables == tables
    assert not any(rejected.left_out.values())
    assert prove(rejected, 1.0).bound_us == pytest.approx(102.0)
    taken = widened(joint, cast("ProbeBook", book), lambda *_: None, lambda *_: timed)
    assert taken.tables["conv0"] == (timed, slow)
    proof = prove(taken, 1.0)
    assert proof.bound_us == pytest.approx(1 + 3 + 5 + 3 + 1)
    assert proof.kind == MIXED
    assert proof.estimated_share == pytest.approx(8 / 13)


def test_a_bound_of_one_kind_says_which() -> None:
    network = chain(1)
    here, there = sharded(1, 1), sharded(2, 1)
    timed = Choice(Conv2dConfig(), (here,), here, 1.0, 0, (), kind=TimeKind.MEASURED)
    conv = replace(timed, input_layouts=(there,), output_layout=there)
    tables: Tables = {"x": (timed,), "conv0": (conv,), "y": (timed,)}
    by_card = Reshards(kind=TimeKind.MEASURED)
    proof = prove(by_card.problem(network, ProbedTables(tables, {})), 1.0)
    assert (proof.kind, proof.estimated_share) == ("measured", 0.0)
    guessed = {
        name: tuple(replace(choice, kind=TimeKind.ESTIMATED) for choice in choices)
        for name, choices in tables.items()
    }
    proof = prove(Reshards().problem(network, ProbedTables(guessed, {})), 1.0)
    assert (proof.kind, proof.estimated_share) == ("estimated", pytest.approx(1.0))


NETWORKS = {
    "chain": chain(2),
    "fork": Network(
        "fork",
        (
            Layer("x", Input(), (), SHAPE),
            Layer("a", CONV, ("x",), SHAPE),
            Layer("b", CONV, ("x",), SHAPE),
            Layer("sum", Binary("add"), ("a", "b"), SHAPE),
        ),
    ),
}


def random_choices(
    rng: random.Random, layer: Layer, layouts: Sequence[TensorLayout]
) -> list[Choice]:
    found = []
    for number in range(rng.randint(1, 3)):
        inputs = tuple(rng.choice(layouts) for _ in layer.inputs) or (DRAM_8B,)
        time_us = float(rng.randint(1, 12))
        found.append(
            Choice(
                Conv2dConfig(act_block_h_override=32 * number),
                inputs,
                rng.choice(layouts),
                time_us,
                rng.choice([0, 0, 100, 400]) * 1024,
                (),
                saved_by_freeing_bytes=rng.choice([0, 64 * 1024]),
                move_us=rng.choice([0.0, 0.0, time_us / 2]),
            )
        )
    return found


def still(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    return tuple(replace(item, time_us=item.least_us, move_us=0.0) for item in choices)


def _all_reshards(joint: JointProblem, tables: Tables, book: Reshards) -> Any:
    return probe_reshards(joint.network, tables, cast("ProbeBook", book), lambda *_: None)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(NETWORKS)))
def test_no_schedule_of_anything_probed_is_below_the_bound(seed: int, name: str) -> None:
    """By exhaustion, over all that was probed and with every reshard that the device does."""
    rng = random.Random(seed)
    network = NETWORKS[name]
    layouts = [DRAM_8B, sharded(1, 400), sharded(2, 300), sharded(4, 20)]
    everything = {layer.name: tuple(random_choices(rng, layer, layouts)) for layer in network}
    times_us = {
        pair: rng.choice([None, 1.0, 2.0, 4.0, 8.0]) for pair in itertools.permutations(layouts, 2)
    }
    book = Reshards(times_us)
    joint = book.problem(network, split(everything, 1))
    moveless = {layer.name: still(everything[layer.name]) for layer in joint.network}
    whole = JointProblem(joint.network, moveless, *_all_reshards(joint, moveless, book), BOARD)
    least_us = min(every_schedule(whole.problem), default=None)
    wide = book.widened(joint)
    if least_us is None:
        with pytest.raises(SearchError):
            prove(wide, 10.0)
        return
    assert prove(joint, 10.0).bound_us <= least_us * (1 + 1e-9)
    proof = prove(wide, 10.0)
    assert proof.bound_us == pytest.approx(least_us)
    assert proof.optimal


def test_a_budget_makes_the_bound_lower_never_wrong(either: Studied) -> None:
    """Also where nothing is left of it."""
    hurried = prove(either.joint, 10.0, Budget.of(0))
    assert 0 < hurried.bound_us <= prove(either.joint, 10.0).bound_us * (1 + 1e-9)
