from dataclasses import replace

import pytest

from autosched.errors import ScheduleError
from autosched.export.validation import check_layers, check_provenance, validate_schedule
from autosched.network.graph import Layer, Network
from autosched.network.operators import Input, Softmax
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from tests.examples.schedules import BLOCK_60, HEIGHT_64, small_schedule

MADE_FOR = ("0123456789abcdef", "n150", "0.81.1")
SHAPE = (1, 64, 8, 8)
NETWORK = Network("net", (Layer("x", Input(), (), SHAPE), Layer("soft", Softmax(1), ("x",), SHAPE)))
CONFIGS = {"x": FixedConfig(), "soft": FixedConfig()}
SCHEDULE: Schedule = replace(small_schedule(), layers=CONFIGS, reshards={}, moves={})

PROGRAM = MatmulProgram("mcast_in0", (8, 4), 4, 1, 2, 1, 2)


def test_a_schedule_for_this_network_board_and_ttnn_passes() -> None:
    check_provenance(small_schedule(), *MADE_FOR)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (("feedfeedfeedfeed", "n150", "0.81.1"), "network 'tiny' with signature 0123456789abcdef"),
        (("0123456789abcdef", "p150", "0.81.1"), "board n150, not p150. Use --board n150"),
        (("0123456789abcdef", "n150", "0.90"), "Install ttnn==0.81.1, or search again"),
    ],
)
def test_a_schedule_made_for_something_else_names_the_way_out(
    found: tuple[str, str, str], words: str
) -> None:
    with pytest.raises(ScheduleError, match=words):
        check_provenance(small_schedule(), *found)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Conv2dConfig(ShardLayout.INTERLEAVED), "shard_layout is 'interleaved'"),
        (Conv2dConfig(act_block_h_override=-32), "act_block_h_override is -32"),
        (Conv2dConfig(act_block_w_div=0), "act_block_w_div is 0"),
        (
            Conv2dConfig(slicing="width"),
            "slicing is 'width'; legal is l1_full, auto, dram_height or dram_width",
        ),
        (Conv2dConfig(num_slices=4), "num_slices is 4; legal is 0, or more with dram_height"),
        (Conv2dConfig(slicing="dram_width", num_slices=-1), "num_slices is -1; legal is 0"),
        (PoolConfig(slicing="l1_full"), "slicing is 'l1_full'; legal is auto, dram_height or"),
        (PoolConfig(num_slices=2), "num_slices is 2; legal is 0, or more with dram_height"),
        (Conv2dConfig(output_memory="l1"), "output_memory is 'l1'; legal is sharded or dram"),
        (Conv2dConfig(core_grid=(CoreRange(3, 0, 1, 0),)), "core_grid is"),
        (Conv2dConfig(output_dtype=DataType.INT32), "output_dtype is 'int32'"),
        (
            Conv2dConfig(output_page=PageLayout.ROW_MAJOR),
            "output_page is 'row_major'; legal is tile for bfloat8_b",
        ),
        (MatmulConfig(output="sharded"), "output is 'sharded'; legal is dram, l1, width"),
        (
            MatmulConfig(program=replace(PROGRAM, kind="2d")),
            "program.kind is '2d'; legal is mcast_",
        ),
        (MatmulConfig(program=replace(PROGRAM, grid=(0, 1))), "program.grid is"),
        (
            MatmulConfig(program=replace(PROGRAM, in0_block_w=0)),
            "program.in0_block_w is 0",
        ),
        (MatmulConfig((8, 8), program=PROGRAM), "core_grid is .*; legal is None with a program"),
        (PoolConfig(output_memory="l1"), "output_memory is 'l1'"),
        (
            EltwiseConfig(layout=replace(HEIGHT_64, shard_shape=None)),
            "layout.shard_shape is 'None'; legal is given with a grid",
        ),
        (
            EltwiseConfig(layout=replace(HEIGHT_64, page=PageLayout.ROW_MAJOR)),
            "layout.page is 'row_major'; legal is tile for bfloat8_b",
        ),
        (
            EltwiseConfig(layout=replace(HEIGHT_64, sharding=ShardLayout.INTERLEAVED)),
            "layout.grid is",
        ),
        (FixedConfig(TensorLayout(Memory.L1, transposed=True)), "output.transposed"),
        (FixedConfig(TensorLayout(dtype=DataType.INT32)), "output.dtype is 'int32'; legal is bfl"),
        (FixedConfig(method="permut"), "method is 'permut'; legal is none, permute, convert_to_h"),
        (PoolConfig(output_dtype=DataType.UINT16), "output_dtype is 'uint16'; legal is bfloat16"),
        (EltwiseConfig(DataType.INT32), "output_dtype is 'int32'; legal is bfloat16, bfloat8_b"),
        (
            EltwiseConfig(DataType.BFLOAT16, HEIGHT_64),
            "layout.dtype is 'bfloat8_b'; legal is output_dtype, bfloat16",
        ),
        (
            EltwiseConfig(layout=replace(BLOCK_60, grid=(*BLOCK_60.grid, CoreRange(7, 6, 8, 8)))),
            "layout.grid is .*; legal is rectangles that do not overlap",
        ),
    ],
)
def test_an_illegal_value_is_named_with_the_legal_ones(config: LayerConfig, words: str) -> None:
    schedule = Schedule(small_schedule().provenance, {"it": config})
    with pytest.raises(ScheduleError, match=f"^file.py: layer 'it': {words}"):
        validate_schedule(schedule, "file.py")


def test_a_schedule_of_the_network_passes() -> None:
    check_layers(SCHEDULE, "file.py", NETWORK)


@pytest.mark.parametrize("edge", [Edge("x", "x"), Edge("soft", "soft")])
def test_a_tensor_may_move_as_long_as_it_is_there(edge: Edge) -> None:
    check_layers(replace(SCHEDULE, moves={edge: DRAM_TILE}), "file.py", NETWORK)


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        (
            replace(SCHEDULE, layers={**CONFIGS, "soft": FixedConfig(method="permute")}),
            "layer 'soft': method is 'permute'; legal is '' for a Softmax. Correct it, or",
        ),
        (replace(SCHEDULE, layers={**CONFIGS, "y": FixedConfig()}), "layer 'y' is not in network"),
        (replace(SCHEDULE, layers={"x": FixedConfig()}), "layer 'soft' is missing"),
        (
            replace(SCHEDULE, layers={"soft": FixedConfig(), "x": FixedConfig()}),
            "the schedule runs layer soft before x, whose output it reads",
        ),
        (
            replace(SCHEDULE, reshards={Edge("soft", "x"): DRAM_TILE}),
            "reshard 'soft -> x' is of no",
        ),
        (replace(SCHEDULE, moves={Edge("soft", "x"): DRAM_TILE}), "move 'soft -> x' is before its"),
        (
            replace(SCHEDULE, moves={Edge("x", "soft"): DRAM_TILE}),
            "move 'x -> soft' is after soft, the last to read its tensor; name an earlier layer",
        ),
    ],
)
def test_what_is_not_of_the_network_is_named(edited: Schedule, words: str) -> None:
    with pytest.raises(ScheduleError, match=f"^file.py: {words}"):
        check_layers(edited, "file.py", NETWORK)
