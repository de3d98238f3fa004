"""Pooling over sliding windows, which a halo gather comes before."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autosched.cost.ops.attributes import members, pair_of, sliding_window_text
from autosched.cost.ops.traffic import ELEMENT_BYTES, KIB, ceil_div, first, shard_of
from autosched.cost.ops.work import (
    Engine,
    OpFamily,
    Prior,
    Record,
    Resource,
    Work,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, PageLayout, ShardLayout

# Rows of a window that one pass of the reduction takes (tt-metal's pool factory).
_WINDOW_ROWS = 32


@dataclass(frozen=True)
class PoolOp(Record):
    """Max or average pooling over a sliding window, sticks per core."""

    layout: ShardLayout
    cores: int
    kind: str
    window_hw: tuple[int, int]
    stride_hw: tuple[int, int]
    out_sticks: int
    stick_bytes: int
    channels: int
    tiled_output: bool
    with_indices: bool = False


def pool_work(op: PoolOp) -> Work:
    """Return the work of a pooling: per output stick, gather a window and reduce its tiles.

    A pass reduces up to 32 positions of a tile's columns at once, so small windows cost alike.
    """
    window = op.window_hw[0] * op.window_hw[1]
    columns = ceil_div(op.channels, TILE)
    passes = float(op.out_sticks * columns * ceil_div(window, _WINDOW_ROWS))
    serial = {
        "launch": 1.0,
        "stick": float(op.out_sticks),
        "window_stick": float(op.out_sticks * window),
        "reduce_tile": passes,
        "average_tile": passes if op.kind == "avg" else 0.0,
        "index_tile": passes if op.with_indices else 0.0,
        "tiled_stick": float(op.out_sticks * columns) if op.tiled_output else 0.0,
    }
    return Work("pool", serial, needs={Engine.NOC: op.out_sticks * window * op.stick_bytes / KIB})


_POOL_KIND = re.compile(r"Pool2DType::(\w+?)_POOL")


def read_pool(op: DeviceOp) -> PoolOp:
    """Return the features of a pooling."""
    window = members(sliding_window_text(op.attributes))
    source, target = first(op.inputs), first(op.outputs)
    out_rows, _ = shard_of(target, op.cores)
    _, channels = shard_of(source, op.cores)
    kind = _POOL_KIND.search(op.attributes)
    return PoolOp(
        layout=source.layout.sharding,
        cores=op.cores,
        kind=kind[1].lower() if kind else "max",
        window_hw=pair_of(window["window_hw"]),
        stride_hw=pair_of(window["stride_hw"]),
        out_sticks=out_rows,
        stick_bytes=channels * ELEMENT_BYTES[source.layout.dtype],
        channels=channels,
        tiled_output=target.layout.page is PageLayout.TILE,
        with_indices=len(op.outputs) > 1,
    )


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "pool": {
        "launch": Prior(1500.0, Resource.LAUNCH, 0.3),
        "stick": Prior(15.0, Resource.READER, 0.3),
        "window_stick": Prior(1.0, Resource.READER, 0.3),
        "reduce_tile": Prior(75.0, Resource.COMPUTE, 0.3),
        "average_tile": Prior(30.0, Resource.COMPUTE),
        "index_tile": Prior(500.0, Resource.COMPUTE),
        "tiled_stick": Prior(15.0, Resource.COMPUTE),
    },
}

FAMILY = OpFamily(
    readers={
        "pool2d": read_pool,
        "maxpool": read_pool,
        "maxpoolnew": read_pool,
        "maxpool2d": read_pool,
        "avgpool2d": read_pool,
    },
    formulas={
        PoolOp: pool_work,
    },
    priors=_PRIORS,
)
