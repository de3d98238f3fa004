"""How a linear layer may be dealt to cores, where ttnn's own choice is one among others.

By itself ttnn cuts the inner dimension of an interleaved operand into blocks of one or two tiles,
each of which every core waits for. With blocks as long as L1 has room for, there are few.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from autosched.boards import Board
from autosched.schedule.configurations import MatmulConfig, MatmulProgram
from autosched.schedule.tensors import TILE_BYTES, DataType
from autosched.space.efforts import Effort

# What programs and buffers of other layers leave of a core's L1, roughly: the device decides.
_ROOM_BYTES = 1 << 20
_DEST_TILES, _DEST_TILES_FP32 = 8, 4
_SLOWER = 2
_SHARDS = {"mcast_in0": "width", "mcast_in1": "height", "mcast_2d": "block"}


@dataclass(frozen=True)
class Product:
    """A matrix product by its sizes in tiles: rows x inner by inner x columns."""

    rows: int
    inner: int
    columns: int


@dataclass(frozen=True)
class _Part:
    """What each core computes of a product, in tiles, on which grid (columns, rows)."""

    kind: str
    grid: tuple[int, int]
    rows: int
    columns: int


def programs(
    product: Product, base: MatmulConfig, source: DataType, board: Board, effort: Effort
) -> list[MatmulConfig]:
    """Return ``base`` with the program configurations worth trying, for an input in DRAM.

    ``source`` is the input's format. Those that give a core twice as much to compute as the best
    do are left out. Outputs go to DRAM, or stay as the program leaves them in shards.
    """
    parts = sorted(_parts(product, board), key=lambda part: part.rows * part.columns)
    least = parts[0].rows * parts[0].columns
    near = [part for part in parts if part.rows * part.columns < _SLOWER * least]
    found = []
    for part in near:
        for width in _block_widths(product, part, base, source)[: effort.inner_blocks]:
            for output in ("dram", _SHARDS[part.kind]):
                program = _program(part, width, base, sharded=output != "dram")
                found.append(
                    MatmulConfig(
                        output=output,
                        weights_dtype=base.weights_dtype,
                        output_dtype=base.output_dtype,
                        compute=base.compute,
                        program=program,
                    )
                )
    return found


def _parts(product: Product, board: Board) -> Iterator[_Part]:
    columns, rows = board.grid
    width = -(-product.columns // board.cores)
    yield _Part("mcast_in0", _grid(-(-product.columns // width), board), product.rows, width)
    height = -(-product.rows // board.cores)
    yield _Part("mcast_in1", _grid(-(-product.rows // height), board), height, product.columns)
    height, width = -(-product.rows // rows), -(-product.columns // columns)
    grid = (-(-product.columns // width), -(-product.rows // height))
    if min(grid) > 1:
        yield _Part("mcast_2d", grid, height, width)


def _grid(cores: int, board: Board) -> tuple[int, int]:
    """Return the fewest full rows of cores, as (columns, rows)."""
    columns = min(cores, board.grid[0])
    return columns, -(-cores // columns)


def _block_widths(product: Product, part: _Part, base: MatmulConfig, source: DataType) -> list[int]:
    """Return the widths of blocks of the inner dimension that fit into L1, twice; longest first."""
    ours, weights = TILE_BYTES[source], TILE_BYTES[base.weights_dtype]
    left = _ROOM_BYTES - part.rows * part.columns * (
        TILE_BYTES[base.output_dtype] + TILE_BYTES[DataType.BFLOAT16]
    )
    block = 2 * (part.rows * ours + part.columns * weights)
    return [
        width
        for width in range(product.inner, 0, -1)
        if product.inner % width == 0 and width * block <= left
    ]


def _program(part: _Part, width: int, base: MatmulConfig, *, sharded: bool) -> MatmulProgram:
    height, across = _subblock(part, base.compute.fp32_dest_acc_en, sharded=sharded)
    return MatmulProgram(part.kind, part.grid, width, height, across, part.rows, part.columns)


def _subblock(part: _Part, fp32_dest_acc: bool, *, sharded: bool) -> tuple[int, int]:
    """Return (height, width) of the largest block that the destination registers hold.

    Into shards ttnn writes blocks of one row, or as wide as a core's part.
    """
    limit = _DEST_TILES_FP32 if fp32_dest_acc else _DEST_TILES
    shapes = [
        (height * width, width, height)
        for height in range(1, limit + 1)
        for width in range(1, limit // height + 1)
        if part.rows % height == 0
        and part.columns % width == 0
        and (not sharded or height == 1 or width == part.columns)
    ]
    _, width, height = max(shapes)
    return height, width
