"""What the search asks of a layer's output is what ttnn leaves: nothing has to bring it there."""

from dataclasses import replace

import pytest

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Activation,
    Attention,
    Constant,
    Crop,
    Gather,
    GlobalAvgPool2d,
    GroupNorm,
    Input,
    LayerNorm,
    LayerOp,
    Matmul,
    Output,
    Pad,
    Permute,
    PixelShuffle,
    Reshape,
    Slice,
    Softmax,
    Unary,
    Upsample,
)
from autosched.schedule.outcomes import ProbeOutcome, RunOutcome
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_schedule
from autosched.space.layers import options
from tests.examples.layouts import DRAM_8B, HALF_GRID, height
from tests.examples.networks import BOARD

Shape = tuple[int, ...]
IMAGE, SMALL, PIXEL = (1, 64, 32, 32), (1, 16, 20, 20), (1, 64, 1, 1)
SHARDS = height(32, 64, HALF_GRID)
BLOCKS = replace(
    SHARDS, sharding=ShardLayout.BLOCK, grid=(CoreRange(0, 0, 1, 7),), shard_shape=(128, 32)
)
WIDTHS = replace(
    SHARDS, sharding=ShardLayout.WIDTH, grid=(CoreRange(0, 0, 1, 0),), shard_shape=(1024, 32)
)
NARROW = height(64, 32, (CoreRange(0, 0, 6, 0),))
# As between layers with weights, though there are none here.
INNER = Formats(end_activations=DataType.BFLOAT8_B)
PIXEL_SHARDS = replace(WIDTHS, shard_shape=(32, 32))
# Of everything a proposal can bring where it asks for it.
PLACING = ("InterleavedToSharded", "ShardedToInterleaved", "Reshard", "Typecast", "Copy")

LAYERS: dict[str, tuple[LayerOp, tuple[Shape, ...], Shape]] = {
    "softmax": (Softmax(1), (IMAGE,), IMAGE),
    "layer norm": (LayerNorm(1e-5), (IMAGE,), IMAGE),
    "group norm": (GroupNorm(2, 1e-5), (IMAGE,), IMAGE),
    "matmul": (Matmul(), ((1, 64, 64), (1, 64, 64)), (1, 64, 64)),
    "attention of whole tiles": (Attention(2, 0.1), (IMAGE,) * 3, IMAGE),
    "attention": (Attention(4, 0.1), (IMAGE,) * 3, IMAGE),
    "slice": (Slice(32, 64), (IMAGE,), (1, 32, 32, 32)),
    "ragged slice": (Slice(8, 32), (IMAGE,), (1, 24, 32, 32)),
    "crop": (Crop((0, 16, 1), (0, 16, 1)), (IMAGE,), (1, 64, 16, 16)),
    "padding": (Pad((0, 1, 0, 1)), (IMAGE,), (1, 64, 33, 33)),
    "gather": (Gather((1, 0), (3, 2, 2)), (IMAGE,), (1, 64, 2, 3)),
    "pixel shuffle": (PixelShuffle(2), (IMAGE,), (1, 16, 64, 64)),
    "nearest": (Upsample("nearest", (2, 2)), (IMAGE,), (1, 64, 64, 64)),
    "bilinear": (Upsample("bilinear", (2, 2)), (IMAGE,), (1, 64, 64, 64)),
    "flattening": (Reshape(), (IMAGE,), (1, 65536)),
    "transposition": (Permute((64, 32, 32), (0, 2, 1)), (IMAGE,), IMAGE),
    "unary": (Unary(Activation("relu")), (IMAGE,), IMAGE),
    "image out": (Output(), (IMAGE,), IMAGE),
    "squeeze": (Reshape(), (PIXEL,), (1, 64)),
    "narrow nearest": (Upsample("nearest", (2, 2)), (SMALL,), (1, 16, 40, 40)),
    "narrow bilinear": (Upsample("bilinear", (2, 2)), (SMALL,), (1, 16, 40, 40)),
}
PLACES = {
    IMAGE: (DRAM_8B, DRAM_TILE, SHARDS, replace(SHARDS, dtype=DataType.BFLOAT16), BLOCKS, WIDTHS),
    SMALL: (DRAM_8B, NARROW),
    PIXEL: (DRAM_8B, DRAM_TILE, PIXEL_SHARDS),
}


def network_of(op: LayerOp, shapes: tuple[Shape, ...], shape: Shape) -> Network:
    inputs = tuple(Layer(f"x{index}", Input(), (), size) for index, size in enumerate(shapes))
    return Network("one", (*inputs, Layer("it", op, tuple(item.name for item in inputs), shape)))


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_brings_an_output_where_it_was_asked(worker: WorkerDevice, name: str) -> None:
    op, shapes, shape = LAYERS[name]
    network = network_of(op, shapes, shape)
    layer = network.by_name["it"]
    ran = 0
    for taken in PLACES.get(shapes[0], (DRAM_8B, DRAM_TILE)):
        sources = [[taken]] * len(shapes)
        for option in options(layer, LayerFormats(network, Formats()), sources, []):
            assert option.input_layouts is not None
            request = ProbeRequest(op, shapes, shape, option.config, option.input_layouts)
            found = worker.probe(request)
            if isinstance(found, ProbeOutcome) and found.ops:
                ran += 1
                last = found.ops[-1].code
                # Bilinear interpolation and ``convert_to_chw`` leave shards of their own.
                ends = isinstance(op, Output | Upsample) and last.startswith("ShardedToInterleaved")
                assert ends or not last.startswith(PLACING), option
    assert ran or name == "squeeze"


@pytest.mark.parametrize("side", [7, 32])
@pytest.mark.parametrize("taken", [DRAM_8B, DRAM_TILE])
def test_a_mean_is_proposed_in_the_format_that_reductions_leave(
    worker: WorkerDevice, taken: TensorLayout, side: int
) -> None:
    """Inner means of a bfloat16 input: ttnn reduces them, and keeps the format."""
    op, shape = GlobalAvgPool2d(), (1, 64, side, side)
    network = network_of(op, (shape,), PIXEL)
    left = set()
    for option in options(network.by_name["it"], LayerFormats(network, INNER), [[taken]], []):
        request = ProbeRequest(op, (shape,), PIXEL, option.config, option.input_layouts, (taken,))
        found = worker.probe(request)
        if isinstance(found, ProbeOutcome) and option.input_layouts is not None:
            left.add(found.output_layout)
    assert TensorLayout(dtype=taken.dtype) in left


def test_ttnns_default_converts_no_format_that_a_layer_keeps(
    worker: WorkerDevice, network: Network
) -> None:
    """Behind an input in bfloat16, inner formats would be bfloat8_b."""
    layers = (
        Layer("x", Input(), (), IMAGE),
        Layer("norm", LayerNorm(1e-5), ("x",), IMAGE),
        Layer("act", Unary(Activation("relu")), ("norm",), IMAGE),
        Layer("crop", Crop((0, 16, 1), (0, 32, 1)), ("act",), (1, 64, 16, 32)),
        Layer("flat", Reshape(), ("crop",), (1, 32768)),
        Layer("mask", Constant(), (), (1, 32768)),
        Layer("soft", Softmax(1), ("flat",), (1, 32768)),
        Layer("y", Output(), ("soft",), (1, 32768)),
    )
    kept = Network("kept", layers)
    worker.load(kept)
    outcome = worker.run(default_schedule(kept, BOARD.name, "", Formats()))
    worker.load(network)
    assert isinstance(outcome, RunOutcome), outcome
    assert not [op for op in outcome.ops if op.code.startswith(PLACING)]
    left = {layout for name, layout in outcome.output_layouts.items() if name not in ("x", "norm")}
    assert left == {DRAM_TILE} | {layout for layout in left if layout.page is PageLayout.ROW_MAJOR}
    assert all(layout.memory is Memory.DRAM for layout in left)
