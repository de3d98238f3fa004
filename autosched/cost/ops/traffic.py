"""Sizes of tensors as the device holds them, and what one core moves of them.

Tensors are tiles or sticks, whole or one core's part. Moving a part costs by page and by byte, and
pages of other cores' L1 and of DRAM differ; the total of all cores shares the network and the DRAM
banks.
"""

from dataclasses import dataclass
from math import log2, prod

from autosched.cost.ops.work import (
    DRAM,
    LEAST_DRAM_KIB,
    LEAST_KIB,
    LEAST_LAUNCH,
    NOC,
    Engine,
    Needs,
    Prior,
    Resource,
)
from autosched.schedule.tensors import (
    TILE,
    TILE_BYTES,
    DataType,
    Memory,
    PageLayout,
    TensorInfo,
    TensorLayout,
    TextEnum,
)


class Place(TextEnum):
    """How far a core's data are: its own shard, other cores' L1, or DRAM."""

    SHARD = "shard"
    L1 = "l1"
    DRAM = "dram"


@dataclass(frozen=True)
class Traffic:
    """What one core reads or writes of one tensor.

    ``pages`` is the number of transfers per core (tiles, or sticks of a row-major tensor), and
    ``page_bytes`` the size of each; ``total_bytes`` is the whole tensor's.
    """

    place: Place
    page: PageLayout
    pages: float
    page_bytes: int
    total_bytes: int

    @property
    def core_bytes(self) -> float:
        """Bytes one core moves."""
        return self.pages * self.page_bytes


ELEMENT_BYTES = {
    DataType.FLOAT32: 4,
    DataType.UINT32: 4,
    DataType.INT32: 4,
    DataType.BFLOAT16: 2,
    DataType.UINT16: 2,
    DataType.BFLOAT8_B: 2,
    DataType.BFLOAT4_B: 2,
}
"""Bytes of one element of a row-major page; block-float tensors are only row-major as bfloat16."""

MEMORY_PLACE = {Memory.DRAM: Place.DRAM, Memory.L1: Place.L1}

KIB = 1024.0

# Wider rows of tiles than the packer can untilize at once take the slow path through the unpacker
# (MAX_PACK_UNTILIZE_WIDTH in tt-metal).
PACK_UNTILIZE_COLUMNS = 8

_EMPTY = TensorInfo((1, 1, 1, 1), TensorLayout())


def first(infos: tuple[TensorInfo, ...]) -> TensorInfo:
    """Return the first tensor; an op that names none counts as one element."""
    return infos[0] if infos else _EMPTY


def ceil_div(numerator: int, denominator: int) -> int:
    """Return the quotient rounded up; a denominator below 1 counts as 1."""
    return -(-numerator // max(denominator, 1))


def padded_2d(info: TensorInfo) -> tuple[int, int]:
    """Return (rows, columns) of a tensor seen as a matrix, tile padding included."""
    shape = (1, 1, *info.shape) if len(info.shape) < 2 else info.shape
    height, width = shape[-2], shape[-1]
    if info.layout.page is PageLayout.TILE:
        height, width = ceil_div(height, TILE) * TILE, ceil_div(width, TILE) * TILE
    return prod(shape[:-2]) * height, width


def tile_count(info: TensorInfo) -> int:
    """Return the number of tiles a tensor fills, or would fill if it were tiled."""
    rows, columns = padded_2d(info)
    return ceil_div(rows, TILE) * ceil_div(columns, TILE)


def tensor_bytes(info: TensorInfo) -> int:
    """Return the bytes of a tensor, tile padding included."""
    rows, columns = padded_2d(info)
    if info.layout.page is PageLayout.TILE:
        return rows * columns // TILE**2 * TILE_BYTES[info.layout.dtype]
    return rows * columns * ELEMENT_BYTES[info.layout.dtype]


def place_of(info: TensorInfo) -> Place:
    """Return how far a core's part of the tensor is."""
    if info.layout.is_sharded and info.layout.memory is Memory.L1:
        return Place.SHARD
    return MEMORY_PLACE[info.layout.memory]


def shard_of(info: TensorInfo, cores: int) -> tuple[int, int]:
    """Return (rows, columns) of the largest shard; without one, rows are dealt to ``cores``."""
    if info.layout.shard_shape is not None:
        return info.layout.shard_shape
    rows, columns = padded_2d(info)
    return ceil_div(rows, cores), columns


def traffic(info: TensorInfo, cores: int) -> Traffic:
    """Return what each of ``cores`` moves when they share the tensor's pages evenly.

    A sharded tensor counts one shard: the most loaded core has a full one.
    """
    layout = info.layout
    tiled = layout.page is PageLayout.TILE
    rows, columns = padded_2d(info)
    page_bytes = TILE_BYTES[layout.dtype] if tiled else columns * ELEMENT_BYTES[layout.dtype]
    pages = ceil_div(tile_count(info) if tiled else rows, cores)
    if layout.shard_shape is not None:
        height, width = layout.shard_shape
        pages = ceil_div(height, TILE) * ceil_div(width, TILE) if tiled else height
        page_bytes = page_bytes if tiled else width * ELEMENT_BYTES[layout.dtype]
    return Traffic(place_of(info), layout.page, pages, page_bytes, tensor_bytes(info))


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


def moving_needs(*sides: Traffic) -> Needs:
    """Return what moving needs: of DRAM all there is, of a core's ports what leaves its own L1.

    From shards to shards the last side counts.
    """
    remote = [side for side in sides if side.place is not Place.SHARD] or sides[-1:]
    banks = sum(side.total_bytes for side in sides if side.place is Place.DRAM)
    return {
        Engine.DRAM: banks / KIB,
        Engine.NOC: sum(side.core_bytes for side in remote) / KIB,
    }


@dataclass(frozen=True)
class TransferRate:
    """Bytes a cycle of a kind of transfer, which rises with the size from ``least`` to ``most``.

    The figures are those of tt-metal's own split-reader rule for Wormhole, measured by its authors.
    """

    least: float
    most: float
    full_bytes: int

    def at(self, size: float) -> float:
        """Return the rate of transfers of ``size`` bytes."""
        part = min(max(size, _LEAST_BYTES), self.full_bytes) - _LEAST_BYTES
        return self.least + (self.most - self.least) * part / (self.full_bytes - _LEAST_BYTES)


_LEAST_BYTES = 16
LOCAL_RATE = TransferRate(0.868, 27.84, 1024)
DRAM_RATE = TransferRate(0.436, 28.411, 2048)
MULTICAST_RATE = TransferRate(0.318, 25.345, 65536)


def tile_pages(side: Traffic) -> float:
    """Return the tiles that one core's part of a tensor fills."""
    if side.page is PageLayout.TILE:
        return side.pages
    return side.core_bytes / (2 * TILE**2)


def transfer_priors(
    launch: float,
    tile: tuple[float, float],
    stick: tuple[float, float],
) -> dict[str, Prior]:
    """Return the priors of page-wise transfers; pairs are (other cores' L1, DRAM)."""
    return {
        "launch": Prior(launch, Resource.LAUNCH, 0.3, least=LEAST_LAUNCH),
        "l1_tile": Prior(tile[0], Resource.READER),
        "dram_tile": Prior(tile[1], Resource.DRAM),
        "l1_stick": Prior(stick[0], Resource.READER),
        "dram_stick": Prior(stick[1], Resource.DRAM),
        "l1_kib": Prior(25.0, Resource.READER, least=LEAST_KIB, blackhole=NOC),
        "dram_kib": Prior(25.0, Resource.DRAM, least=LEAST_KIB, blackhole=NOC),
        "l1_fabric_kib": Prior(4.0, Resource.NOC),
        # Interleaved pages reach about 70 % of the DRAM's peak.
        "dram_fabric_kib": Prior(4.5, Resource.DRAM, 0.2, least=LEAST_DRAM_KIB, blackhole=DRAM),
        "l1_crowd_kib": Prior(20.0, Resource.NOC),
        "dram_crowd_kib": Prior(20.0, Resource.DRAM),
        "shard_kib": Prior(20.0, Resource.READER, blackhole=NOC),
    }
