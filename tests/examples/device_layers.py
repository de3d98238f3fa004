"""A small network with every kind of step, its schedules, and requests that ttnn rejects."""

from dataclasses import replace

import torch

from autosched.boards import find_board
from autosched.device.interface import ProbeRequest
from autosched.device.machine import ttnn_version
from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import (
    Activation,
    Binary,
    Conv2d,
    GlobalAvgPool2d,
    Input,
    Linear,
    Output,
    Pool2d,
    Reshape,
)
from autosched.schedule.configurations import Conv2dConfig, FixedConfig, PoolConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.defaults import default_schedule
from autosched.space.formats import Formats

BOARD = find_board("n150")
SIDE = 32
RELU = Activation("relu")


def small_network(classes: int = 10) -> Network:
    """Convolution, pool, pointwise convolution, residual sum, mean, linear layer at 32x32."""
    generator = torch.Generator().manual_seed(1)

    def weights(*shape: int) -> Weights:
        return Weights(
            torch.randn(shape, generator=generator), torch.randn(shape[0], generator=generator)
        )

    whole, half = (1, 64, SIDE, SIDE), (1, 64, SIDE // 2, SIDE // 2)
    return Network(
        "small",
        (
            Layer("x", Input(), (), (1, 3, SIDE, SIDE)),
            Layer(
                "stem", Conv2d(3, 64, (3, 3), padding=(1, 1, 1, 1), activation=RELU), ("x",), whole
            ),
            Layer("pool", Pool2d("max", (2, 2), (2, 2)), ("stem",), half),
            Layer("point", Conv2d(64, 64, (1, 1)), ("pool",), half),
            Layer("sum", Binary("add", RELU), ("point", "pool"), half),
            Layer("mean", GlobalAvgPool2d(), ("sum",), (1, 64, 1, 1)),
            Layer("flat", Reshape(), ("mean",), (1, 64)),
            Layer("fc", Linear(64, classes), ("flat",), (1, classes)),
            Layer("y", Output(), ("fc",), (1, classes)),
        ),
        {
            "stem": weights(64, 3, 3, 3),
            "point": weights(64, 64, 1, 1),
            "fc": weights(classes, 64),
        },
    )


def ttnn_default(network: Network) -> Schedule:
    return default_schedule(network, BOARD.name, ttnn_version(), Formats())


def height(rows: int, columns: int, cores: tuple[CoreRange, ...], **fields: object) -> TensorLayout:
    """Height shards of ``rows`` x ``columns`` elements in L1, bfloat8_b tiles unless told."""
    return replace(
        TensorLayout(
            Memory.L1,
            ShardLayout.HEIGHT,
            DataType.BFLOAT8_B,
            grid=cores,
            shard_shape=(rows, columns),
        ),
        **fields,
    )


DRAM_8B = TensorLayout(dtype=DataType.BFLOAT8_B)
ROWS_IN_DRAM = TensorLayout(page=PageLayout.ROW_MAJOR)
WHOLE_GRID = (CoreRange(0, 0, 7, 7),)
HALF_GRID = (CoreRange(0, 0, 7, 3),)
# What height-sharded layers of the small network take and leave: 1024 pixels on 32 cores, then
# 256 pixels on 8.
ONE_ROW = (CoreRange(0, 0, 7, 0),)
POOLED = height(32, 64, ONE_ROW)


def sharded_schedule(network: Network) -> Schedule:
    """Height shards throughout; the pool's output waits in DRAM and comes back for the sum."""
    base = ttnn_default(network)
    sharded = Conv2dConfig(shard_layout=ShardLayout.HEIGHT)
    layers = {
        **base.layers,
        "stem": replace(sharded, deallocate_activation=False),
        "pool": PoolConfig(output_dtype=DataType.BFLOAT8_B),
        "point": replace(sharded, deallocate_activation=False),
        "sum": replace(base.layers["sum"], layout=POOLED),
    }
    assert isinstance(layers["x"], FixedConfig)
    return Schedule(
        base.provenance,
        layers,
        reshards={Edge("pool", "point"): POOLED, Edge("pool", "sum", 1): POOLED},
        moves={Edge("pool", "point"): DRAM_8B},
    )


def conv3x3(channels: int, side: int, config: Conv2dConfig, **fields: object) -> ProbeRequest:
    """A 3x3 convolution that keeps its shape."""
    shape = (1, channels, side, side)
    op = Conv2d(channels, channels, (3, 3), padding=(1, 1, 1, 1))
    return ProbeRequest(op, (shape,), shape, config, **fields)


def pointwise(channels: int, side: int, config: Conv2dConfig, **fields: object) -> ProbeRequest:
    shape = (1, channels, side, side)
    return ProbeRequest(Conv2d(channels, channels, (1, 1)), (shape,), shape, config, **fields)


HEIGHT, BLOCK, WIDTH = (
    Conv2dConfig(shard_layout=layout)
    for layout in (ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH)
)
FITS = conv3x3(64, 28, HEIGHT)
CIRCULAR_BUFFER_OVERFLOW = conv3x3(64, 224, BLOCK)
CIRCULAR_BUFFER_CLASH = conv3x3(
    64,
    224,
    replace(HEIGHT, output_dtype=DataType.BFLOAT16),
    source_layouts=(TensorLayout(dtype=DataType.FLOAT32),),
)
L1_OVERFLOW = conv3x3(
    64,
    128,
    HEIGHT,
    input_layouts=(height(128 * 128, 64, (CoreRange(0, 0, 0, 0),), dtype=DataType.BFLOAT16),),
)
BAD_BLOCK = conv3x3(64, 28, replace(HEIGHT, act_block_h_override=48))
LARGE = conv3x3(256, 112, HEIGHT)
"""Fits into an empty L1 only: 1.27 MB a core."""
