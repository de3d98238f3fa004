"""Vanilla U-Net, 480x640, for n150.

Source: tt-metal's public vanilla U-Net, whose choices are restated here as values. What differs:

- The source has no sigmoid at its end; ours is computed of the image in PyTorch's order. The last
  convolution runs as a matmul, which ignores the source's activation block.
- What is joined as rows becomes tiles first and bfloat8_b then; the source's tilizing writes
  bfloat8_b at once.
- Double buffers of the convolution whose layout is left to ttnn do not fit in L1.
- The input comes from DRAM; the source's lies in L1 shards when its time is taken.

Layouts are those that a convolution's input has: all HEIGHT. So has the source, which asks for
HEIGHT and for no resharding.
"""

from dataclasses import dataclass, replace

from autosched.network.graph import Layer
from autosched.network.operators import Concat, Input, Output, Pool2d
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    Fidelity,
    FixedConfig,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.tensors import TILE, DataType, ShardLayout, TensorLayout
from by_hand.baseline import B8, B16, ROWS, TILES, Baseline, Layouts, joined, sharded

HEIGHT = ShardLayout.HEIGHT
PRECISE = ComputeConfig(fp32_dest_acc_en=True)
PLAIN = ComputeConfig(packer_l1_acc=False)


@dataclass(frozen=True)
class Choice:
    """Tiles of the activation block (0: ttnn's), and what else a convolution has of its own.

    ``buffers`` stands for both double buffers, of activations and of weights.
    """

    block: int
    output: DataType = B16
    compute: ComputeConfig = PRECISE
    buffers: bool = False
    weights: DataType = B8

    @property
    def config(self) -> Conv2dConfig:
        """The choices as a configuration."""
        return Conv2dConfig(
            act_block_h_override=self.block * TILE,
            enable_act_double_buffer=self.buffers,
            enable_weights_double_buffer=self.buffers,
            reallocate_halo_output=True,
            weights_dtype=self.weights,
            output_dtype=self.output,
            compute=self.compute,
        )


CHOICES = {
    "down.0.0": Choice(15, buffers=True),
    "down.0.3": Choice(6, B8, buffers=True),
    "down.1.0": Choice(2, buffers=True),
    "down.1.3": Choice(2, buffers=True),
    "down.2.0": Choice(2, buffers=True),
    "down.2.3": Choice(2, buffers=True),
    "down.3.0": Choice(3, buffers=True),
    "down.3.3": Choice(3, buffers=True),
    "bottom.0": Choice(1),
    "bottom.3": Choice(1),
    "widen.0": Choice(3),
    "up.0.0": Choice(0, B8),
    "up.0.3": Choice(3, B8, buffers=True),
    "widen.1": Choice(5, B8),
    "up.1.0": Choice(3, buffers=True),
    "up.1.3": Choice(5, buffers=True),
    "widen.2": Choice(2),
    "up.2.0": Choice(2, buffers=True),
    "up.2.3": Choice(2, B8, buffers=True),
    "widen.3": Choice(5, B8, PLAIN),
    "up.3.0": Choice(10, B8, PLAIN, buffers=True),
    "up.3.3": Choice(10, B8, PLAIN, buffers=True),
    "classify": Choice(
        0, compute=ComputeConfig(Fidelity.HIFI2, fp32_dest_acc_en=True), weights=B16
    ),
}
SKIPS = {
    "pool": "down.0.3",
    "pool_2": "down.1.3",
    "pool_3": "down.2.3",
    "pool_4": "down.3.3",
}
"""What waits in DRAM once a pool has read it, until its concatenation."""
FETCHES = {
    "widen.0": "down.3.3",
    "widen.1": "down.2.3",
    "widen.2": "down.1.3",
    "widen.3": "down.0.3",
}
"""What comes back from there into the shards of an enlarged tensor, once that is made."""
JOINED_AS_TILES = "cat_4"


class UNet(Baseline):
    """One image on n150: 4,975 us on silicon."""

    study = "unet"
    published_us = (4975.0, 4975.0)

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        if isinstance(layer.op, Input):
            image = sharded(HEIGHT, 8, 8, (4800, 8), B16, ROWS)
            return FixedConfig(output=image, method="convert_to_hwc")
        if isinstance(layer.op, Output):
            return FixedConfig(method="convert_to_chw")
        if isinstance(layer.op, Pool2d):
            return PoolConfig(output_page=ROWS, reallocate_halo_output=True)
        if isinstance(layer.op, Concat):
            return FixedConfig(output=joined(taken))
        return CHOICES[layer.name].config

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        lies = super().taken(layer, layouts)
        if isinstance(layer.op, Concat) and layer.name != JOINED_AS_TILES:
            return tuple(replace(lies[0], dtype=B16, page=ROWS) for _ in lies)
        return lies

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        if layer.name in SKIPS:
            skip = SKIPS[layer.name]
            return {skip: TensorLayout(dtype=layouts[skip].dtype)}
        if layer.name in FETCHES:
            skip = FETCHES[layer.name]
            return {skip: replace(layouts[layer.name], dtype=layouts[skip].dtype)}
        if isinstance(layer.op, Concat) and layer.name != JOINED_AS_TILES:
            return {layer.name: replace(layouts[layer.name], dtype=B8, page=TILES)}
        return {}
