"""Schedules of the small network, and requests: some that ttnn takes, some that it rejects."""

from dataclasses import replace

from autosched.device.interface import ProbeRequest
from autosched.device.machine import ttnn_version
from autosched.network.graph import Network
from autosched.network.operators import Conv2d
from autosched.schedule.configurations import Conv2dConfig, FixedConfig, PoolConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DataType, Edge, ShardLayout, TensorLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.examples.layouts import DRAM_8B, HEIGHTS, ONE_CORE, height
from tests.examples.networks import BOARD


def ttnn_default(network: Network) -> Schedule:
    return default_schedule(network, BOARD.name, ttnn_version(), Formats())


# What height-sharded layers of the small network take and leave: 1024 pixels on 32 cores, then
# 256 pixels on 8.
POOLED = HEIGHTS


def sharded_schedule(network: Network) -> Schedule:
    """Height shards throughout; the pool's output waits in DRAM and comes back for the sum."""
    base = ttnn_default(network)
    sharded = Conv2dConfig(shard_layout=ShardLayout.HEIGHT)
    layers = {
        **base.layers,
        "stem": sharded,
        "pool": PoolConfig(output_dtype=DataType.BFLOAT8_B),
        "point": sharded,
        "sum": replace(base.layers["sum"], layout=POOLED),
    }
    assert isinstance(layers["x"], FixedConfig)
    return Schedule(
        base.provenance,
        layers,
        reshards={Edge("pool", "point"): POOLED, Edge("pool", "sum", 1): POOLED},
        moves={Edge("pool", "point"): DRAM_8B},
        frees=frozenset({"pool"}),
    )


def conv3x3(channels: int, side: int, config: Conv2dConfig, **fields: object) -> ProbeRequest:
    """A 3x3 convolution that keeps its shape."""
    shape = (1, channels, side, side)
    op = Conv2d(channels, channels, (3, 3), padding=(1, 1, 1, 1))
    return ProbeRequest(op, (shape,), shape, config, **fields)


def pointwise(channels: int, side: int, config: Conv2dConfig, **fields: object) -> ProbeRequest:
    shape = (1, channels, side, side)
    return ProbeRequest(Conv2d(channels, channels, (1, 1)), (shape,), shape, config, **fields)


def depthwise(channels: int, side: int, config: Conv2dConfig) -> ProbeRequest:
    shape = (1, channels, side, side)
    op = Conv2d(channels, channels, (3, 3), padding=(1, 1, 1, 1), groups=channels)
    return ProbeRequest(op, (shape,), shape, config)


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
    input_layouts=(height(128 * 128, 64, ONE_CORE, dtype=DataType.BFLOAT16),),
)
BAD_BLOCK = conv3x3(64, 28, replace(HEIGHT, act_block_h_override=48))
LARGE = conv3x3(256, 112, HEIGHT)
"""Fits into an empty L1 only: 1.27 MB a core."""
