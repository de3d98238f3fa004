"""ResNet-50 for p150 at batch 16 and batch 32.

Source: tt-metal's public ResNet-50 model, its branch for Blackhole, whose choices are restated here
as rules over layer names. What differs is what differs for n150 (``resnet50.py``), and:

- The source's published 10,610 images/s of batch 16 and 12,960 of batch 32 are not shown beside
  ours: it has been tuned for 13x10 cores, and does not say which were there.

On 11x10 cores the source takes its choices for grids other than 13x10, which differ at batch 32.
Where it asks ttnn for the best shards, or for the most cores that share the stem's tiles evenly,
the answer is for this grid: 98 for the stem.
"""

from collections.abc import Mapping
from dataclasses import replace

from autosched.network.operators import Conv2d
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import CoreRange, ShardLayout, TensorLayout
from by_hand.baseline import B16, ROWS, sharded
from by_hand.resnet50 import PACKED, ResNet50

HEIGHT, BLOCK = ShardLayout.HEIGHT, ShardLayout.BLOCK
CORES_98 = (CoreRange(0, 0, 10, 7), CoreRange(0, 8, 9, 8))
RESHARDED = ("layer1.0", "layer3.0")
"""Blocks whose convolutions bring their inputs into the shards that ttnn finds best."""


def on_98_cores(rows: int, channels: int) -> TensorLayout:
    """Return shards of rows of channels, as many on each core."""
    layout = sharded(HEIGHT, 11, 9, (rows // 98, channels), B16, ROWS)
    return replace(layout, grid=CORES_98)


class ResNet50OnP150(ResNet50):
    """Batch 16 on p150.

    ``blocks`` is the rows of an activation block, where ttnn does not choose;
    ``buffers_downsampling`` says whether convolutions in shortcuts double-buffer their activations.
    """

    board = "p150"
    published_us = None
    stem_input = on_98_cores(16 * 224 * 224, 8)
    folded_input = replace(stem_input, shard_shape=(2160, 16))
    moves: Mapping[str, TensorLayout] = {
        "layer3.5.add": sharded(BLOCK, 8, 10, (320, 128)),
        "layer4.2.add": sharded(ShardLayout.WIDTH, 8, 8, (800, 32)),
        "flatten": sharded(ShardLayout.WIDTH, 8, 4, (32, 64)),
    }
    packed = ()
    blocks: Mapping[str, int] = {"layer1.2.conv2": 512}
    buffers_downsampling = True

    def convolution(self, name: str, op: Conv2d) -> Conv2dConfig:
        """Return a convolution's configuration.

        All have bfloat8_b weights and activations, LoFi and packer_l1_acc.
        """
        block = self.blocks.get(name, 0)
        if name == "conv1":
            return Conv2dConfig(
                act_block_h_override=block,
                enable_act_double_buffer=True,
                reallocate_halo_output=True,
            )
        layout = HEIGHT if name.startswith(RESHARDED) else None
        if name == "layer3.0.downsample.0":
            layout = BLOCK
        # The source switches them on there, too; of a matmul ttnn ignores them.
        if op.kernel == op.stride == (1, 1):
            return Conv2dConfig(shard_layout=layout)
        if "downsample" in name:
            return Conv2dConfig(
                shard_layout=layout,
                enable_act_double_buffer=self.buffers_downsampling,
                enable_weights_double_buffer=name.startswith(("layer3", "layer4")),
                full_inner_dim=True,
            )
        return Conv2dConfig(
            shard_layout=layout,
            act_block_h_override=block,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            enable_activation_reuse=name == "layer1.0.conv2",
        )


class LargerResNet50OnP150(ResNet50OnP150):
    """Batch 32 on p150."""

    batch = 32
    stem_input = on_98_cores(32 * 224 * 224, 8)
    folded_input = replace(stem_input, shard_shape=(4320, 16))
    moves: Mapping[str, TensorLayout] = {
        "layer3.5.add": sharded(BLOCK, 8, 10, (640, 128)),
        "layer4.2.add": sharded(ShardLayout.WIDTH, 8, 8, (1568, 32)),
        "flatten": sharded(ShardLayout.WIDTH, 8, 4, (32, 64)),
    }
    packed = PACKED
    blocks: Mapping[str, int] = {
        "conv1": 1024,
        "layer1.1.conv2": 32,
        "layer1.2.conv2": 32,
        "layer2.0.conv2": 32,
    }
    buffers_downsampling = False
