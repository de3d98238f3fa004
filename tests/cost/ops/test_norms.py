from dataclasses import replace

import pytest

from autosched.cost.ops.families import work_of
from autosched.cost.ops.norms import read_group_norm, read_reduce, read_softmax
from autosched.cost.ops.traffic import Place
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import (
    DRAM_TILE,
    DataType,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)
from tests.cost.records import made_op
from tests.examples.layouts import WHOLE_GRID, shards


@pytest.mark.parametrize(("columns", "masks"), [(64, 0.0), (50, 1.0)])
def test_rows_that_end_within_a_tile_need_a_mask(columns: int, masks: float) -> None:
    info = TensorInfo((1, 8, 64, columns), TensorLayout())
    found = read_softmax(made_op("SoftmaxDeviceOperation", info, info))
    assert work_of(found).serial["mask"] == masks


def group_norm(
    image: TensorInfo, groups: str, cores: int = 64, mask_columns: int = 32
) -> dict[str, float]:
    mask = TensorInfo((1, 32, 32, mask_columns), TensorLayout())
    op = DeviceOp("GroupNormDeviceOperation", groups, (image, mask), (image,), cores=cores)
    found = read_group_norm(op)
    return {
        "groups": found.groups,
        "sharing": found.sharing,
        "group_tiles": found.group_tiles,
        "row_tiles": found.row_tiles,
    }


def test_a_core_takes_the_groups_of_its_shard() -> None:
    """Four columns of cores have eight groups each, of two rows of tiles, eight cores a group."""
    layout = shards(ShardLayout.BLOCK, 64, 64, WHOLE_GRID)
    image = TensorInfo((1, 1, 512, 512), layout)
    named = "{'num_groups': '32'; 'inplace': '0'}"
    assert group_norm(image, named) == {
        "groups": 4.0,
        "sharing": 8.0,
        "group_tiles": 8.0,
        "row_tiles": 0.0,
    }
    rows = replace(layout, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR)
    in_rows = TensorInfo((1, 1, 512, 512), rows)
    assert group_norm(in_rows, named)["row_tiles"] == 4.0


@pytest.mark.parametrize(
    ("said", "columns"),
    [
        ("GroupNormParams(1e-05, 32, MemoryConfig(x=1)); columns=2", 2),
        ("{'num_groups': '32'; 'program_config': 'Config(grid_size=(x=8;y=8))'}", 2),
        ("{'num_groups': '32'; 'program_config': 'Config(grid_size=(x=1;y=8))'}", 1),
    ],
)
def test_columns_of_cores_share_the_channels_of_an_interleaved_norm(
    said: str, columns: int
) -> None:
    """320 channels in 32 groups can be dealt to two columns, each of whole tiles and groups."""
    found = group_norm(TensorInfo((1, 1, 4096, 320), DRAM_TILE), said)
    assert found["groups"] == 32 / columns
    assert found["sharing"] == 64 / columns
    assert found["group_tiles"] == 32 / columns * 2 * columns


def test_a_group_that_begins_within_a_tile_touches_two() -> None:
    image = TensorInfo((1, 1, 4096, 320), DRAM_TILE)
    said = "GroupNormParams(1e-05, 32, MemoryConfig(x=1)); columns=2"
    once, twice = (group_norm(image, said, mask_columns=size)["group_tiles"] for size in (32, 64))
    assert twice == 2 * once


def test_images_of_a_batch_are_dealt_to_the_cores_of_a_column() -> None:
    said = "GroupNormParams(1e-05, 32, MemoryConfig(x=1)); columns=8"
    found = group_norm(TensorInfo((16, 1, 256, 256), DRAM_TILE), said)
    assert (found["groups"], found["sharing"]) == (8.0, 1.0)


@pytest.mark.parametrize(("cores", "place"), [(64, Place.SHARD), (10, Place.L1)])
def test_a_reduction_on_other_cores_than_its_shards_reads_them_from_afar(
    cores: int, place: Place
) -> None:
    image = TensorInfo((1, 1, 4096, 320), shards(ShardLayout.HEIGHT, 64, 320, WHOLE_GRID))
    target = TensorInfo((1, 1, 1, 320), TensorLayout())
    found = read_reduce(DeviceOp("ReduceDeviceOperation", "", (image,), (target,), cores=cores))
    assert found.source.place is place
    assert found.source.pages * cores == 1280
