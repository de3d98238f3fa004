from collections.abc import Callable
from dataclasses import replace

import pytest

from autosched.boards import find_board
from autosched.budget import UNLIMITED, Budget
from autosched.errors import ProgramError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Conv2d, Input, Output, Pool2d
from autosched.profiling.matching import described, layer_in_words, match
from autosched.profiling.program import RecordedCall
from autosched.profiling.recovery import Recovery, formats_of, recover
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import Rejection, RejectionKind, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)
from tests.examples.devices import ReplayDevice

N150 = find_board("n150")
SAME = Conv2d(32, 32, (3, 3), padding=(1, 1, 1, 1))
IMAGE = (1, 32, 16, 16)
NETWORK = Network(
    "block",
    (
        Layer("x", Input(), (), (1, 3, 32, 32)),
        Layer("stem", Conv2d(3, 32, (7, 7), (2, 2), (3, 3, 3, 3)), ("x",), IMAGE),
        Layer("pool", Pool2d("max", (3, 3), (1, 1), (1, 1, 1, 1)), ("stem",), IMAGE),
        Layer("one", SAME, ("pool",), IMAGE),
        Layer("two", SAME, ("one",), IMAGE),
        Layer("sum", Binary("add"), ("two", "pool"), IMAGE),
        Layer("y", Output(), ("sum",), IMAGE),
    ),
)
SHARDS = TensorLayout(
    Memory.L1,
    ShardLayout.HEIGHT,
    DataType.BFLOAT8_B,
    grid=(CoreRange(0, 0, 7, 0),),
    shard_shape=(32, 32),
)
ROWS = replace(SHARDS, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR)
TENSOR = TensorInfo((1, 1, 256, 32), SHARDS)
CHOSEN = Conv2dConfig(shard_layout=ShardLayout.HEIGHT, enable_act_double_buffer=True)


def conv(config: LayerConfig = CHOSEN, source: str = "hand.py:1", **facts: object) -> RecordedCall:
    usual = {
        "batch_size": 1, "in_channels": 32, "out_channels": 32, "input_height": 16,
        "input_width": 16, "kernel_size": (3, 3), "padding": (1, 1),
    }  # fmt: skip
    return RecordedCall("conv2d", {**usual, **facts}, (TENSOR,), TENSOR, config, source=source)


FOLDED = conv(
    in_channels=16, input_height=19, input_width=19, kernel_size=(4, 4), padding=0, stride=1,
    source="hand.py:7",
)  # fmt: skip
POOL = RecordedCall(
    "max_pool2d",
    {
        "batch_size": 1, "channels": 32, "input_h": 16, "input_w": 16, "kernel_size": (3, 3),
        "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1),
    },
    (TENSOR,),
    replace(TENSOR, layout=ROWS),
    PoolConfig(output_page=PageLayout.ROW_MAJOR, output_dtype=DataType.BFLOAT16),
)  # fmt: skip
SUM = RecordedCall("add_", {}, (TENSOR, TENSOR), TENSOR, EltwiseConfig(DataType.BFLOAT8_B, SHARDS))
PROGRAM = (FOLDED, POOL, conv(), conv(replace(CHOSEN, full_inner_dim=True)), SUM)


class Refusing(ReplayDevice):
    """Leaves every tensor where its program had it, but for what ``refuses`` names."""

    def __init__(self, refuses: Callable[[Schedule], str] = lambda _schedule: "") -> None:
        super().__init__(N150, {}, {}, {})
        self.refuses = refuses

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        assert budget is UNLIMITED
        if name := self.refuses(schedule):
            return Rejection(RejectionKind.INVALID, "no room", name)
        layouts = {}
        for name, config in schedule.layers.items():
            in_l1 = isinstance(config, EltwiseConfig) and config.layout.is_sharded
            in_l1 |= isinstance(config, Conv2dConfig) and config.shard_layout is not None
            layouts[name] = SHARDS if in_l1 else TensorLayout()
            if isinstance(config, PoolConfig) and config.output_memory == "sharded":
                layouts[name] = replace(ROWS, page=config.output_page)
        return RunOutcome((), layouts)


def recovered(device: Refusing, calls: tuple[RecordedCall, ...] = PROGRAM) -> Recovery:
    found = match(NETWORK, calls)
    return recover(NETWORK, found, device, "0.81.1", formats_of(NETWORK, found.by_layer))


def test_equal_layers_are_matched_in_order_and_a_folded_stem_too() -> None:
    found = match(NETWORK, PROGRAM)
    assert set(found.by_layer) == {"stem", "pool", "one", "two", "sum"}
    assert found.by_layer["two"] is PROGRAM[3]
    stem = found.by_layer["stem"].config
    assert isinstance(stem, Conv2dConfig)
    assert stem.fold_input
    assert (found.layers, found.calls) == ((), ())


def test_what_has_no_counterpart_is_named() -> None:
    wider = conv(out_channels=64, source="hand.py:12")
    found = match(NETWORK, (conv(), wider))
    assert [layer.name for layer in found.layers] == ["stem", "pool", "two", "sum"]
    assert found.calls == (wider,)
    assert described(wider) == "conv2d 32 -> 64, 3x3 stride 1x1, of 16x16 at hand.py:12"
    assert layer_in_words(NETWORK, found.layers[0]) == (
        "stem (Conv2d 3 -> 32, 7x7 stride 2x2, of 1x3x32x32)"
    )


def test_formats_are_those_of_most_layers() -> None:
    exact = replace(
        CHOSEN,
        weights_dtype=DataType.BFLOAT16,
        output_dtype=DataType.BFLOAT16,
        compute=ComputeConfig(Fidelity.HIFI4, fp32_dest_acc_en=True),
    )
    found = formats_of(NETWORK, {"one": conv(exact), "two": conv(exact), "stem": conv()})
    assert (found.weights, found.activations) == (DataType.BFLOAT16, DataType.BFLOAT16)
    assert (found.fidelity, found.fp32_accumulation) == (Fidelity.HIFI4, True)


def test_tensors_are_brought_where_the_program_had_them() -> None:
    found = recovered(Refusing())
    assert set(found.taken) == {"stem", "pool", "one", "two", "sum"}
    # The pool leaves rows, of which the program made tiles for both of its readers.
    assert found.schedule.reshards == {
        Edge("pool", "one"): replace(SHARDS, dtype=DataType.BFLOAT16),
        Edge("pool", "sum", 1): replace(SHARDS, dtype=DataType.BFLOAT16),
        Edge("sum", "y"): replace(TensorLayout(), dtype=DataType.BFLOAT8_B),
    }
    assert found.remarks == ()


def test_a_pool_leaves_tiles_where_its_rows_are_refused() -> None:
    def refuses(schedule: Schedule) -> str:
        pool = schedule.layers["pool"]
        assert isinstance(pool, PoolConfig)
        return "pool -> one" if pool.output_page is PageLayout.ROW_MAJOR else ""

    found = recovered(Refusing(refuses))
    assert "one" in found.taken
    assert found.remarks == ()


def test_what_is_rejected_is_given_up_step_by_step() -> None:
    def refuses(schedule: Schedule) -> str:
        return "two" if schedule.layers["two"] == PROGRAM[3].config else ""

    calls = (*PROGRAM[:2], conv(replace(CHOSEN, output_memory="dram")), *PROGRAM[3:])
    found = recovered(Refusing(refuses), calls)
    assert set(found.taken) == {"stem", "pool", "one", "sum"}
    assert found.remarks[-1] == "two: it keeps the default: no room"
    assert found.schedule.reshards[Edge("one", "two")].memory is Memory.DRAM


def test_a_choice_goes_that_the_default_after_it_cannot_follow() -> None:
    calls = (PROGRAM[1], *PROGRAM[2:])  # none is the stem

    def refuses(schedule: Schedule) -> str:
        return "y" if schedule.layers["sum"] == SUM.config else ""

    found = recovered(Refusing(refuses), calls)
    assert "sum" not in found.taken


def test_a_network_that_does_not_run_at_all_is_an_error() -> None:
    with pytest.raises(ProgramError, match="the default of stem does not run: no room"):
        recovered(Refusing(lambda _schedule: "stem"), (SUM,))


def test_values_that_a_layer_has_not_are_left_out_and_other_weights_changed() -> None:
    odd = replace(CHOSEN, act_block_w_div=2, weights_dtype=DataType.BFLOAT16)
    found = recovered(Refusing(), (*PROGRAM[:3], conv(odd, "hand.py:9"), SUM))
    assert found.schedule.layers["two"] == CHOSEN
    assert [remark.partition(": ")[2] for remark in found.remarks] == [
        "weights bfloat16 become bfloat8_b; a search has one format of weights",
        "act_block_w_div is 2; legal is 1 without shard_layout width; it is left out",
    ]
