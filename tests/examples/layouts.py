"""How tensors lie in the examples: bfloat8_b tiles in shards of L1 unless told otherwise."""

from dataclasses import replace

from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

Cores = tuple[CoreRange, ...]


def shards(
    sharding: ShardLayout, rows: int, columns: int, cores: Cores, **fields: object
) -> TensorLayout:
    """Shards of ``rows`` x ``columns`` elements in L1."""
    layout = TensorLayout(
        Memory.L1, sharding, DataType.BFLOAT8_B, grid=cores, shard_shape=(rows, columns)
    )
    return replace(layout, **fields)


def height(rows: int, columns: int, cores: Cores, **fields: object) -> TensorLayout:
    return shards(ShardLayout.HEIGHT, rows, columns, cores, **fields)


def block(rows: int, columns: int, cores: Cores, **fields: object) -> TensorLayout:
    return shards(ShardLayout.BLOCK, rows, columns, cores, **fields)


DRAM_8B = TensorLayout(dtype=DataType.BFLOAT8_B)
ROWS_IN_DRAM = TensorLayout(page=PageLayout.ROW_MAJOR)
ONE_CORE = (CoreRange(0, 0, 0, 0),)
ONE_ROW = (CoreRange(0, 0, 7, 0),)
HALF_GRID = (CoreRange(0, 0, 7, 3),)
WHOLE_GRID = (CoreRange(0, 0, 7, 7),)
# 256 pixels of 64 channels in each kind of shard.
HEIGHTS = height(32, 64, ONE_ROW)
BLOCKS = block(32, 32, (CoreRange(0, 0, 1, 7),))
WIDTHS = shards(ShardLayout.WIDTH, 256, 32, (CoreRange(0, 0, 1, 0),))
ROWS_OF_HEIGHTS = replace(HEIGHTS, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR)
