"""Ops that move or combine tensors, and what all ops have in common that do so page by page.

What a core moves costs by page and by byte, and pages of other cores' L1 and of DRAM differ; the
total of all cores shares the network and the DRAM banks. Row-major sticks are read one by one with
a barrier each, which makes them many times dearer than tiles.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from autosched.cost.ops.traffic import (
    ELEMENT_BYTES,
    KIB,
    Place,
    Traffic,
    ceil_div,
    fabric,
    first,
    moving_needs,
    pages,
    tile_pages,
    traffic,
    transfer_priors,
)
from autosched.cost.ops.work import (
    DRAM,
    NOC,
    OpFamily,
    Prior,
    Quantities,
    Record,
    Resource,
    Work,
    WorkStage,
    overlap_prior,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, DataType, PageLayout


@dataclass(frozen=True)
class MovementOp(Record):
    """An op that moves a tensor, and perhaps converts its format on the way."""

    cores: int
    source: Traffic
    target: Traffic
    converts: bool


class ReshardOp(MovementOp):
    """From one sharding to another."""


@dataclass(frozen=True)
class InterleavedToShardedOp(MovementOp):
    """From pages over all banks to one shard a core (partial and padded slices too).

    ``waits`` says that a core waits for each stick before it asks for the next: so did all kernels
    before ttnn 0.81, and today's do where sticks end between aligned addresses.
    """

    waits: bool = False


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


MovementType = TypeVar("MovementType", bound=MovementOp)


def read_movement(op: DeviceOp, kind: type[MovementType]) -> MovementType:
    """Return what an op moves, its first input to its first output, as a record of one kind."""
    source, target = first(op.inputs), first(op.outputs or op.inputs)
    cores = max(op.cores, 1)
    return kind(
        cores=cores,
        source=traffic(source, cores),
        target=traffic(target, cores),
        converts=source.layout.dtype is not target.layout.dtype,
    )


def movement_reader(kind: type[MovementType]) -> Callable[[DeviceOp], MovementType]:
    """Return a reader of ops that are all told by what they move."""
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


def read_concat(op: DeviceOp) -> ConcatOp:
    """Read a concatenation, which reads all of its inputs."""
    return _read_joined(op, ConcatOp)


def read_interleaved_to_sharded(op: DeviceOp) -> InterleavedToShardedOp:
    """Read a sharding: a core fetches its shard page by page, or a part of each stick."""
    one = read_movement(op, InterleavedToShardedOp)
    source = _shard_of_pages(one.source, one.target)
    uneven = source.page_bytes % _DRAM_ALIGNMENT != 0
    return replace(one, source=source, waits=_fetches_sticks(source) and uneven)


def _fetches_sticks(source: Traffic) -> bool:
    return source.page is PageLayout.ROW_MAJOR and source.place is Place.DRAM


def as_before_0_81(record: Record) -> Record:
    """Return the record of an op that ran on a release before ttnn 0.81, whose sticks all wait."""
    if isinstance(record, InterleavedToShardedOp):
        return replace(record, waits=_fetches_sticks(record.source))
    return record


_DRAM_ALIGNMENT = 32


def read_sharded_to_interleaved(op: DeviceOp) -> ShardedToInterleavedOp:
    """Read the way back: a core writes its shard page by page, or a part of each stick."""
    one = read_movement(op, ShardedToInterleavedOp)
    return replace(one, target=_shard_of_pages(one.target, one.source))


def _shard_of_pages(side: Traffic, shard: Traffic) -> Traffic:
    if side.page is not shard.page:
        return side
    sticks = side.page is PageLayout.ROW_MAJOR
    size = min(side.page_bytes, shard.page_bytes) if sticks else side.page_bytes
    return replace(side, pages=shard.pages, page_bytes=size, total_bytes=_no_more(side, shard))


def read_slice_write(op: DeviceOp) -> SliceWriteOp:
    """Read a write into a part of a larger tensor: only the part counts."""
    one = read_movement(op, SliceWriteOp)
    return replace(one, target=_cut_out(one.target, one.source))


def read_padded_slice(op: DeviceOp) -> PaddedSliceOp:
    """Read a part of a larger tensor brought into shards: only the part counts."""
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


def read_slice(op: DeviceOp) -> SliceOp:
    """Read a cut: only what is kept is read."""
    one = read_movement(op, SliceOp)
    larger = one.source.total_bytes > one.target.total_bytes
    return replace(one, source=_like(one.source, one.target)) if larger else one


def _like(side: Traffic, part: Traffic) -> Traffic:
    """Return ``side`` cut down to as much as ``part`` holds."""
    share = part.total_bytes / max(side.total_bytes, 1)
    pages = side.pages if share >= 1 else max(1.0, side.pages * share)
    return replace(side, pages=pages, total_bytes=min(side.total_bytes, part.total_bytes))


def read_gather(op: DeviceOp) -> SliceOp:
    """Read an embedding: as many sticks of the table as the output has."""
    one = read_movement(op, SliceOp)
    return replace(one, source=replace(one.target, place=Place.DRAM))


def read_generic(op: DeviceOp) -> GenericOp:
    """Return what an op of any kind shows: its cores, and the bytes of all its tensors."""
    return _read_joined(op, GenericOp)


def movement_work(family: str, op: MovementOp, compute: Quantities, pieces: Quantities) -> Work:
    """Return the work of a data-movement op.

    Args:
        family: whose coefficients hold.
        op: what is moved.
        compute: what the compute engine has to do, or a core's copying of rows of tiles.
        pieces: what a kernel copies or fills piece by piece, hidden behind nothing.
    """
    stages = [
        WorkStage("read", pages(op.source, op.cores), ("overlap",)),
        WorkStage("write", pages(op.target, op.cores), ("overlap",)),
        WorkStage("fabric", fabric(op.source, op.target)),
    ]
    if compute:
        stages.append(WorkStage("compute", compute, ("overlap",)))
    serial = {"launch": 1.0, "convert_launch": float(op.converts), **pieces}
    return Work(family, serial, tuple(stages), moving_needs(op.source, op.target))


def moved_tiles(op: MovementOp) -> float:
    """Return the tiles of a core's part, of the side that has more."""
    return max(tile_pages(op.source), tile_pages(op.target))


def every_tile(op: MovementOp) -> Quantities:
    """Return what the compute engine does where all data pass through it."""
    return {"compute_tile": moved_tiles(op)}


def converted_tiles(op: MovementOp) -> Quantities:
    """Return what the compute engine does where data pass through it to change their format."""
    return every_tile(op) if op.converts else {}


def no_pieces(_: MovementOp) -> Quantities:
    """Return nothing: pages are all that is copied."""
    return {}


def shard_sticks(op: MovementOp) -> Quantities:
    """Return the sticks of its row-major shard, where a core writes them one by one."""
    in_sticks = op.target.place is Place.SHARD and op.target.page is PageLayout.ROW_MAJOR
    return {"shard_stick": op.target.pages} if in_sticks else {}


def _untilized_sticks(op: PaddedSliceOp) -> Quantities:
    return shard_sticks(op) if op.source.page is PageLayout.TILE else {}


def movement_formula(
    family: str,
    compute: Callable[[MovementType], Quantities] = every_tile,
    pieces: Callable[[MovementType], Quantities] = no_pieces,
) -> Callable[[MovementType], Work]:
    """Return the formula of a kind of movement; see :func:`movement_work` for its parts."""
    return lambda op: movement_work(family, op, compute(op), pieces(op))


def move_work(op: MoveOp) -> Work:
    """Return the work of a move: reading and writing of one address space take turns."""
    return Work(
        "move",
        {"launch": 1.0, **pages(op.source, op.cores)},
        (WorkStage("fabric", fabric(op.source)),),
        moving_needs(op.source, op.target),
    )


def reshard_work(op: ReshardOp) -> Work:
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
    return Work("reshard", serial, needs=moving_needs(op.source, op.target))


def interleaved_to_sharded_work(op: InterleavedToShardedOp) -> Work:
    """Return the work of a sharding: sticks of DRAM that a core waits for are many times dearer."""
    work = movement_work("interleaved_to_sharded", op, converted_tiles(op), {})
    if not op.waits:
        return work
    stages = tuple(
        replace(
            stage,
            quantities={
                "waited_stick" if name == "dram_stick" else name: amount
                for name, amount in stage.quantities.items()
            },
        )
        for stage in work.stages
    )
    return replace(work, stages=stages)


def movement_priors(
    compute_tile: float, stick: tuple[float, float] = (50.0, 120.0)
) -> dict[str, Prior]:
    """Return the priors of :func:`movement_work`; ``stick`` is (other cores' L1, DRAM)."""
    priors = transfer_priors(900.0, (60.0, 90.0), stick)
    return {
        **priors,
        "convert_launch": Prior(300.0, Resource.LAUNCH),
        "compute_tile": Prior(compute_tile, Resource.COMPUTE),
        "shard_stick": Prior(30.0, Resource.READER),
        "overlap": overlap_prior(0.7),
    }


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "reshard": {
        "l1_crowd_kib": Prior(10.0, Resource.NOC),
        "dram_crowd_kib": Prior(10.0, Resource.DRAM),
        "launch": Prior(700.0, Resource.LAUNCH, 0.3),
        "shard_tile": Prior(15.0, Resource.READER),
        "shard_stick": Prior(15.0, Resource.READER),
        "shard_kib": Prior(25.0, Resource.READER, blackhole=NOC),
        "l1_tile": Prior(60.0, Resource.READER),
        "l1_stick": Prior(60.0, Resource.READER),
        "l1_kib": Prior(40.0, Resource.READER, blackhole=NOC),
        "dram_tile": Prior(90.0, Resource.DRAM),
        "dram_stick": Prior(500.0, Resource.DRAM),
        "dram_kib": Prior(40.0, Resource.DRAM, blackhole=NOC),
    },
    "move": {
        "l1_crowd_kib": Prior(10.0, Resource.NOC),
        "dram_crowd_kib": Prior(10.0, Resource.DRAM),
        "launch": Prior(500.0, Resource.LAUNCH, 0.3),
        "shard_kib": Prior(35.0, Resource.READER, blackhole=NOC),
        "l1_tile": Prior(200.0, Resource.READER),
        "l1_stick": Prior(200.0, Resource.READER),
        "l1_kib": Prior(60.0, Resource.READER, blackhole=NOC),
        "dram_tile": Prior(400.0, Resource.DRAM),
        "dram_stick": Prior(500.0, Resource.DRAM),
        "dram_kib": Prior(60.0, Resource.DRAM, blackhole=NOC),
        "l1_fabric_kib": Prior(3.0, Resource.NOC),
        "dram_fabric_kib": Prior(4.0, Resource.DRAM, blackhole=DRAM),
    },
    "interleaved_to_sharded": {
        **transfer_priors(500.0, (60.0, 90.0), (45.0, 50.0)),
        "waited_stick": Prior(550.0, Resource.DRAM),
        "convert_launch": Prior(300.0, Resource.LAUNCH),
        "compute_tile": Prior(60.0, Resource.COMPUTE),
        "overlap": overlap_prior(0.7),
    },
    "sharded_to_interleaved": {
        **transfer_priors(400.0, (100.0, 100.0), (50.0, 50.0)),
        "convert_launch": Prior(300.0, Resource.LAUNCH),
        "compute_tile": Prior(60.0, Resource.COMPUTE),
        "overlap": overlap_prior(0.7),
    },
    "padded_slice": movement_priors(100.0, (100.0, 120.0)),
    "slice_write": movement_priors(100.0, (100.0, 150.0)),
    "copy": movement_priors(80.0),
    "slice": movement_priors(100.0),
    "concat": movement_priors(100.0),
    "upsample": movement_priors(100.0),
    "generic": movement_priors(600.0),
}

FAMILY = OpFamily(
    readers={
        "reshard": movement_reader(ReshardOp),
        "interleavedtosharded": read_interleaved_to_sharded,
        "interleavedtoshardedpartial": read_interleaved_to_sharded,
        "shardedtointerleaved": read_sharded_to_interleaved,
        "shardedtointerleavedpartial": read_sharded_to_interleaved,
        "paddedslice": read_padded_slice,
        "slicewrite": read_slice_write,
        "move": movement_reader(MoveOp),
        "copy": movement_reader(CopyOp),
        "clone": movement_reader(CopyOp),
        "typecast": movement_reader(CopyOp),
        "slice": read_slice,
        "unpad": read_slice,
        "split": movement_reader(SliceOp),
        "pad": movement_reader(SliceOp),
        "fillpad": movement_reader(SliceOp),
        "downsample": movement_reader(SliceOp),
        "embeddings": read_gather,
        "embedding": read_gather,
        "concat": read_concat,
        "repeat": movement_reader(UpsampleOp),
        "upsample": movement_reader(UpsampleOp),
        "upsamplebilinear": movement_reader(UpsampleOp),
    },
    formulas={
        ReshardOp: reshard_work,
        MoveOp: move_work,
        InterleavedToShardedOp: interleaved_to_sharded_work,
        ShardedToInterleavedOp: movement_formula("sharded_to_interleaved", converted_tiles),
        PaddedSliceOp: movement_formula("padded_slice", pieces=_untilized_sticks),
        SliceWriteOp: movement_formula("slice_write", converted_tiles),
        CopyOp: movement_formula("copy", converted_tiles),
        SliceOp: movement_formula("slice", converted_tiles, shard_sticks),
        ConcatOp: movement_formula("concat", pieces=shard_sticks),
        UpsampleOp: movement_formula("upsample", pieces=shard_sticks),
        GenericOp: movement_formula("generic"),
    },
    priors=_PRIORS,
)
