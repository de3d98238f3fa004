from dataclasses import replace

import pytest

from autosched.cost.model import CostModel
from autosched.cost.ops.families import work_of
from autosched.cost.ops.movement import (
    CopyOp,
    InterleavedToShardedOp,
    PaddedSliceOp,
    SliceOp,
    as_before_0_81,
    read_generic,
    read_interleaved_to_sharded,
    read_padded_slice,
    read_slice,
)
from autosched.cost.ops.traffic import Place, Traffic
from autosched.cost.ops.work import Work, all_quantities
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)
from tests.cost.records import made_op

TILES = TensorLayout()
IN_DRAM = Traffic(Place.DRAM, PageLayout.TILE, 10, 2048, 81920)
STICKS = Traffic(Place.SHARD, PageLayout.ROW_MAJOR, 320, 64, 81920)


def test_a_padded_slice_reads_the_tiles_of_its_sticks() -> None:
    sharded = TensorLayout(
        Memory.L1,
        ShardLayout.HEIGHT,
        DataType.BFLOAT16,
        PageLayout.ROW_MAJOR,
        (CoreRange(0, 0, 3, 0),),
        (320, 8),
    )
    source, target = TensorInfo((1, 64, 64, 3), TILES), TensorInfo((1, 1, 1280, 8), sharded)
    found = read_padded_slice(made_op("PaddedSliceDeviceOperation", source, target))
    assert (found.source.pages, found.target.pages) == (10, 320)


def test_an_unknown_op_counts_all_it_reads() -> None:
    info = TensorInfo((1, 1, 128, 64), TILES)
    found = read_generic(DeviceOp("NovelOperation", "", (info, info), (info,), cores=4))
    assert found.source.total_bytes == 2 * found.target.total_bytes


def test_a_slice_reads_only_what_it_keeps() -> None:
    whole, part = TensorInfo((1, 1, 128, 64), TILES), TensorInfo((1, 1, 32, 64), TILES)
    found = read_slice(made_op("SliceDeviceOperation", whole, part))
    assert found.source.total_bytes == found.target.total_bytes
    assert found.source.pages == 1


def _stages(work: Work) -> list[str]:
    return [stage.name for stage in work.stages]


@pytest.mark.parametrize("converts", [False, True])
def test_a_copy_computes_only_where_it_converts(converts: bool) -> None:
    work = work_of(CopyOp(4, IN_DRAM, IN_DRAM, converts))
    assert ("compute" in _stages(work)) is converts
    assert work.serial["convert_launch"] == converts


def test_a_shard_s_sticks_are_written_one_by_one() -> None:
    assert all_quantities(work_of(SliceOp(4, IN_DRAM, STICKS, False)))["shard_stick"] == 320
    assert "shard_stick" not in all_quantities(work_of(SliceOp(4, STICKS, IN_DRAM, False)))


def test_a_padded_slice_of_sticks_copies_whole_rows() -> None:
    """Only where it untilizes on the way does a core write stick by stick."""
    rows = Traffic(Place.DRAM, PageLayout.ROW_MAJOR, 320, 64, 81920)
    counts = [
        all_quantities(work_of(PaddedSliceOp(4, source, STICKS, False))).get("shard_stick")
        for source in (IN_DRAM, rows)
    ]
    assert counts == [320, None]


def _sharded_rows(width: int) -> InterleavedToShardedOp:
    layout = TensorLayout(
        Memory.L1,
        ShardLayout.HEIGHT,
        DataType.BFLOAT16,
        PageLayout.ROW_MAJOR,
        (CoreRange(0, 0, 3, 0),),
        (320, width),
    )
    rows = replace(TILES, page=PageLayout.ROW_MAJOR)
    source, target = TensorInfo((1, 1, 1280, width), rows), TensorInfo((1, 1, 1280, width), layout)
    return read_interleaved_to_sharded(
        made_op("InterleavedToShardedDeviceOperation", source, target)
    )


def test_aligned_sticks_are_asked_for_together() -> None:
    assert all_quantities(work_of(_sharded_rows(64)))["dram_stick"] == 320
    assert all_quantities(work_of(_sharded_rows(8)))["waited_stick"] == 320


def test_older_kernels_wait_for_every_stick() -> None:
    today = _sharded_rows(64)
    older = as_before_0_81(today)
    assert all_quantities(work_of(older))["waited_stick"] == 320
    for arch in ("wormhole_b0", "blackhole"):
        model = CostModel.load(arch)
        times = [model.predict_features(op).time_ns for op in (older, today)]
        assert times[0] > 3 * times[1]
