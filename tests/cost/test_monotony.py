"""What physics forbids, over thousands of feature records and a few real captures."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.cost.model import CostModel
from autosched.cost.ops.convolutions import Conv2dOp, inner_blocks
from autosched.cost.ops.eltwise import BinaryOp, FunctionCost
from autosched.cost.ops.families import work_of
from autosched.cost.ops.matmul import MatmulKind, MatmulOp
from autosched.cost.ops.movement import (
    InterleavedToShardedOp,
    MoveOp,
    ReshardOp,
    ShardedToInterleavedOp,
)
from autosched.cost.ops.traffic import Place, Traffic
from autosched.cost.ops.work import Record, cycles_of, weigh
from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import DataType, PageLayout, ShardLayout
from tests.cost.derive import with_fidelity

MODELS = [CostModel.load(arch) for arch in ("wormhole_b0", "blackhole")]
MANY = settings(max_examples=250, deadline=None)
PHASES = (Fidelity.LOFI, Fidelity.HIFI2, Fidelity.HIFI3, Fidelity.HIFI4)
DTYPES = (DataType.BFLOAT16, DataType.BFLOAT8_B)


def _times(record: Record) -> list[float]:
    return [model.predict_features(record).time_ns for model in MODELS]


def _never_faster(slower: Record, faster: Record) -> None:
    for slow, fast in zip(_times(slower), _times(faster), strict=True):
        assert slow >= fast * (1 - 1e-9)


@st.composite
def convolutions(draw: st.DrawFn) -> Conv2dOp:
    layout = draw(st.sampled_from((ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH)))
    window = draw(st.sampled_from((1, 2, 3, 5, 7)))
    stick = draw(st.sampled_from((16, 32, 64, 128, 256)))
    row_tiles = -(-window * stick // 32)
    cores_nhw = 1 if layout is ShardLayout.WIDTH else draw(st.integers(1, 64))
    cores_c = 1 if layout is ShardLayout.HEIGHT else draw(st.sampled_from((2, 4, 8)))
    block_h = draw(st.sampled_from((1, 2, 4, 8)))
    return Conv2dOp(
        layout=layout,
        batch=1,
        input_hw=(56, 56),
        window_hw=(window, window),
        stride_hw=(1, 1),
        dilation_hw=draw(st.sampled_from(((1, 1), (2, 2)))),
        groups=1,
        in_channels=stick * cores_c,
        out_channels=64,
        stick_channels=stick,
        cores=cores_nhw * cores_c,
        cores_nhw=cores_nhw,
        cores_c=cores_c,
        out_tiles_h=block_h * draw(st.integers(1, 12)),
        out_tiles_w=draw(st.integers(1, 16)),
        act_block_h=block_h,
        act_block_w=row_tiles,
        subblock_h=draw(st.sampled_from((1, 2))),
        subblock_w=draw(st.sampled_from((1, 2, 4))),
        fidelity=draw(st.sampled_from(PHASES)),
        fp32_dest_acc=draw(st.booleans()),
        packer_l1_acc=draw(st.booleans()),
        act_double_buffer=draw(st.booleans()),
        weights_double_buffer=draw(st.booleans()),
        activation_reuse=False,
        split_reader=draw(st.sampled_from((None, False))),
        has_bias=draw(st.booleans()),
        function=draw(st.sampled_from((None, *FunctionCost))),
        untilize_out=False,
        input_dtype=DataType.BFLOAT16,
        weights_dtype=draw(st.sampled_from(DTYPES)),
        output_dtype=draw(st.sampled_from(DTYPES)),
        legacy=False,
    )


@st.composite
def matmuls(draw: st.DrawFn) -> MatmulOp:
    core_m, core_n, k = (draw(st.integers(1, 24)) for _ in range(3))
    cores = draw(st.integers(1, 64))
    places = (Place.SHARD, Place.L1, Place.DRAM)
    return MatmulOp(
        kind=draw(st.sampled_from(list(MatmulKind))),
        cores=cores,
        core_batches=draw(st.integers(1, 4)),
        m_tiles=core_m * cores,
        k_tiles=k,
        n_tiles=core_n,
        k_blocks=k,
        core_m=core_m,
        core_n=core_n,
        subblock_h=1,
        subblock_w=draw(st.sampled_from((1, 2, 4, 8))),
        fidelity=draw(st.sampled_from(PHASES)),
        fp32_dest_acc=False,
        packer_l1_acc=draw(st.booleans()),
        has_bias=draw(st.booleans()),
        in0_place=draw(st.sampled_from(places)),
        in1_place=draw(st.sampled_from(places)),
        out_place=draw(st.sampled_from(places)),
        in0_dtype=draw(st.sampled_from(DTYPES)),
        in1_dtype=draw(st.sampled_from(DTYPES)),
        out_dtype=draw(st.sampled_from(DTYPES)),
    )


def _traffic(place: Place, page: PageLayout, pages: int, page_bytes: int, cores: int) -> Traffic:
    return Traffic(place, page, pages, page_bytes, pages * page_bytes * cores)


movements = st.builds(
    lambda kind, place, page, pages, size, cores: kind(
        cores=cores,
        source=_traffic(place, page, pages, size, cores),
        target=_traffic(Place.SHARD, page, pages, size, cores),
        converts=False,
    ),
    st.sampled_from((ReshardOp, InterleavedToShardedOp, ShardedToInterleavedOp, MoveOp)),
    st.sampled_from(list(Place)),
    st.sampled_from(list(PageLayout)),
    st.integers(1, 2000),
    st.sampled_from((64, 576, 1088, 2048)),
    st.integers(1, 64),
)


@MANY
@given(convolutions())
def test_higher_fidelity_is_never_faster(op: Conv2dOp) -> None:
    for lower, higher in pairwise(PHASES):
        _never_faster(replace(op, fidelity=higher), replace(op, fidelity=lower))


@MANY
@given(matmuls())
def test_higher_fidelity_is_never_faster_for_matmuls(op: MatmulOp) -> None:
    for lower, higher in pairwise(PHASES):
        _never_faster(replace(op, fidelity=higher), replace(op, fidelity=lower))


@MANY
@given(convolutions())
def test_a_smaller_act_block_is_no_less_work(op: Conv2dOp) -> None:
    """It can be faster by what nothing hides of the first block and the last, and no more.

    Unless it is what makes weights stay: of one block of rows they are kept for no other.
    """
    if op.act_block_h > 1 and op.out_tiles_h > op.act_block_h:
        smaller = replace(op, act_block_h=op.act_block_h // 2, subblock_h=1)
        works = [work_of(smaller), work_of(op)]
        for model in MODELS:
            values = model.coefficients.families["conv2d"].values
            lengths = [
                {stage.name: weigh(stage.quantities, values) for stage in work.stages}
                for work in works
            ]
            assert all(
                lengths[0].get(name, 0.0) >= length * (1 - 1e-9)
                for name, length in lengths[1].items()
            )
            slow, fast = (cycles_of(work, values) for work in works)
            blocks = inner_blocks(op) * (op.out_tiles_h // op.act_block_h)
            assert slow >= fast - sum(lengths[1].values()) / blocks


@MANY
@given(convolutions())
def test_double_buffering_is_never_slower(op: Conv2dOp) -> None:
    single = replace(op, act_double_buffer=False, weights_double_buffer=False)
    _never_faster(single, replace(single, act_double_buffer=True))
    _never_faster(single, replace(single, weights_double_buffer=True))


@MANY
@given(convolutions())
def test_bfloat8_b_weights_are_never_slower(op: Conv2dOp) -> None:
    _never_faster(
        replace(op, weights_dtype=DataType.BFLOAT16),
        replace(op, weights_dtype=DataType.BFLOAT8_B),
    )


@MANY
@given(matmuls())
def test_bfloat8_b_operands_are_never_slower_for_matmuls(op: MatmulOp) -> None:
    small = replace(op, in0_dtype=DataType.BFLOAT8_B, in1_dtype=DataType.BFLOAT8_B)
    _never_faster(replace(op, in0_dtype=DataType.BFLOAT16, in1_dtype=DataType.BFLOAT16), small)


@MANY
@given(convolutions(), st.integers(2, 4))
def test_more_rows_per_core_are_never_faster(op: Conv2dOp, factor: int) -> None:
    _never_faster(replace(op, out_tiles_h=op.out_tiles_h * factor), op)


@MANY
@given(movements, st.integers(1, 2000))
def test_more_pages_are_never_faster(op: ReshardOp, more: int) -> None:
    def grown(side: Traffic) -> Traffic:
        pages = side.pages + more
        return replace(side, pages=pages, total_bytes=int(pages) * side.page_bytes * op.cores)

    _never_faster(replace(op, source=grown(op.source), target=grown(op.target)), op)


@MANY
@given(movements)
def test_no_movement_is_free(op: ReshardOp) -> None:
    assert min(_times(op)) > 100


@given(st.integers(24, 400))
def test_uneven_shards_fall_off_a_cliff(tiles: int) -> None:
    side = _traffic(Place.SHARD, PageLayout.TILE, tiles, 2048, 20)
    even = BinaryOp("ADD", "none", 20, tiles, (side, side), side, uneven=False)
    for slow, fast in zip(_times(replace(even, uneven=True)), _times(even), strict=True):
        assert slow > 3 * fast


@pytest.mark.parametrize(
    ("slower", "faster"),
    [
        ("height_hifi4", "height"),
        ("height_bfloat16_weights", "height"),
        ("height", "height_double_buffer"),
        ("height_small_block", "height_whole_block"),
        ("width", "width_double_buffer"),
    ],
)
def test_captured_convolutions_keep_the_order(
    captures: dict[str, tuple[DeviceOp, ...]], slower: str, faster: str
) -> None:
    for model in MODELS:
        assert model.time_ns(captures[slower][-1]) > model.time_ns(captures[faster][-1])


def test_derived_fidelity_equals_the_probed_one(
    captures: dict[str, tuple[DeviceOp, ...]],
) -> None:
    derived = [with_fidelity(op, Fidelity.HIFI4) for op in captures["height"]]
    for model in MODELS:
        times = [model.time_ns(op) for op in derived]
        assert times == [model.time_ns(op) for op in captures["height_hifi4"]]
