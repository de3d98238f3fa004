"""Sizes of tensors as the device holds them: tiles, sticks, and one core's part of them."""

from math import prod

from autosched.cost.records import ELEMENT_BYTES, MEMORY_PLACE, Place, Traffic
from autosched.schedule import TILE_BYTES, Memory, PageLayout, TensorInfo, TensorLayout

TILE = 32


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
