"""The work of ops that move, convert or combine tensors element by element.

What a core moves costs by page and by byte, and pages of other cores' L1 and of DRAM differ; the
total of all cores shares the network and the DRAM banks. Row-major sticks are read one by one with
a barrier each, which makes them many times dearer than tiles.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from autosched.cost.ops.conversions import (
    ChannelsLastOp,
    ReshapeOp,
    TilizePaddedOp,
    TransposeOp,
    UntilizeOp,
    transpose_quantities,
    untilize_quantities,
)
from autosched.cost.ops.families import Record
from autosched.cost.ops.norms import SoftmaxOp
from autosched.cost.ops.traffic import (
    ELEMENT_BYTES,
    KIB,
    TILE,
    Place,
    Traffic,
    ceil_div,
    fabric,
    first,
    pages,
    tile_pages,
    traffic,
    transfer_priors,
)
from autosched.cost.ops.work import Prior, Work, WorkStage, overlap_prior
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import DataType, PageLayout


@dataclass(frozen=True)
class MovementOp:
    """An op that moves a tensor, and perhaps converts its format on the way."""

    cores: int
    source: Traffic
    target: Traffic
    converts: bool


def movement_work(family: str, op: MovementOp) -> Work:
    """Return the work of a data-movement op."""
    compute = _conversion(op)
    stages = [
        WorkStage("read", pages(op.source, op.cores), ("overlap",)),
        WorkStage("write", pages(op.target, op.cores), ("overlap",)),
        WorkStage("fabric", fabric(op.source, op.target)),
    ]
    if compute:
        stages.append(WorkStage("compute", compute, ("overlap",)))
    serial = {"launch": 1.0, "convert_launch": float(op.converts), **_one_by_one(op)}
    return Work(family, serial, tuple(stages))


def _one_by_one(op: MovementOp) -> dict[str, float]:
    """Return what a kernel copies or fills piece by piece, hidden behind nothing."""
    if isinstance(op, TilizePaddedOp):
        return {"pad_kib": op.pad_bytes / KIB}
    if isinstance(op, SoftmaxOp):
        return {"mask": float(op.masked)}
    if isinstance(op, ChannelsLastOp):
        return {"shard_stick": max(op.source.pages, op.target.pages)}
    pieces = {"shard_stick": op.target.pages} if _copies_sticks(op) else {}
    if isinstance(op, ReshapeOp):
        pieces["tile_row"] = op.rows
        pieces["tile_fetch"] = op.fetches
        pieces["unaligned_kib"] = op.target.core_bytes / KIB if op.unaligned else 0.0
    return pieces


def _copies_sticks(op: MovementOp) -> bool:
    """Whether a core writes the sticks of its shard one by one."""
    if op.target.place is not Place.SHARD or op.target.page is not PageLayout.ROW_MAJOR:
        return False
    if isinstance(op, PaddedSliceOp):
        return op.source.page is PageLayout.TILE
    return isinstance(op, (ConcatOp, ReshapeOp, SliceOp, TransposeOp, UpsampleOp))


def _conversion(op: MovementOp) -> dict[str, float]:
    """Return what the compute engine, or a core's copying of rows of tiles, has to do."""
    tiles = max(tile_pages(op.source), tile_pages(op.target))
    if isinstance(op, UntilizeOp):
        return untilize_quantities(op, tiles)
    if isinstance(op, TransposeOp):
        return transpose_quantities(op, tiles)
    if op.converts or not _plain_copy(op):
        return {"compute_tile": tiles}
    return {}


def _plain_copy(op: MovementOp) -> bool:
    """Whether data pass without the compute engine."""
    return type(op).__name__ in {
        "ReshardOp",
        "InterleavedToShardedOp",
        "ShardedToInterleavedOp",
        "SliceWriteOp",
        "MoveOp",
        "CopyOp",
        "SliceOp",
    }


def move_work(op: MovementOp) -> Work:
    """Return the work of a move: reading and writing of one address space take turns."""
    return Work(
        "move",
        {"launch": 1.0, **pages(op.source, op.cores)},
        (WorkStage("fabric", fabric(op.source)),),
    )


def reshard_work(op: MovementOp) -> Work:
    """Return the work of a reshard: each core pulls its new shard from the old ones."""
    kib = max(op.source.core_bytes, op.target.core_bytes) / KIB
    kind = "tile" if op.target.page is PageLayout.TILE else "stick"
    serial = {
        "launch": 1.0,
        f"shard_{kind}": op.target.pages,
        "shard_kib": kib,
        **{
            name: amount
            for name, amount in pages(op.source, op.cores).items()
            if name != "shard_kib"
        },
    }
    return Work("reshard", serial)


def read_generic(op: DeviceOp) -> Record:
    """Return what an op of any kind shows: its cores, and the bytes of all its tensors."""
    return _read_joined(op, GenericOp)


MovementType = TypeVar("MovementType", bound=MovementOp)


def read_movement(op: DeviceOp, kind: type[MovementType]) -> MovementType:
    source, target = first(op.inputs), first(op.outputs or op.inputs)
    cores = max(op.cores, 1)
    return kind(
        cores=cores,
        source=traffic(source, cores),
        target=traffic(target, cores),
        converts=source.layout.dtype is not target.layout.dtype,
    )


def movement_reader(kind: type[MovementType]) -> Callable[[DeviceOp], Record]:
    return lambda op: read_movement(op, kind)


def _read_joined(op: DeviceOp, kind: type[MovementType]) -> MovementType:
    """Read an op that reads all of its inputs, counted as pages of the first."""
    one = read_movement(op, kind)
    parts = [traffic(info, one.cores) for info in op.inputs] or [one.source]
    whole = replace(
        one.source,
        pages=sum(part.core_bytes for part in parts) / max(one.source.page_bytes, 1),
        total_bytes=sum(part.total_bytes for part in parts),
    )
    return replace(one, source=whole)


def read_concat(op: DeviceOp) -> Record:
    return _read_joined(op, ConcatOp)


def read_interleaved_to_sharded(op: DeviceOp) -> Record:
    """Read a sharding: a core fetches its shard page by page, or a part of each stick."""
    one = read_movement(op, InterleavedToShardedOp)
    return replace(one, source=_shard_of_pages(one.source, one.target))


def read_sharded_to_interleaved(op: DeviceOp) -> Record:
    one = read_movement(op, ShardedToInterleavedOp)
    return replace(one, target=_shard_of_pages(one.target, one.source))


def _shard_of_pages(side: Traffic, shard: Traffic) -> Traffic:
    if side.page is not shard.page:
        return side
    sticks = side.page is PageLayout.ROW_MAJOR
    size = min(side.page_bytes, shard.page_bytes) if sticks else side.page_bytes
    return replace(side, pages=shard.pages, page_bytes=size, total_bytes=_no_more(side, shard))


def read_slice_write(op: DeviceOp) -> Record:
    """Read a write into a part of a larger tensor: only the part counts."""
    one = read_movement(op, SliceWriteOp)
    return replace(one, target=_cut_out(one.target, one.source))


def read_padded_slice(op: DeviceOp) -> Record:
    one = read_movement(op, PaddedSliceOp)
    return replace(one, source=_cut_out(one.source, one.target))


def _cut_out(side: Traffic, shard: Traffic) -> Traffic:
    """Return the part of ``side`` that a core's shard holds, in the pages of ``side``."""
    tiles = side.page is PageLayout.TILE
    if side.page is shard.page:
        size = side.page_bytes if tiles else min(side.page_bytes, shard.page_bytes)
        return replace(side, pages=shard.pages, page_bytes=size, total_bytes=_no_more(side, shard))
    if not tiles:
        return _like(side, shard)
    columns = ceil_div(shard.page_bytes, TILE * ELEMENT_BYTES[DataType.BFLOAT16])
    pages = ceil_div(int(shard.pages), TILE) * columns
    cores = shard.total_bytes / max(shard.core_bytes, 1.0)
    return replace(side, pages=pages, total_bytes=int(pages * side.page_bytes * max(cores, 1.0)))


def _no_more(side: Traffic, part: Traffic) -> int:
    return min(side.total_bytes, part.total_bytes)


def read_slice(op: DeviceOp) -> Record:
    """Read a cut: only what is kept is read."""
    one = read_movement(op, SliceOp)
    larger = one.source.total_bytes > one.target.total_bytes
    return replace(one, source=_like(one.source, one.target)) if larger else one


def _like(side: Traffic, part: Traffic) -> Traffic:
    """Return ``side`` cut down to as much as ``part`` holds."""
    share = part.total_bytes / max(side.total_bytes, 1)
    pages = side.pages if share >= 1 else max(1.0, side.pages * share)
    return replace(side, pages=pages, total_bytes=min(side.total_bytes, part.total_bytes))


def read_gather(op: DeviceOp) -> Record:
    """Read an embedding: as many sticks of the table as the output has."""
    one = read_movement(op, SliceOp)
    return replace(one, source=replace(one.target, place=Place.DRAM))


def movement_priors(
    compute_tile: float, stick: tuple[float, float] = (50.0, 120.0)
) -> dict[str, Prior]:
    priors = transfer_priors(900.0, (60.0, 90.0), stick)
    return {
        **priors,
        "convert_launch": Prior(300.0),
        "compute_tile": Prior(compute_tile),
        "shard_stick": Prior(30.0),
        "overlap": overlap_prior(0.7),
    }


class ReshardOp(MovementOp):
    """From one sharding to another."""


class InterleavedToShardedOp(MovementOp):
    """From pages over all banks to one shard a core (partial and padded slices too)."""


class ShardedToInterleavedOp(MovementOp):
    """From one shard a core to pages over all banks (partial and slice writes too)."""


class PaddedSliceOp(MovementOp):
    """A slice of a DRAM tensor brought into shards of sticks, as sliced convolutions take it."""


class SliceWriteOp(MovementOp):
    """Shards written into their place of a larger DRAM tensor."""


class MoveOp(MovementOp):
    """A copy to another address, within L1 or DRAM."""


class CopyOp(MovementOp):
    """A copy or type cast."""


class SliceOp(MovementOp):
    """Slice, split, pad and fill."""


class ConcatOp(MovementOp):
    """Concatenation; ``source`` sums up all inputs."""


class UpsampleOp(MovementOp):
    """Nearest or bilinear upsampling."""


class GenericOp(MovementOp):
    """An op without formulas of its own: estimated from its bytes, conservatively."""
