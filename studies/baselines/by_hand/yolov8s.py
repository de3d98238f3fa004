"""YOLOv8s, 640x640, for n150.

Source: tt-metal's public YOLOv8s, whose choices are restated here as values. What differs:

- The source splits the weights of a CSP block's first convolution, so that its halves are two
  tensors; ours is one, of which the second half is sliced, as interleaved tiles.
- Convolutions of the source leave rows in a CSP block's halves; ours leave tiles everywhere, which
  are joined as such, but where two tensors come to 12 tiles of channels: that is known to go wrong.
- The source decodes boxes on a transposed list of cells, with one softmax and a convolution over
  the bins; ours is the network's own: four softmaxes along channels. As there, all of it is
  interleaved in L1.
- The input comes from DRAM and is brought into rows of channels by ``convert_to_hwc``; the source
  pads and permutes it.
- The source has double buffers of activations in all convolutions; of matmuls ttnn ignores them.

``reshard_if_not_optimal`` is off everywhere in the source: shards are kept, and what a layer's
choice says is for interleaved inputs.
"""

import re
from dataclasses import replace

from autosched.network.graph import Layer
from autosched.network.operators import (
    Binary,
    Concat,
    Constant,
    Conv2d,
    Input,
    Output,
    Pool2d,
    Slice,
    Unary,
    Upsample,
    is_pointwise,
)
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.tensors import CoreRange, Memory, ShardLayout, TensorLayout
from by_hand.baseline import B8, B16, ROWS, Baseline, Layouts, joined, sharded

HEIGHT, BLOCK = ShardLayout.HEIGHT, ShardLayout.BLOCK
COMPUTE = ComputeConfig(math_approx_mode=False, packer_l1_acc=False)
SPREAD = TensorLayout(Memory.L1, dtype=B8)
SPREAD_ROWS = TensorLayout(Memory.L1, page=ROWS)
IN_BLOCKS = ("stage5", "down3", "down4", "out5.chain", "out5.leave")
"""Convolutions that bring interleaved inputs into block shards; others into height shards."""
SPREAD_BLOCKS = ("stage5.1", "out5")
"""CSP blocks between whose convolutions tensors are interleaved."""
MOVES = {
    "stage4.1.leave.0": SPREAD,
    "stage5.2.enter.0": SPREAD_ROWS,
    "stage5.2.cat": SPREAD_ROWS,
    "stage5.2.leave.0": SPREAD_ROWS,
    "cat": SPREAD_ROWS,
    "top4.leave.0": SPREAD_ROWS,
    "cat_2": SPREAD_ROWS,
    "top3.leave.0": SPREAD,
    "down3.0": SPREAD_ROWS,
    "cat_3": SPREAD_ROWS,
    "out4.leave.0": SPREAD,
    "down4.0": SPREAD_ROWS,
    "cat_4": SPREAD_ROWS,
    "out5.leave.0": SPREAD,
}
"""The explicit moves, each as soon as the tensor is there."""
SPLIT_READERS = ("detect.stem.0.0", "detect.stem.1.0")
ENLARGED = {
    "enlarge": ((CoreRange(0, 0, 7, 1), CoreRange(0, 2, 3, 2)), 20),
    "enlarge_2": ((CoreRange(0, 0, 7, 4),), 40),
}
"""Cores of images to enlarge, and rows of pixels on each: one row of the image."""
JOINED = {
    "stage5.2.cat": (256, 256, 256, 256),
    "cat": (512, 256),
    "cat_2": (256, 128),
    "cat_3": (128, 256),
    "cat_4": (256, 512),
}
"""Channels that are put side by side as rows, on all cores."""
JOINED_AS_ROWS = ("top4.cat", "out4.cat")
"""Those of CSP blocks that are put side by side as rows, where they lie."""
_LAST_OF_HEAD = re.compile(r"heads\.\d\.\w+\.2$")


class YOLOv8s(Baseline):
    """One image on n150: 236.95 images/s of device-kernel time on silicon."""

    study = "yolov8s"
    published_us = (4220.3, 4220.3)

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        match layer.op:
            case Input():
                image = sharded(HEIGHT, 8, 8, (6400, 8), B16, ROWS)
                return FixedConfig(output=image, method="convert_to_hwc")
            case Conv2d() as op:
                return convolution(layer.name, op, taken[0])
            case Pool2d():
                return PoolConfig(output_page=ROWS)
            case Binary() | Unary():
                return EltwiseConfig(output_dtype=B8, layout=taken[0])
            case Upsample():
                output = enlarged(taken[0])
            case Concat() if taken[0].is_sharded:
                output = joined(taken)
            case Constant() | Output():
                output = TensorLayout()
            case _:
                output = SPREAD
        return FixedConfig(output=output)

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        lies = super().taken(layer, layouts)
        name = layer.name.removeprefix("detect.")
        if isinstance(layer.op, Upsample):
            grid, rows = ENLARGED[name]
            image = sharded(HEIGHT, 8, 8, (rows, layer.shape[1]), B16, ROWS)
            return (replace(image, grid=grid),)
        if layer.name == f"detect.{name}" and name in JOINED:
            rows = -(-layer.shape[2] * layer.shape[3] // 64)
            return tuple(sharded(HEIGHT, 8, 8, (rows, width), B16, ROWS) for width in JOINED[name])
        decodes = not layer.name.startswith("detect.")
        if isinstance(layer.op, Slice | Unary) or (
            isinstance(layer.op, Binary | Concat) and (decodes or name.startswith(SPREAD_BLOCKS))
        ):
            return (SPREAD,) * len(lies)
        if name in JOINED_AS_ROWS:
            return tuple(replace(layout, dtype=B16, page=ROWS) for layout in lies)
        return (lies[1], lies[1]) if isinstance(layer.op, Binary) else lies

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        """The second half of a CSP block's channels goes where the first stays."""
        name = layer.name.removeprefix("detect.")
        decodes = layer.name == name
        if isinstance(layer.op, Conv2d) and (decodes or _LAST_OF_HEAD.match(name)):
            return {layer.name: SPREAD}
        if name in MOVES and not decodes:
            return {layer.name: MOVES[name]}
        if decodes or not isinstance(layer.op, Slice) or name.startswith(SPREAD_BLOCKS):
            return {}
        whole = layouts[layer.inputs[0]]
        assert whole.shard_shape is not None  # noqa: S101 - convolutions leave shards
        half = (whole.shard_shape[0], whole.shard_shape[1] // 2)
        return {layer.name: replace(whole, shard_shape=half)}


def convolution(name: str, op: Conv2d, taken: TensorLayout) -> Conv2dConfig:
    """Return a convolution's configuration, for the layout in which it takes its input.

    All have bfloat8_b weights and activations, and LoFi.
    """
    layout = None
    if not taken.is_sharded:
        layout = BLOCK if name.removeprefix("detect.").startswith(IN_BLOCKS) else HEIGHT
    return Conv2dConfig(
        shard_layout=layout,
        enable_act_double_buffer=not is_pointwise(op),
        force_split_reader=True if name in SPLIT_READERS else None,
        compute=COMPUTE,
    )


def enlarged(layout: TensorLayout) -> TensorLayout:
    """Return the shards of an image whose rows and columns were doubled by each core."""
    assert layout.shard_shape is not None  # noqa: S101 - it is in shards
    rows, columns = layout.shard_shape
    return replace(layout, shard_shape=(4 * rows, columns))
