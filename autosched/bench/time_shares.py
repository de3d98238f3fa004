"""How much of a network's time goes into what it computes, and how much into moving data about."""

from collections.abc import Sequence

from autosched.network.graph import Network
from autosched.network.operators import (
    Attention,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    GroupNorm,
    LayerNorm,
    Linear,
    Matmul,
    Pool2d,
    Softmax,
)
from autosched.schedule.outcomes import DeviceOp

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
