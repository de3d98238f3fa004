import io
from dataclasses import replace

import pytest
from rich.console import Console

from autosched.network.graph import Layer, Network
from autosched.network.operators import HostOp, HostStep, HostView, Input, Output
from autosched.report.layer_rows import (
    describe,
    describe_change,
    host_rows,
    layer_rows,
    reshard_rows,
    warn_of_host_layers,
)
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.tensors import (
    DRAM_TILE,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from tests.examples import trials as examples

ESTIMATED = TimeKind.ESTIMATED


def test_a_layer_has_the_sum_of_its_ops() -> None:
    conv, add = layer_rows(examples.SCHEDULE, examples.ops(), ESTIMATED)
    assert (conv.layer, conv.time_us, conv.share, conv.cores) == ("conv", 80.0, 0.8, 56)
    assert conv.ops == ("InterleavedToSharded", "Halo", "Conv2d")
    assert add.configuration == "block"


def test_l1_is_that_of_the_largest_op() -> None:
    conv, _ = layer_rows(examples.SCHEDULE, examples.ops(), ESTIMATED)
    # 2 tiles of bfloat16 in, as many out, and the circular buffers.
    assert conv.l1_bytes == 2 * 2 * 2048 + 1024


def test_reshards_of_the_schedule_of_ttnn_and_while_waiting() -> None:
    rows = reshard_rows(examples.SCHEDULE, examples.ops(), ESTIMATED)
    assert [(row.producer, row.consumer, row.by, row.change, row.time_us) for row in rows] == [
        ("", "conv", "ttnn", "DRAM -> height 56", 10.0),
        ("conv", "add", "schedule", "height 56 -> block 16", 5.0),
        ("conv", "add", "move", "height 56 -> DRAM", 5.0),
    ]


def test_without_times_there_are_no_shares() -> None:
    rows = layer_rows(examples.SCHEDULE, examples.ops(scale=None), ESTIMATED)
    assert {(row.time_us, row.time_kind, row.share) for row in rows} == {(None, None, None)}


def test_times_carry_their_kind() -> None:
    for kind in TimeKind:
        layers = layer_rows(examples.SCHEDULE, examples.ops(), kind)
        reshards = reshard_rows(examples.SCHEDULE, examples.ops(), kind)
        assert {row.to_plain()["time_kind"] for row in (*layers, *reshards)} == {kind.value}


HEIGHT = examples.HEIGHT


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (Conv2dConfig(), "ttnn's layout"),
        (
            Conv2dConfig(
                ShardLayout.HEIGHT,
                act_block_h_override=64,
                enable_act_double_buffer=True,
                enable_weights_double_buffer=True,
            ),
            "height, act_block_h 64, double-buffered",
        ),
        (
            Conv2dConfig(
                ShardLayout.BLOCK,
                enable_weights_double_buffer=True,
                full_inner_dim=True,
                output_memory="dram",
            ),
            "block, weights double-buffered, full inner dim, output to DRAM",
        ),
        (Conv2dConfig(slicing="auto"), "ttnn's layout, sliced by ttnn"),
        (
            Conv2dConfig(slicing="dram_height", num_slices=4),
            "ttnn's layout, slices of height: 4",
        ),
        (Conv2dConfig(ShardLayout.HEIGHT, fold_input=True), "height, input folded"),
        (PoolConfig(slicing="dram_width", num_slices=8), "as its input, slices of width: 8"),
        (MatmulConfig(core_grid=(8, 7), output="width"), "grid 8x7, output width"),
        (PoolConfig(ShardLayout.HEIGHT, reallocate_halo_output=True), "height, halo moved"),
        (PoolConfig(output_page=PageLayout.ROW_MAJOR), "as its input, rows"),
        (Conv2dConfig(ShardLayout.HEIGHT, output_page=PageLayout.ROW_MAJOR), "height, rows"),
        (EltwiseConfig(layout=HEIGHT), "height"),
        (FixedConfig(method="permute"), "permute, DRAM"),
        (FixedConfig(output=TensorLayout(Memory.L1)), "L1 interleaved"),
    ],
)
def test_configurations_in_words(config: LayerConfig, text: str) -> None:
    assert describe(config) == text


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        (DRAM_TILE, HEIGHT, "DRAM -> height 56"),
        (HEIGHT, HEIGHT, "height 56, packed"),
        (
            HEIGHT,
            replace(HEIGHT, shard_shape=(32, 32)),
            "height 56 of 64x32 -> height 56 of 32x32",
        ),
        (HEIGHT, replace(DRAM_TILE, page=PageLayout.ROW_MAJOR), "height 56 tiles -> DRAM rows"),
        (
            HEIGHT,
            replace(HEIGHT, dtype=DataType.BFLOAT8_B),
            "height 56 bfloat16 -> height 56 bfloat8_b",
        ),
    ],
)
def test_changes_of_layout_in_words(source: TensorLayout, target: TensorLayout, text: str) -> None:
    assert describe_change(source, target) == text


SHAPE = (1, 64, 8, 8)
VIEW = HostView(SHAPE, (0, 1, 2, 3), SHAPE)
STEPS = (HostStep("aten.cumsum.default", '[[{"input":0},1],{}]'),)


def network(host: bool) -> Network:
    layers = [Layer("x", Input(), (), SHAPE)]
    if host:
        reason = "there is no layer for this operator"
        op = HostOp(STEPS, (VIEW,))
        layers.append(Layer("sum", op, ("x",), SHAPE, "net.py:12", reason))
    layers.append(Layer("y", Output(), (layers[-1].name,), SHAPE))
    return Network("net", tuple(layers))


def warned(of: Network) -> str:
    file = io.StringIO()
    warn_of_host_layers(Console(file=file, width=200), of)
    return file.getvalue()


def test_the_warning_names_the_layer_why_and_what_moves() -> None:
    text = warned(network(host=True))
    assert "1 layer on the host, moving 8 KiB from the device and 8 KiB back" in text
    assert "sum (aten.cumsum.default) at net.py:12: there is no layer for this operator" in text
    assert "not what the host computes" in text


def test_without_host_layers_there_is_nothing_to_say() -> None:
    assert warned(network(host=False)) == ""
    assert host_rows(network(host=False)) == []


def test_rows_are_plain() -> None:
    assert host_rows(network(host=True)) == [
        {
            "layer": "sum",
            "operators": ["aten.cumsum.default"],
            "source": "net.py:12",
            "reason": "there is no layer for this operator",
            "read_bytes": 8192,
            "written_bytes": 8192,
        }
    ]
