"""Shallow U-Net, 1056x160, for n150: four images as groups of channels, and one image.

Source: tt-metal's public shallow U-Net of four images, whose choices are restated here as values.
What differs:

- One image is the plain network, with the choices per layer as they are. All of it is joined as
  rows; the last level of four images is joined as tiles of bfloat8_b, as in the source, which the
  16 + 16 channels of one do not fill.
- Groups are zeros in the weights of convolutions, here as in ttnn. The source joins group by group;
  ours joins tensors one after the other, and the next convolution has its weights in that order.
- The input comes from DRAM; the source's lies in L1 shards when its time is taken.
- The last convolution runs as a matmul, which ignores the source's block and buffers.

Layouts are HEIGHT throughout, on 63 cores where the source says so (1056x160 pixels have no 64
equal parts), and else the one that a convolution's input has.
"""

from dataclasses import dataclass, replace

from autosched.network.graph import Layer
from autosched.network.operators import Concat, Input, Output, Pool2d, Upsample
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    FixedConfig,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.tensors import STICK, TILE, CoreRange, ShardLayout, TensorLayout
from by_hand.baseline import B8, B16, ROWS, TILES, Baseline, Layouts, joined, sharded

HEIGHT = ShardLayout.HEIGHT
PLAIN = ComputeConfig(packer_l1_acc=False)
CORES_63 = (CoreRange(0, 0, 7, 6), CoreRange(0, 7, 6, 7))


@dataclass(frozen=True)
class Choice:
    """Tiles of the activation block (0: ttnn's), and what else a convolution has of its own.

    ``buffers`` is the double buffer of activations; weights have theirs everywhere. ``optimal``
    brings the input into the shards that ttnn finds best.
    """

    block: int = 0
    buffers: bool = True
    reuse: bool = False
    optimal: bool = False
    grid: tuple[CoreRange, ...] = ()
    halo_moved: bool = False

    @property
    def config(self) -> Conv2dConfig:
        """The choices as a configuration."""
        return Conv2dConfig(
            shard_layout=HEIGHT if self.optimal or self.grid else None,
            act_block_h_override=self.block * TILE,
            enable_act_double_buffer=self.buffers,
            enable_weights_double_buffer=True,
            enable_activation_reuse=self.reuse,
            core_grid=self.grid,
            reallocate_halo_output=self.halo_moved,
            compute=PLAIN,
        )


CHOICES = {
    "down.0.0": Choice(reuse=True, grid=CORES_63),
    "down.0.3": Choice(12),
    "down.1.0": Choice(reuse=True),
    "down.1.3": Choice(reuse=True),
    "down.2.0": Choice(optimal=True),
    "down.2.3": Choice(),
    "down.3.0": Choice(optimal=True),
    "down.3.3": Choice(),
    "bottom.0": Choice(buffers=False, optimal=True),
    "bottom.3": Choice(buffers=False),
    "up.0.0": Choice(buffers=False, optimal=True, halo_moved=True),
    "up.0.3": Choice(buffers=False),
    "up.0.6": Choice(buffers=False),
    "up.1.0": Choice(optimal=True, halo_moved=True),
    "up.1.3": Choice(),
    "up.1.6": Choice(),
    "up.2.0": Choice(3, grid=CORES_63, halo_moved=True),
    "up.2.3": Choice(reuse=True),
    "up.2.6": Choice(reuse=True),
    "up.3.0": Choice(4, halo_moved=True),
    "up.3.3": Choice(12),
    "up.3.6": Choice(12),
}
LAST = Conv2dConfig(output_dtype=B16, compute=PLAIN)
PACKED = ("down.0.3", "down.1.3", "down.2.3", "down.3.3", "cat_4")
"""What is moved to the end of L1: skips, and what was joined where memory is short."""
JOINED = {"cat": (64, 32), "cat_2": (32, 32), "cat_3": (32, 16), "cat_4": (16, 16)}
"""Channels of an image that are put side by side."""
JOINED_AS_TILES = "cat_4"
LOWERED = {"up.1.0": 3}
"""Tiles of an activation block of four images, where ttnn's whole shard does not fit in L1."""


class SmallUNet(Baseline):
    """One image on n150; published for four at once alone."""

    study = "unet_small"

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        match layer.op:
            case Input():
                channels = max(layer.shape[1], STICK)
                image = replace(sharded(HEIGHT, 8, 8, (2688, channels), B16, ROWS), grid=CORES_63)
                return FixedConfig(output=image, method="convert_to_hwc")
            case Output():
                return FixedConfig(method="convert_to_chw")
            case Pool2d():
                return PoolConfig(output_page=ROWS)
            case Concat():
                return FixedConfig(output=joined(taken))
            case Upsample():
                return FixedConfig(output=enlarged(taken[0], layer.shape[1]))
            case _:
                return CHOICES[layer.name].config if layer.name in CHOICES else LAST

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        """What is joined is in the shards of the skip."""
        lies = super().taken(layer, layouts)
        if not isinstance(layer.op, Concat):
            return lies
        widths = (self.pack_images * channels for channels in JOINED[layer.name])
        rows = tuple(beside(lies[1], width) for width in widths)
        if layer.name != JOINED_AS_TILES or self.pack_images == 1:
            return rows
        return tuple(replace(layout, dtype=B8, page=TILES) for layout in rows)

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        name = layer.name
        return {name: layouts[name]} if name in PACKED else {}


class FourSmallUNets(SmallUNet):
    """Four images on n150, in channels: 1,632 images/s of device-kernel time on silicon."""

    batch = 4
    pack_images = 4
    published_us = (2451.0, 2451.0)

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        if layer.name in LOWERED:
            return replace(CHOICES[layer.name], block=LOWERED[layer.name]).config
        return super().config(layer, taken)


def beside(skip: TensorLayout, channels: int) -> TensorLayout:
    """Return the layout of rows of channels on the cores of a skip, as many on each."""
    assert skip.shard_shape is not None  # noqa: S101 - it is in shards
    return replace(skip, dtype=B16, page=ROWS, shard_shape=(skip.shard_shape[0], channels))


def enlarged(layout: TensorLayout, channels: int) -> TensorLayout:
    """Return the shards of an image whose rows and columns were doubled by each core."""
    assert layout.shard_shape is not None  # noqa: S101 - it is in shards
    rows, columns = layout.shard_shape
    shard = (4 * rows, min(columns, channels))
    return replace(layout, dtype=B16, page=ROWS, shard_shape=shard)
