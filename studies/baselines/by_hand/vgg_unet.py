"""VGG-UNet, 256x256, for n150.

Source: tt-metal's public VGG-UNet, whose choices are restated here as values. What differs:

- The source goes down by VGG19, four convolutions a level from the third on, ours by VGG16, three.
  Its published 290 images/s are therefore of a larger network, and are not shown beside ours.
- The source's input lies in L1 and is padded and permuted there; ours comes from DRAM and is
  brought into rows of channels by ``convert_to_hwc``. The source leaves its output in shards;
  ours is handed back in PyTorch's order, by ``convert_to_chw``.
- The last convolution runs as a matmul, which ignores the source's buffers.
- The source's sigmoid is an op of its own; ours is the network's last convolution's.
"""

from dataclasses import dataclass, replace

from autosched.network.graph import Layer
from autosched.network.operators import Concat, Conv2d, Input, Output, Pool2d, is_pointwise
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    FixedConfig,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.tensors import TILE, Memory, ShardLayout, TensorLayout
from by_hand.baseline import B16, ROWS, TILES, Baseline, Layouts, joined, sharded

HEIGHT, BLOCK = ShardLayout.HEIGHT, ShardLayout.BLOCK
SPREAD = TensorLayout(Memory.L1)
PLAIN = ComputeConfig(packer_l1_acc=False)


@dataclass(frozen=True)
class Choice:
    """Tiles of the activation block (0: ttnn's), and shards to bring the input into, if any."""

    block: int = 0
    layout: ShardLayout | None = None

    @property
    def config(self) -> Conv2dConfig:
        """The choices as a configuration: both double buffers, and bfloat16 activations."""
        return Conv2dConfig(
            shard_layout=self.layout,
            act_block_h_override=self.block * TILE,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=True,
            output_dtype=B16,
            compute=PLAIN,
        )


CHOICES = {
    "down.0.3": Choice(16),
    "up.0.0": Choice(layout=BLOCK),
    "up.1.0": Choice(layout=BLOCK),
    "widen.2": Choice(4, HEIGHT),
    "up.2.0": Choice(2),
    "widen.3": Choice(8, HEIGHT),
    "up.3.0": Choice(4),
    "up.3.3": Choice(16),
}
"""All others leave everything to ttnn, in the shards that their input has."""
IN_TILES = (
    *("down.2.4", "down.3.1", "down.3.4", "down.4.1", "down.4.4"),
    *("up.0.0", "up.0.3", "up.1.0", "up.1.3", "up.2.0", "up.3.0", "up.3.3"),
)
"""Convolutions that leave tiles; the others leave rows."""
MOVES = {
    "down.2.1": sharded(BLOCK, 8, 8, (512, 32), B16, ROWS),
    "up.1.3": SPREAD,
    "up.2.3": replace(SPREAD, page=ROWS),
}
"""The explicit moves, each as soon as the tensor is there."""


class VggUNet(Baseline):
    """One image on n150."""

    study = "vgg_unet"

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        match layer.op:
            case Input():
                image = sharded(HEIGHT, 8, 8, (1024, 8), B16, ROWS)
                return FixedConfig(output=image, method="convert_to_hwc")
            case Output():
                return FixedConfig(method="convert_to_chw")
            case Pool2d():
                return PoolConfig(output_page=ROWS)
            case Concat():
                return FixedConfig(output=joined(taken))
            case Conv2d() as op if is_pointwise(op):
                return Conv2dConfig(output_dtype=B16, compute=PLAIN)
            case _:
                config = CHOICES.get(layer.name, Choice()).config
                return replace(config, output_page=TILES if layer.name in IN_TILES else ROWS)

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        """Rows are joined, on all cores."""
        if not isinstance(layer.op, Concat):
            return super().taken(layer, layouts)
        _, channels, height, width = layer.shape
        rows = sharded(HEIGHT, 8, 8, (height * width // 64, channels // 2), B16, ROWS)
        return tuple(rows for _ in layer.inputs)

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        return {layer.name: MOVES[layer.name]} if layer.name in MOVES else {}
