"""MobileNetV2 for n150 at batch 10.

Source: tt-metal's public MobileNetV2, whose choices are restated here as rules over layer names.
What differs:

- The source's classifier has a program configuration of its own (one tile of the output a core);
  ours leaves it to ttnn.
- The source leaves all activation blocks to ttnn. One of a whole shard does not fit in L1 with the
  ttnn that is installed; it is halved.
- The input comes from DRAM and is brought from PyTorch's order into rows of channels by
  ``convert_to_hwc``; the source's is uploaded as rows of channels.
"""

import re

from autosched.network.graph import Layer
from autosched.network.operators import (
    Binary,
    Conv2d,
    GlobalAvgPool2d,
    Input,
    Linear,
    is_pointwise,
)
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import ShardLayout, TensorLayout
from by_hand.baseline import B8, B16, ROWS, Baseline, Layouts, sharded

FIRST_IN_BLOCKS = 7
"""The first inverted residual whose tensors are in block shards."""
NARROWED_TO_HEIGHT = range(11, 15)
"""Those whose last convolution leaves height shards again.

The source asks for them from there on, but of 7x7 pixels ttnn leaves the blocks.
"""
STEM_INPUT = sharded(ShardLayout.HEIGHT, 8, 8, (7840, 8), B16, ROWS)
MOVES = {"features.18.0": sharded(ShardLayout.WIDTH, 8, 5, (512, 32))}
"""The explicit move, in front of the pooling."""
LOWERED = {"features.3.conv.1.0": 256}
"""Rows of an activation block, where a whole shard does not fit in L1."""
STEM = ("features.0.0", "features.1.conv.0.0")
COMPUTE = ComputeConfig(math_approx_mode=False)
_RESIDUAL = re.compile(r"features\.(?P<number>\d+)\.conv\.(?P<step>[012])")


class MobileNetV2(Baseline):
    """Batch 10 on n150."""

    study = "mobilenet_v2"
    batch = 10

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        match layer.op:
            case Input():
                return FixedConfig(output=STEM_INPUT, method="convert_to_hwc")
            case Conv2d() as op:
                return convolution(layer.name, op)
            case Binary():
                return EltwiseConfig(output_dtype=B8, layout=taken[0])
            case GlobalAvgPool2d():
                return PoolConfig(output_dtype=B8)
            case Linear():
                return MatmulConfig(output_dtype=B8)
            case _:
                return FixedConfig(output=TensorLayout(dtype=B8))

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        """What is added is brought to where the other operand was just left."""
        lies = super().taken(layer, layouts)
        return (lies[1], lies[1]) if isinstance(layer.op, Binary) else lies

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        return {layer.name: MOVES[layer.name]} if layer.name in MOVES else {}


def convolution(name: str, op: Conv2d) -> Conv2dConfig:
    """Return a convolution's configuration.

    All have bfloat8_b weights and activations, LoFi and packer_l1_acc. Double buffers are for
    those that are no matmuls.
    """
    layout = sharding(name)
    if is_pointwise(op):
        return Conv2dConfig(shard_layout=layout, compute=COMPUTE)
    return Conv2dConfig(
        act_block_h_override=LOWERED.get(name, 0),
        shard_layout=None if name == STEM[0] else layout,
        enable_act_double_buffer=layout is ShardLayout.BLOCK or name in STEM,
        enable_weights_double_buffer=True,
        compute=COMPUTE,
    )


def sharding(name: str) -> ShardLayout:
    """Return how a convolution's output is spread over cores."""
    found = _RESIDUAL.match(name)
    if found is None or int(found["number"]) < FIRST_IN_BLOCKS:
        return ShardLayout.HEIGHT
    narrowed = found["step"] == "2" and int(found["number"]) in NARROWED_TO_HEIGHT
    return ShardLayout.HEIGHT if narrowed else ShardLayout.BLOCK
