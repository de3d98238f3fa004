import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from autosched.budget import Budget
from autosched.errors import SearchError, TimeUpError
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import DeviceOp, Rejection, RejectionKind
from autosched.schedule.tensors import Edge, move_label
from autosched.search.samplers.joint_sampler import JointSampler, times_by_layer
from autosched.search.samplers.optuna_trials import to_parameters
from autosched.solver.problem import Waiting
from autosched.solver.solver import Resolver, Solution, solve
from tests.examples.studied import Studied
from tests.search.samplers.fake_study import propose, record_of


def invalid(place: str) -> Rejection:
    return Rejection(RejectionKind.INVALID, "", place)


def overflow(place: str) -> Rejection:
    return Rejection(RejectionKind.L1_OVERFLOW, "", place)


def optimum(studied: Studied) -> Selection:
    best = solve(studied.joint.problem).best
    return studied.joint.selection(
        best.candidates, [(move.tensor, move.after) for move in best.moves]
    )


def test_the_optimum_is_proposed_first(either: Studied):
    proposed = propose(either.joint, JointSampler(either.joint, seed=0), 1)
    assert proposed.parameters == [to_parameters(either.joint, optimum(either))]
    assert proposed.costs_us[0] == pytest.approx(either.bound_us)


def test_no_proposal_is_repeated(either: Studied, record_property: Callable[[str, object], None]):
    begin = time.perf_counter()
    proposed = propose(either.joint, JointSampler(either.joint, seed=0), 25)
    record_property("seconds_per_proposal", (time.perf_counter() - begin) / 25)
    assert len({tuple(values.items()) for values in proposed.parameters}) == 25
    assert proposed.costs_us[:4] == sorted(proposed.costs_us[:4])
    assert max(proposed.costs_us) < 2 * min(proposed.costs_us)


def test_equal_seeds_propose_the_same(studied: Studied):
    runs = [propose(studied.joint, JointSampler(studied.joint, seed=3), 12) for _ in range(2)]
    assert runs[0].parameters == runs[1].parameters


def test_draws_reach_as_far_as_the_times_are_uncertain(studied: Studied):
    joint = studied.joint
    certain, vague = (
        JointProblem(
            joint.network,
            {
                name: tuple(replace(choice, stderr_log=error) for choice in choices)
                for name, choices in joint.tables.items()
            },
            joint.reshards,
            joint.spills,
            joint.board,
        )
        for error in (1e-9, 2.0)
    )
    costs = [propose(item, JointSampler(item, seed=0), 12).costs_us for item in (certain, vague)]
    assert max(costs[0]) < max(costs[1])
    assert all(choice.stderr_log > 0 for choice in joint.tables["conv1"])


def test_a_candidate_that_is_slow_in_place_is_given_up(studied: Studied):
    """conv1 took a thousand times what it took alone, with whatever candidate."""
    first = optimum(studied)

    def slow(selection: Selection) -> dict[str, float]:
        chosen = selection.candidates["conv1"]
        time_us = studied.joint.tables["conv1"][chosen].time_us
        return {"conv1": 1000 * time_us if chosen == first.candidates["conv1"] else time_us}

    sampler = JointSampler(studied.joint, seed=0)
    proposed = propose(studied.joint, sampler, 4, slow)
    chosen = [selection.candidates["conv1"] for selection in proposed.selections]
    assert chosen[0] == first.candidates["conv1"]
    assert first.candidates["conv1"] not in chosen[1:]
    assert sampler.solve().best.candidates[3] != first.candidates["conv1"]


def test_packing_counts_as_its_layers_time_and_copies_do_not(studied: Studied):
    first = optimum(studied)
    tables = studied.joint.tables

    def told(times_us: dict[str, float]) -> float:
        sampler = JointSampler(studied.joint, seed=0)
        propose(studied.joint, sampler, 2, lambda _: times_us)
        return float(sampler._times_us[3][first.candidates["conv1"]])

    alone_us = tables["conv1"][first.candidates["conv1"]].time_us
    assert told({"conv1": 50.0}) == 50.0
    assert told({"conv1": 50.0, "pool -> conv1 (move)": 5.0}) == 55.0
    assert told({"conv1": 50.0, "pool -> conv1": 5.0, "conv1 -> conv2": 5.0}) == 50.0
    assert told({"pool -> conv1": 5.0}) == alone_us


def test_a_rejected_combination_is_not_proposed_again(studied: Studied):
    """A layer is rejected together with what feeds it, and where that waits."""
    rejected: list[tuple[int, int, bool]] = []

    def refuse(selection: Selection) -> Rejection | None:
        waits = Edge("pool", "pool") in selection.spills
        found = selection.candidates["conv1"], selection.candidates["pool"], waits
        assert found not in rejected
        if len(rejected) < 6:
            rejected.append(found)
            return invalid("conv1")
        return None

    propose(studied.joint, JointSampler(studied.joint, seed=0), 12, refuse)
    assert len(set(rejected)) == 6


def test_where_memory_ran_out_all_that_was_live_is_part_of_it(skipped: Studied):
    """At conv3 the stem's output waits, too; at conv1 its own input does."""
    sampler = JointSampler(skipped.joint, seed=0)
    first = optimum(skipped)
    propose(skipped.joint, sampler, 1, lambda _: overflow("conv2 -> conv3"))
    number = {layer.name: index for index, layer in enumerate(skipped.network)}
    (nogood,) = sampler._knowledge.nogoods
    assert nogood.chosen == tuple(
        (number[name], first.candidates[name]) for name in ("stem", "conv2", "conv3")
    )
    layers = skipped.joint.problem.layers
    assert nogood.waiting == tuple(
        Waiting(
            number[name],
            number["conv3"],
            layers[number[name]].candidates[first.candidates[name]].output_layout,
        )
        for name in ("stem", "conv2")
    )


SPILL = Edge("stem", "conv1")


def spilled(skipped: Studied) -> Selection:
    """The optimum with the stem's output in L1 at first, and in DRAM after conv1."""
    joint, first = skipped.joint, optimum(skipped)
    stem = next(
        number
        for number, choice in enumerate(joint.tables["stem"])
        if any(source == choice.output_layout for source, _ in joint.spills["stem"].times_us)
    )
    return Selection({**first.candidates, "stem": stem}, frozenset({SPILL}))


def test_a_rejection_in_l1_leaves_the_same_candidates_with_a_spill(skipped: Studied):
    """And the other way round; the rejection after the spill is learned as well."""
    there = spilled(skipped)
    stays = replace(there, spills=frozenset())
    sampler = JointSampler(skipped.joint, seed=0)
    for selection in (stays, there, stays):
        sampler.tell(selection, record_of(0.0, overflow("conv3")))
    stay, spill = sampler._knowledge.nogoods
    assert stay.chosen == spill.chosen
    (tensor, at, l1), (_, _, dram) = (
        (item.tensor, item.at, skipped.joint.layouts[item.layout].memory.value)
        for nogood in (stay, spill)
        for item in nogood.waiting[:1]
    )
    names = [layer.name for layer in skipped.network]
    assert (names[tensor], names[at], l1, dram) == ("stem", "conv3", "l1", "dram")


def test_a_move_that_was_rejected_is_part_of_it(skipped: Studied):
    sampler = JointSampler(skipped.joint, seed=0)
    sampler.tell(spilled(skipped), record_of(0.0, overflow(move_label(SPILL))))
    (nogood,) = sampler._knowledge.nogoods
    names = [layer.name for layer in skipped.network]
    waits = {(names[item.tensor], names[item.at]): item.layout for item in nogood.waiting}
    memories = {key: skipped.joint.layouts[layout].memory.value for key, layout in waits.items()}
    assert memories["stem", "conv1"] == "l1"
    assert memories["stem", "conv2"] == "dram"
    assert ("conv1", "conv2") in memories


def test_a_rejection_without_a_place_teaches_nothing_but_is_not_repeated(studied: Studied):
    sampler = JointSampler(studied.joint, seed=0)
    proposed = propose(studied.joint, sampler, 3, lambda _: Rejection(RejectionKind.HANG, "", ""))
    assert sampler._knowledge.nogoods == []
    assert len({tuple(values.items()) for values in proposed.parameters}) == 3


def test_when_everything_was_rejected_it_says_so(studied: Studied):
    """Every way to convert the input has failed."""
    ways = len(studied.joint.tables["x"])
    sampler = JointSampler(studied.joint, seed=0)
    proposed = propose(studied.joint, sampler, ways + 1, lambda _: invalid("x"))
    assert len(proposed.selections) == len(sampler._knowledge.nogoods) == ways
    assert sampler.propose() is None


def test_when_no_draw_is_new_the_next_best_is_proposed(studied: Studied):
    """Times are certain, so that every draw has the same optimum, until all have been tried."""
    joint = studied.joint
    certain = JointProblem(
        joint.network,
        {
            name: tuple(replace(choice, stderr_log=1e-12) for choice in choices[:2])
            for name, choices in joint.tables.items()
        },
        joint.reshards,
        joint.spills,
        joint.board,
    )
    proposed = propose(certain, JointSampler(certain, seed=0), 40)
    assert len({tuple(values.items()) for values in proposed.parameters}) == 40
    assert proposed.costs_us == sorted(proposed.costs_us)


def test_solving_ends_with_the_budget(studied: Studied, monkeypatch: pytest.MonkeyPatch):
    limits: list[float | None] = []
    solve_at = Resolver.solve

    def noted(
        self: Resolver, times_us: list[np.ndarray], k: int = 1, time_limit_s: float | None = None
    ) -> Solution:
        limits.append(time_limit_s)
        return solve_at(self, times_us, k, time_limit_s)

    monkeypatch.setattr(Resolver, "solve", noted)
    sampler = JointSampler(studied.joint, seed=0)
    assert sampler.propose(Budget.of(5.0)) is not None
    assert sampler._tried
    assert all(limit is not None and limit <= 5.0 for limit in limits)
    sampler._best = []
    assert sampler.propose(Budget.of(0.0)) is None
    assert len(limits) == 1


def test_times_are_summed_by_layer_and_edge_in_the_order_they_ran():
    def op(layer: str, time_ns: float | None) -> DeviceOp:
        return DeviceOp("Op", "", (), (), layer=layer, time_ns=time_ns)

    ops = (op("b", 1_000.0), op("a -> c", 500.0), op("b", 250.0), op("a", None))
    assert list(times_by_layer(ops).items()) == [("b", 1.25), ("a -> c", 0.5)]


def test_a_solver_out_of_time_is_not_a_search_without_proposals(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
):
    """Whether there is another schedule is not known then."""
    sampler = JointSampler(studied.joint, seed=0)

    def out_of_time(*_: object) -> None:
        raise SearchError("no schedule found within the time given")

    monkeypatch.setattr(sampler, "_solution", out_of_time)
    with pytest.raises(TimeUpError, match="within the time given"):
        sampler.propose()
