from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.cost.model import CostModel
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Conv2d, Input, Output, Reshape
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import (
    JointProblem,
    Selection,
    SharedBuffers,
    frees_input,
    spill_edges,
)
from autosched.probing.probe_book import ProbeBook, total_us
from autosched.probing.reshard_tables import probe_reshards
from autosched.schedule.configurations import Conv2dConfig, FixedConfig, PoolConfig
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import CoreRange, DataType, Edge, Memory, ShardLayout, TensorLayout
from autosched.search.samplers.optuna_trials import from_parameters, to_parameters
from autosched.solver.evaluate import evaluate
from autosched.solver.solver import solve
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from tests.bench import made
from tests.examples.devices import Scripted
from tests.examples.studied import Studied

NOWHERE = Provenance("net", "signature", "n150", "0")
EXAMPLES = settings(max_examples=60, deadline=None)


def draw_selection(data: st.DataObject, joint: JointProblem) -> Selection:
    """Any candidates, and any spills of tensors that wait in L1, each spilled once."""
    candidates = {
        name: data.draw(st.integers(0, len(choices) - 1), label=name)
        for name, choices in joint.tables.items()
    }
    spills = {
        edge.producer: edge
        for edge in spill_edges(joint)
        if joint.tables[edge.producer][candidates[edge.producer]].output_layout.memory is Memory.L1
        and data.draw(st.booleans(), label=str(edge))
    }
    return Selection(candidates, frozenset(spills.values()))


def cost_of(joint: JointProblem, selection: Selection) -> float:
    return evaluated(joint, selection).cost_us


def evaluated(joint: JointProblem, selection: Selection):
    names = [layer.name for layer in joint.network]
    moves = {
        (names.index(edge.consumer), names.index(edge.producer)): target
        for edge in selection.spills
        for target in [dram_of(joint, selection, edge.producer)]
    }
    return evaluate(joint.problem, [selection.candidates[name] for name in names], moves)


def dram_of(joint: JointProblem, selection: Selection, name: str) -> int:
    layout = joint.tables[name][selection.candidates[name]].output_layout
    return joint.layouts.index(TensorLayout(dtype=layout.dtype, page=layout.page))


@EXAMPLES
@given(data=st.data())
def test_schedules_reshard_exactly_where_layouts_differ(either: Studied, data: st.DataObject):
    """The solver's rules, applied step by step, name the same copies."""
    joint = either.joint
    selection = draw_selection(data, joint)
    schedule = joint.schedule(selection, NOWHERE)
    names = [layer.name for layer in joint.network]
    expected = {
        Edge(names[made.producer], names[made.consumer], made.index): joint.layouts[made.target]
        for made in evaluated(joint, selection).reshards
    }
    assert schedule.reshards == expected
    assert set(schedule.moves) == selection.spills
    assert list(schedule.layers) == names


@EXAMPLES
@given(data=st.data())
def test_a_schedule_is_found_again(either: Studied, data: st.DataObject):
    joint = either.joint
    selection = draw_selection(data, joint)
    schedule = joint.schedule(selection, NOWHERE)
    assert joint.find(schedule) == selection
    assert from_parameters(joint, to_parameters(joint, selection)) == selection


@EXAMPLES
@given(data=st.data())
def test_only_a_copy_or_the_last_reader_in_l1_frees_its_input(either: Studied, data: st.DataObject):
    joint = either.joint
    schedule = joint.schedule(draw_selection(data, joint), NOWHERE)
    names = [layer.name for layer in joint.network]
    for layer in joint.network:
        if not isinstance(schedule.layers[layer.name], Conv2dConfig | PoolConfig):
            assert layer.name not in schedule.frees
            continue
        (producer,) = layer.inputs
        later = names[names.index(layer.name) + 1 :]
        is_read_later = any(producer in joint.network.by_name[name].inputs for name in later)
        taken = joint.tables[layer.name][joint.find(schedule).candidates[layer.name]]
        is_copy = Edge(producer, layer.name) in schedule.reshards
        in_l1 = taken.input_layouts[0].memory is Memory.L1
        frees = layer.name in schedule.frees
        assert frees == (is_copy or (in_l1 and not is_read_later))


def test_a_skip_connection_is_not_freed_early(skipped: Studied):
    """conv1 reads the stem's output, the sum at the end reads it again."""
    joint = skipped.joint
    native = [choice.input_layouts[0] for choice in joint.tables["conv1"]]
    stem, conv1 = next(
        (index, native.index(choice.output_layout))
        for index, choice in enumerate(joint.tables["stem"])
        if choice.output_layout in native
    )
    chosen = {**dict.fromkeys(joint.tables, 0), "stem": stem, "conv1": conv1}
    kept = joint.schedule(Selection(chosen), NOWHERE)
    assert Edge("stem", "conv1") not in kept.reshards
    assert "conv1" not in kept.frees
    spilled = joint.schedule(Selection(chosen, frozenset({Edge("stem", "stem")})), NOWHERE)
    assert Edge("stem", "conv1") in spilled.reshards
    assert "conv1" in spilled.frees


def test_the_device_takes_as_long_as_the_solver_says(either: Studied):
    """The optimum of the tables, run as a whole network on the mock device."""
    solution = solve(either.joint.problem)
    first = either.trials[1]
    assert first.rejection is None
    assert first.latency_us == pytest.approx(solution.best.cost_us, rel=1e-6)
    assert first.latency_us == pytest.approx(total_us(first.ops), rel=1e-9)
    assert either.bound_us == pytest.approx(solution.lower_bound_us)
    assert either.bound_us <= first.latency_us


def test_every_trial_takes_what_its_parts_take(either: Studied):
    """Not the optimum alone: what was proposed after it, too."""
    joint = either.joint
    predicted = {
        trial.number: cost_of(joint, selection)
        for trial in either.trials
        if trial.schedule is not None and (selection := joint.find(trial.schedule)) is not None
    }
    assert list(predicted) == [1, 2, 3]
    for number, cost_us in predicted.items():
        assert either.trials[number].latency_us == pytest.approx(cost_us, rel=1e-6)


def test_a_schedule_of_other_tables_is_not_found(studied: Studied):
    default = studied.trials[0].schedule
    assert default is not None
    assert studied.joint.find(default) is None


def test_a_tight_l1_makes_the_solver_spill_and_the_way_back_knows(skipped: Studied):
    joint = skipped.joint
    needed = max(solve(joint.problem).best.peak_bytes)
    for capacity in range(needed, 0, -1024):
        tight = replace(joint.board, l1_bank_bytes=capacity)
        small = JointProblem(joint.network, joint.tables, joint.reshards, joint.spills, tight)
        best = solve(small.problem).best
        if best.moves:
            break
    else:
        pytest.fail("no capacity makes the solver spill")
    selection = small.selection(best.candidates, [(move.tensor, move.after) for move in best.moves])
    schedule = small.schedule(selection, NOWHERE)
    assert schedule.moves
    assert small.find(schedule) == selection
    assert from_parameters(small, to_parameters(small, selection)) == selection
    for edge, target in schedule.moves.items():
        assert target.memory is Memory.DRAM
        assert small.waiting_layouts(schedule, edge.consumer)[edge.producer] == target
    assert cost_of(small, selection) == pytest.approx(best.cost_us)


def test_packing_moves_change_neither_choice_nor_layouts(skipped: Studied):
    joint = skipped.joint
    schedule = skipped.trials[1].schedule
    assert isinstance(schedule, Schedule)
    waiting = joint.waiting_layouts(schedule, "conv1")
    packed = replace(schedule, moves={Edge("stem", "conv1"): waiting["stem"]})
    assert joint.find(packed) == joint.find(schedule)
    assert joint.waiting_layouts(packed, "conv3")["stem"] == waiting["stem"]


def test_only_tensors_that_wait_can_be_spilled(skipped: Studied, studied: Studied):
    assert set(skipped.joint.spills) == {"stem"}
    assert spill_edges(skipped.joint) == [Edge("stem", "stem"), Edge("stem", "conv1")]
    assert set(studied.joint.spills) == {"pool"}


def test_a_reshard_that_ends_elsewhere_is_not_offered(
    studied: Studied, store: Store, cost: CostModel
):
    """ttnn may leave a tensor in another layout than it was asked for."""
    joint = studied.joint
    elsewhere = TensorLayout(Memory.L1)

    def astray(request: object) -> ProbeOutcome | Rejection:
        answer = studied.records.reshards[request]
        return (
            replace(answer, output_layout=elsewhere) if isinstance(answer, ProbeOutcome) else answer
        )

    device = Scripted(studied.device(), reshard=astray)
    book = ProbeBook(store, device, DeviceKey("n150", "mock", "0"), cost)
    reshards, spills = probe_reshards(joint.network, joint.tables, book, lambda *_: None)
    assert device.reshards
    assert not any(table.times_us for table in (*reshards.values(), *spills.values()))


def test_every_pair_that_a_choice_can_need_is_probed(either: Studied):
    joint = either.joint
    for edge, table in joint.reshards.items():
        left = {choice.output_layout for choice in joint.tables[edge.producer]}
        wanted = {choice.input_layouts[edge.index] for choice in joint.tables[edge.consumer]}
        shape = joint.network.by_name[edge.producer].shape
        asked = {
            (request.source, request.target)
            for request in either.records.reshards
            if request.shape == shape
        }
        assert {(a, b) for a in left for b in wanted if a != b} <= asked
        assert set(table.times_us) <= asked


def halo_moved(choice: Choice) -> Choice:
    assert isinstance(choice.config, Conv2dConfig)
    config = replace(choice.config, reallocate_halo_output=True)
    return replace(choice, config=config, time_us=2 * choice.time_us)


def chosen(problem: JointProblem, schedule: Schedule) -> dict[str, int]:
    found = problem.find(schedule)
    assert found is not None
    return dict(found.candidates)


def test_of_two_that_differ_in_their_halo_the_scheduled_one_is_found() -> None:
    """A schedule to start from may have moved a halo to make room; then both are candidates."""
    still = made.conv(made.HEIGHT, made.HEIGHT)
    tables = {
        "x": (made.given(made.HEIGHT),),
        "conv": (still, halo_moved(still)),
        "out": (made.given(made.DRAM),),
    }
    layers = [made.layer("x"), made.layer("conv", "x"), made.layer("out", "conv")]
    joint = made.joint(layers, tables)
    for index in (0, 1):
        selection = Selection({"x": 0, "conv": index, "out": 0})
        assert joint.find(joint.schedule(selection, NOWHERE)) == selection
    single = made.joint(layers, {**tables, "conv": (still,)})
    moved = joint.schedule(Selection({"x": 0, "conv": 1, "out": 0}), NOWHERE)
    assert chosen(single, moved)["conv"] == 0, "moved to make room"


def test_of_two_with_the_same_configuration_the_layouts_that_follow_decide() -> None:
    """ttnn may leave a tensor elsewhere when it is asked otherwise."""
    tables = {
        "x": (made.given(made.HEIGHT),),
        "conv": (made.conv(made.HEIGHT, made.HEIGHT), made.conv(made.HEIGHT, made.BLOCK)),
        "next": (
            made.conv(made.HEIGHT, made.DRAM, shard_layout=ShardLayout.HEIGHT),
            made.conv(made.BLOCK, made.DRAM, shard_layout=ShardLayout.BLOCK),
        ),
        "out": (made.given(made.DRAM),),
    }
    names = ["x", "conv", "next", "out"]
    layers = [made.layer("x"), *map(made.layer, names[1:], names)]
    joint = made.joint(layers, tables)
    for index in (0, 1):
        selection = Selection({"x": 0, "conv": index, "next": index, "out": 0})
        schedule = joint.schedule(selection, NOWHERE)
        assert not schedule.reshards
        found = chosen(joint, schedule)
        assert found["conv"] == index
        waiting = joint.waiting_layouts(schedule, "conv")
        assert waiting["conv"] == tables["conv"][index].output_layout


def test_layouts_of_another_schedule_are_not_guessed(studied: Studied) -> None:
    first = studied.trials[1].schedule
    assert first is not None
    foreign = replace(first, layers={**first.layers, "conv1": Conv2dConfig(num_slices=77)})
    assert studied.joint.find(foreign) is None
    with pytest.raises(SearchError, match="not made of the candidates"):
        studied.joint.waiting_layouts(foreign, "conv1")


# A tensor is freed early only where nobody reads its buffer again.

SHAPE = (1, 32, 8, 8)
GRID = (CoreRange(0, 0, 0, 0),)
SHARDS = TensorLayout(Memory.L1, ShardLayout.HEIGHT, DataType.BFLOAT8_B, grid=GRID)
RAN = (DeviceOp("Transpose", "", (), ()),)


def network(*, reads_again: bool) -> Network:
    """x, a view of it, a convolution of the view; the sum reads x again, or the view's image."""
    layers = (
        Layer("x", Input(), (), SHAPE),
        Layer("view", Reshape(), ("x",), SHAPE),
        Layer("conv", Conv2d(32, 32, (1, 1)), ("view",), SHAPE),
        Layer("sum", Binary("add"), ("conv", "x" if reads_again else "conv"), SHAPE),
        Layer("y", Output(), ("sum",), SHAPE),
    )
    return Network("views", layers)


def frees(net: Network, view_ops: tuple[DeviceOp, ...], reshards: dict[Edge, TensorLayout]) -> bool:
    buffers = SharedBuffers(net)
    x, view, conv, *_ = net.layers
    fixed = Choice(FixedConfig(), (SHARDS,), SHARDS, 1.0, 0, RAN)
    buffers.add(x, fixed, reshards)
    buffers.add(view, Choice(FixedConfig(), (SHARDS,), SHARDS, 0.0, 0, view_ops), reshards)
    choice = Choice(Conv2dConfig(), (SHARDS,), SHARDS, 1.0, 0, RAN)
    buffers.add(conv, choice, reshards)
    return frees_input(conv, choice, reshards, buffers)


@pytest.mark.parametrize(
    ("reads_again", "view_ops", "freed"),
    [(True, (), False), (True, RAN, True), (False, (), True), (False, RAN, True)],
    ids=["shared and read again", "a copy", "shared and done", "a copy and done"],
)
def test_a_view_that_runs_nothing_shares_its_inputs_buffer(
    reads_again: bool, view_ops: tuple[DeviceOp, ...], freed: bool
) -> None:
    assert frees(network(reads_again=reads_again), view_ops, {}) is freed


@pytest.mark.parametrize("edge", [Edge("x", "view"), Edge("view", "conv")])
def test_a_resharded_tensor_is_a_copy(edge: Edge) -> None:
    assert frees(network(reads_again=True), (), {edge: SHARDS}) is True
