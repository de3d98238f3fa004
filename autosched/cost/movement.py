"""The work of ops that move, convert or combine tensors element by element.

What a core moves costs by page and by byte, and pages of other cores' L1 and of DRAM differ; the
total of all cores shares the network and the DRAM banks. Row-major sticks are read one by one with
a barrier each, which makes them many times dearer than tiles.
"""

from math import ceil, log2

from autosched.cost.convolution import KIB, PACK_UNTILIZE_COLUMNS
from autosched.cost.records import (
    BinaryOp,
    ChannelsLastOp,
    ConcatOp,
    MovementOp,
    PaddedSliceOp,
    Place,
    PoolOp,
    ReshapeOp,
    SliceOp,
    SoftmaxOp,
    Swap,
    TilizePaddedOp,
    Traffic,
    TransposeOp,
    UnaryOp,
    UntilizeOp,
    UpsampleOp,
)
from autosched.cost.tensors import TILE, ceil_div
from autosched.cost.work import Stage, Work
from autosched.schedule import PageLayout

# Bytes of a tile of 32-bit numbers.
_LARGEST_TILE = 4 * TILE**2


def pages(side: Traffic, cores: int) -> dict[str, float]:
    """Return the page and byte quantities of one side of a transfer.

    With more cores on the network each of them waits longer for a page: profiles show its time
    rising with the logarithm of the number of cores (``crowd``).
    """
    kib = side.core_bytes / KIB
    if side.place is Place.SHARD:
        return {"shard_kib": kib}
    kind = "tile" if side.page is PageLayout.TILE else "stick"
    place = side.place.value
    return {
        f"{place}_{kind}": side.pages,
        f"{place}_kib": kib,
        f"{place}_crowd_kib": kib * log2(max(cores, 1)),
    }


def fabric(*sides: Traffic) -> dict[str, float]:
    """Return what all cores together send over the network, in KiB by place."""
    quantities: dict[str, float] = {}
    for side in sides:
        if side.place is not Place.SHARD:
            name = f"{side.place.value}_fabric_kib"
            quantities[name] = quantities.get(name, 0.0) + side.total_bytes / KIB
    return quantities


def movement_work(family: str, op: MovementOp) -> Work:
    """Return the work of a data-movement op."""
    compute = _conversion(op)
    stages = [
        Stage("read", pages(op.source, op.cores), ("overlap",)),
        Stage("write", pages(op.target, op.cores), ("overlap",)),
        Stage("fabric", fabric(op.source, op.target)),
    ]
    if compute:
        stages.append(Stage("compute", compute, ("overlap",)))
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


def tile_pages(side: Traffic) -> float:
    """Return the tiles that one core's part of a tensor fills."""
    if side.page is PageLayout.TILE:
        return side.pages
    return side.core_bytes / (2 * TILE**2)


def _conversion(op: MovementOp) -> dict[str, float]:
    """Return what the compute engine, or a core's copying of rows of tiles, has to do."""
    tiles = max(tile_pages(op.source), tile_pages(op.target))
    if isinstance(op, UntilizeOp):
        return _untilize(op, tiles)
    if isinstance(op, TransposeOp):
        return _transpose(op, tiles)
    if op.converts or not _plain_copy(op):
        return {"compute_tile": tiles}
    return {}


def _untilize(op: UntilizeOp, tiles: float) -> dict[str, float]:
    width = max(1, op.target.page_bytes // (2 * TILE))
    rows = ceil(tiles / width) * ceil_div(width, PACK_UNTILIZE_COLUMNS)
    slow = width > PACK_UNTILIZE_COLUMNS and op.source.place is not Place.SHARD
    return {
        "untilize_row": float(rows),
        "compute_tile": tiles,
        "slow_tile": tiles if slow else 0.0,
    }


def _transpose(op: TransposeOp, tiles: float) -> dict[str, float]:
    """Return a transpose's work: whole tiles only travel, others are taken apart row by row."""
    if op.source.page is not PageLayout.TILE or op.target.page is not PageLayout.TILE:
        return {"compute_tile": 2 * tiles}
    if op.swap is Swap.ROWS:
        return {"row_tile": tiles}
    return {"compute_tile": tiles} if op.swap is Swap.WITHIN else {}


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
        "move", {"launch": 1.0, **pages(op.source, op.cores)}, (Stage("fabric", fabric(op.source)),)
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


def unary_work(op: UnaryOp) -> Work:
    """Return the work of an elementwise function of one tensor."""
    compute = {f"{op.cost.value}_tile": float(op.tiles)}
    stages = (
        Stage("compute", compute),
        Stage("read", pages(op.source, op.cores), ("overlap",)),
        Stage("write", pages(op.target, op.cores), ("overlap",)),
        Stage("fabric", fabric(op.source, op.target)),
    )
    return Work("unary", {"launch": 1.0}, stages)


def binary_work(op: BinaryOp) -> Work:
    """Return the work of an elementwise function of two tensors.

    Off the in-place path (``uneven``) every tile is read over the network, one at a time.
    """
    compute = {"tile": float(op.tiles), "unpack_kib": unpacked_kib(op)}
    serial = {"launch": 1.0, "fill": op.fills}
    if op.uneven:
        serial["cliff_tile"] = float(op.tiles)
        return Work("binary", serial, (Stage("compute", compute),))
    reads: dict[str, float] = {}
    for source in op.sources:
        for name, amount in _fetched(source, op.cores).items():
            reads[name] = reads.get(name, 0.0) + amount
    if op.legacy:
        moved = (*op.sources, op.target)
        remote = sum(side.pages for side in moved if side.place is not Place.SHARD)
        serial["legacy_page"] = float(remote)
    stages = (
        Stage("compute", compute),
        Stage("read", reads, ("overlap",)),
        Stage("write", _fetched(op.target, op.cores), ("overlap",)),
        Stage("fabric", fabric(*op.sources, op.target)),
    )
    return Work("binary", serial, stages)


def _fetched(side: Traffic, cores: int) -> dict[str, float]:
    """Return what comes over the network; a core works on its own shard where it lies."""
    return {} if side.place is Place.SHARD else pages(side, cores)


def unpacked_kib(op: BinaryOp) -> float:
    """Return the KiB that the unpacker reads of all operands, a tile of each for a tile."""
    sizes = (min(source.page_bytes, _LARGEST_TILE) for source in op.sources)
    return op.tiles * sum(sizes) / KIB


# Rows of a window that one pass of the reduction takes (tt-metal's pool factory).
_WINDOW_ROWS = 32


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
    return Work("pool", serial)
