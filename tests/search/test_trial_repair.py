from dataclasses import replace

import pytest

from autosched.network.graph import failing_layer
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.configurations import Conv2dConfig, PoolConfig
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import Edge, Memory, TensorLayout
from autosched.search.trial import repaired
from tests.examples.studied import Studied

NOWHERE = Provenance("net", "signature", "n150", "0")
OVERFLOW = Rejection(RejectionKind.L1_OVERFLOW, "Out of Memory", "conv3")
CLASH = Rejection(RejectionKind.CIRCULAR_BUFFER_CLASH, "clash", "conv3")


def in_l1(joint: JointProblem) -> Schedule:
    """A schedule in which every tensor between the convolutions is in L1."""
    chosen = {
        name: next(
            (
                index
                for index, choice in enumerate(choices)
                if choice.output_layout.memory is Memory.L1
            ),
            0,
        )
        for name, choices in joint.tables.items()
    }
    return joint.schedule(Selection(chosen), NOWHERE)


def test_every_tensor_live_in_l1_is_packed_before_the_step(skipped: Studied):
    joint = skipped.joint
    schedule = in_l1(joint)
    roomier = repaired(joint, schedule, OVERFLOW)
    assert roomier is not None
    waiting = joint.waiting_layouts(schedule, "conv2")
    assert dict(roomier.moves) == {
        Edge("stem", "conv2"): waiting["stem"],  # the last sum reads it
        Edge("conv2", "conv2"): waiting["conv2"],  # conv3 reads it
    }
    assert roomier.layers == schedule.layers
    assert roomier.reshards == schedule.reshards
    assert joint.find(roomier) == joint.find(schedule)


def test_what_waits_in_dram_or_is_dead_stays(skipped: Studied):
    joint = skipped.joint
    selection = joint.find(in_l1(joint))
    assert selection is not None
    spilled = joint.schedule(replace(selection, spills=frozenset({Edge("stem", "conv1")})), NOWHERE)
    roomier = repaired(joint, spilled, OVERFLOW)
    assert roomier is not None
    assert set(roomier.moves) == {Edge("stem", "conv1"), Edge("conv2", "conv2")}
    assert roomier.moves[Edge("stem", "conv1")] == spilled.moves[Edge("stem", "conv1")]


def test_then_the_halo_moves_and_then_it_gives_up(skipped: Studied):
    joint = skipped.joint
    packed = repaired(joint, in_l1(joint), CLASH)
    assert packed is not None
    moved = repaired(joint, packed, CLASH)
    assert moved is not None
    assert moved.moves == packed.moves
    config = moved.layers["conv3"]
    assert isinstance(config, Conv2dConfig)
    assert config == replace(packed.layers["conv3"], reallocate_halo_output=True)
    assert {name for name in moved.layers if moved.layers[name] != packed.layers[name]} == {"conv3"}
    assert repaired(joint, moved, CLASH) is None


def test_a_pool_moves_its_halo_too(studied: Studied):
    joint = studied.joint
    schedule: Schedule | None = in_l1(joint)
    for _ in range(2):
        assert schedule is not None
        schedule = repaired(joint, schedule, replace(CLASH, layer="pool"))
    assert schedule is not None
    pool = schedule.layers["pool"]
    assert isinstance(pool, PoolConfig)
    assert pool.reallocate_halo_output


def test_a_layer_without_a_halo_is_given_up_once_all_is_packed(skipped: Studied):
    joint = skipped.joint
    at_sum = replace(OVERFLOW, layer="conv3 -> sum")
    packed = repaired(joint, in_l1(joint), at_sum)
    assert packed is not None
    assert set(packed.moves) == {Edge("stem", "conv3"), Edge("conv3", "conv3")}
    assert repaired(joint, packed, at_sum) is None


@pytest.mark.parametrize(
    "kind", [kind for kind in RejectionKind if kind not in (OVERFLOW.kind, CLASH.kind)]
)
def test_room_helps_against_nothing_else(skipped: Studied, kind: RejectionKind):
    joint = skipped.joint
    assert repaired(joint, in_l1(joint), replace(CLASH, kind=kind)) is None


def test_nothing_precedes_the_first_layer(skipped: Studied):
    joint = skipped.joint
    assert repaired(joint, in_l1(joint), replace(OVERFLOW, layer="x")) is None


@pytest.mark.parametrize(
    ("place", "layer"),
    [
        ("conv3", "conv3"),
        ("stem -> conv1", "conv1"),
        ("stem -> sum#1", "sum"),
        ("stem -> conv1 (move)", "conv1"),
        ("", None),
        ("elsewhere", None),
        ("stem -> elsewhere", None),
    ],
)
def test_the_step_that_failed(skipped: Studied, place: str, layer: str | None):
    assert failing_layer(skipped.network, replace(CLASH, layer=place)) == layer


def test_packing_keeps_the_layout(skipped: Studied):
    joint = skipped.joint
    roomier = repaired(joint, in_l1(joint), OVERFLOW)
    assert roomier is not None
    for target in roomier.moves.values():
        assert isinstance(target, TensorLayout)
        assert target.memory is Memory.L1
