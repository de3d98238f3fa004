"""Which layers of a network multiply most, and how much of its time goes into computing."""

import math
from collections.abc import Sequence

from autosched.network.graph import Network
from autosched.network.operators import (
    Attention,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    GroupNorm,
    LayerNorm,
    LayerOp,
    Linear,
    Matmul,
    Pool2d,
    Shape,
    Softmax,
)
from autosched.schedule.outcomes import DeviceOp


def multiplications(op: LayerOp, input_shapes: Sequence[Shape], shape: Shape) -> int:
    """Return the products of a layer by PyTorch's shapes; its elements where it has no sums."""
    match op:
        case Conv2d():
            return math.prod(shape) * op.in_channels // op.groups * math.prod(op.kernel)
        case ConvTranspose2d():
            spread = op.out_channels // op.groups * math.prod(op.kernel)
            return math.prod(input_shapes[0]) * spread
        case Linear():
            return math.prod(shape) * op.in_features
        case Matmul():
            return math.prod(shape) * input_shapes[0][-1]
        case Attention():
            tokens = math.prod(input_shapes[1][2:])
            return 2 * math.prod(shape) * tokens
        case _:
            return math.prod(shape)


def heaviest_layers(network: Network, most: int) -> list[str]:
    """Return the convolutions and linear layers with most products, one of those that are alike."""
    alike: dict[str, str] = {}
    work: dict[str, int] = {}
    for layer in network:
        if isinstance(layer.op, Conv2d | ConvTranspose2d | Linear):
            name = alike.setdefault(network.layer_signature(layer), layer.name)
            products = multiplications(layer.op, network.input_shapes(layer), layer.shape)
            work[name] = work.get(name, 0) + products
    return sorted(work, key=lambda name: -work[name])[:most]


_COMPUTING = (
    *(Conv2d, ConvTranspose2d, Linear, Matmul, Attention, Softmax),
    *(Pool2d, GlobalAvgPool2d, LayerNorm, GroupNorm),
)
LAYOUT_OPS = ("InterleavedToSharded", "ShardedToInterleaved", "Reshard")
"""How the names of device ops begin that change a tensor's layout, and nothing else."""


def computing_share(network: Network, ops: Sequence[DeviceOp]) -> float | None:
    """Return the share of convolutions, matrix products, pools, norms and attention in a time.

    Their halos count with them, changes of layout before or after them do not. None where an op
    was not timed or there is none.
    """
    computing = {layer.name for layer in network if isinstance(layer.op, _COMPUTING)}
    times_ns = [op.time_ns for op in ops if op.time_ns is not None]
    if len(times_ns) < len(ops) or not sum(times_ns):
        return None
    counted_ns = sum(
        op.time_ns or 0
        for op in ops
        if op.layer in computing and not op.code.startswith(LAYOUT_OPS)
    )
    return counted_ns / sum(times_ns)
