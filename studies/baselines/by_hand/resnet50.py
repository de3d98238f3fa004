"""ResNet-50 for n150 at batch 16.

Source: tt-metal's public ResNet-50 model for Wormhole, whose choices are restated here as rules
over layer names. Three things differ from the source, because a layer of ours is one ttnn call:

- The stem is the plain 7x7 convolution of stride 2. The source folds the image into a 4x4
  convolution of stride 1 on 115x115x16, which reads fewer rows and reuses activations.
- Residual additions write a new tensor instead of overwriting an input. Those of the first stage
  are therefore packed to the end of L1 (``ttnn.move``), and the stem's gathered rows are, or the
  next 3x3 does not fit.
- The input comes from DRAM and is brought from PyTorch's order into rows of channels by
  ``convert_to_hwc``.

The published figure is the sum of the kernel times of one forward pass whose input lies in L1
shards already: the folding on the device counts, the transfer from DRAM into L1 does not. So two
estimates are printed beside it: that of the schedule as it is, and that of the same schedule with
the source's stem and without the transfer and the packing, which is what was timed on silicon
(with our conversion in the place of the source's folding).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Layer
from autosched.network.operators import Activation, Binary, Conv2d, Input, Linear
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import Edge, ShardLayout, TensorLayout, move_label
from by_hand.baseline import B8, B16, ROWS, Baseline, Layouts, probed, sharded

STEM_INPUT = sharded(ShardLayout.HEIGHT, 8, 8, (12544, 8), B16, ROWS)
MOVES = {
    "maxpool": sharded(ShardLayout.HEIGHT, 8, 7, (896, 64), B16, ROWS),
    "layer2.3.add": sharded(ShardLayout.BLOCK, 8, 8, (1568, 64)),
    "layer3.5.add": sharded(ShardLayout.BLOCK, 8, 7, (448, 128)),
    "layer4.2.add": sharded(ShardLayout.WIDTH, 8, 8, (800, 32)),
    "flatten": sharded(ShardLayout.WIDTH, 8, 4, (32, 64)),
}
"""The explicit moves, each as soon as the tensor is there."""
POOLS = {
    "maxpool": PoolConfig(output_page=ROWS),
    "avgpool": PoolConfig(output_dtype=B8),
}
PACKED = ("layer1.0.add", "layer1.1.add", "layer1.2.add")
"""Tensors moved to the end of L1 in the layout they have."""
FOLDED_STEM = Conv2d(16, 64, (4, 4), activation=Activation("relu"))
FOLDED_INPUT = replace(STEM_INPUT, shard_shape=(3307, 16))
"""The source's stem: what it computes, and how its input lies on 8 x 8 cores."""


class ResNet50(Baseline):
    """Batch 16 on n150: 6,335 to 6,140 images/s of device-kernel time on silicon."""

    study = "resnet50"
    batch = 16
    published_us: tuple[float, float] | None = (2530.0, 2610.0)
    stem_input = STEM_INPUT
    folded_input = FOLDED_INPUT
    moves: Mapping[str, TensorLayout] = MOVES
    packed: Collection[str] = PACKED

    def convolution(self, name: str, op: Conv2d) -> Conv2dConfig:
        """Return a convolution's configuration."""
        return convolution(name, op)

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        if isinstance(layer.op, Input):
            return FixedConfig(output=self.stem_input, method="convert_to_hwc")
        if isinstance(layer.op, Conv2d):
            return self.convolution(layer.name, layer.op)
        if isinstance(layer.op, Binary):
            return EltwiseConfig(output_dtype=B8, layout=taken[0])
        if isinstance(layer.op, Linear):
            return MatmulConfig(output="width", output_dtype=B16)
        return POOLS.get(layer.name, FixedConfig(output=TensorLayout(dtype=B8)))

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        lies = super().taken(layer, layouts)
        return (lies[0], lies[0]) if isinstance(layer.op, Binary) else lies

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        left = layouts[layer.name]
        target = self.moves.get(layer.name, left)
        return {layer.name: target} if target != left or layer.name in self.packed else {}

    def as_timed(
        self, ops: Sequence[DeviceOp], device: WorkerDevice
    ) -> tuple[str, Sequence[DeviceOp]]:
        packed = {move_label(Edge(name, name)) for name in self.packed}
        kept = [
            op
            for op in ops
            if op.layer not in {"conv1", *packed}
            and not (op.layer == "x" and op.code.startswith("Interleaved"))
        ]
        return "With the source's stem, from L1", (*self._folded_stem(device), *kept)

    def _folded_stem(self, device: WorkerDevice) -> tuple[DeviceOp, ...]:
        config = replace(
            self.convolution("conv1", FOLDED_STEM),
            enable_activation_reuse=True,
            reallocate_halo_output=False,
        )
        shapes, shape = ((self.batch, 16, 115, 115),), (self.batch, 64, 112, 112)
        request = ProbeRequest(FOLDED_STEM, shapes, shape, config, (self.folded_input,))
        return probed(device, "folded stem", request).ops


def convolution(name: str, op: Conv2d) -> Conv2dConfig:
    """Return a convolution's configuration; it keeps the sharding its input has.

    All have bfloat8_b weights and activations, LoFi and packer_l1_acc.
    """
    if name == "conv1":
        return Conv2dConfig(
            shard_layout=ShardLayout.HEIGHT,
            act_block_h_override=1568,
            enable_act_double_buffer=True,
            reallocate_halo_output=True,
        )
    # The source switches them on there, too; of a matmul ttnn ignores them.
    if op.kernel == op.stride == (1, 1):
        return Conv2dConfig()
    if "downsample" in name:
        return Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=name.startswith(("layer3", "layer4")),
            full_inner_dim=True,
        )
    return Conv2dConfig(
        act_block_h_override=448 if name in ("layer1.1.conv2", "layer1.2.conv2") else 0,
        enable_act_double_buffer=True,
        enable_weights_double_buffer=True,
        full_inner_dim=True,
        enable_activation_reuse=name == "layer1.0.conv2",
    )
