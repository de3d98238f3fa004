from dataclasses import replace
from pathlib import Path

import pytest

from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.eltwise import BinaryOp
from autosched.cost.ops.families import Record, is_known, read_features
from autosched.cost.ops.halo import HaloOp
from autosched.cost.ops.matmul import MatmulOp
from autosched.cost.ops.movement import GenericOp, InterleavedToShardedOp, MoveOp
from autosched.cost.ops.pooling import PoolOp
from autosched.cost.ops.traffic import Place
from autosched.cost.profiles.profile import read_profile
from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)

Captures = dict[str, tuple[DeviceOp, ...]]


def _of(ops: tuple[DeviceOp, ...], kind: type[Record]) -> Record:
    return next(found for op in ops if isinstance(found := read_features(op), kind))


def test_a_capture_and_a_profile_of_one_convolution_agree(captures: Captures, data: Path) -> None:
    """SegFormer's 3x3 convolution of stride 2 on 128x128x32, profiled on an n150 in 2025-02."""
    profile = read_profile(data / "wormhole_segformer_excerpt.csv")
    measured = [
        row.features
        for row in profile.rows
        if isinstance(row.features, Conv2dOp)
        and row.features.input_hw == (128, 128)
        and row.features.stride_hw == (2, 2)
    ]
    captured = _of(captures["segformer"], Conv2dOp)
    assert isinstance(captured, Conv2dOp)
    assert len(measured) == 1
    # Older kernels, and an explicit choice where ttnn now decides by rule.
    assert replace(measured[0], legacy=False, split_reader=None) == captured


def test_a_capture_and_a_profile_of_one_halo_agree(captures: Captures, data: Path) -> None:
    profile = read_profile(data / "wormhole_segformer_excerpt.csv")
    halos = [row.features for row in profile.rows if isinstance(row.features, HaloOp)]
    captured = _of(captures["segformer"], HaloOp)
    assert isinstance(captured, HaloOp)
    same = [halo for halo in halos if halo.out_sticks == captured.out_sticks]
    # The network gave row-major tensors in; the capture starts from tiles.
    assert [replace(halo, legacy=False, from_tiles=True) for halo in same] == [captured]


def test_captured_ops_become_their_records(captures: Captures) -> None:
    kinds = [type(read_features(op)) for op in captures["height"]]
    assert kinds == [InterleavedToShardedOp, HaloOp, MoveOp, Conv2dOp]
    assert isinstance(read_features(captures["pointwise"][-1]), MatmulOp)
    assert isinstance(read_features(captures["add"][0]), BinaryOp)
    assert isinstance(read_features(captures["pool"][-1]), PoolOp)


def test_a_captured_convolution_s_details(captures: Captures) -> None:
    conv = _of(captures["height_double_buffer"], Conv2dOp)
    assert isinstance(conv, Conv2dOp)
    assert (conv.layout, conv.cores, conv.fidelity) == (ShardLayout.HEIGHT, 49, Fidelity.LOFI)
    assert conv.act_double_buffer
    assert conv.weights_double_buffer
    assert (conv.act_block_h, conv.act_block_w, conv.out_tiles_h) == (2, 6, 2)
    assert conv.weights_dtype is DataType.BFLOAT8_B
    block = _of(captures["block"], Conv2dOp)
    assert isinstance(block, Conv2dOp)
    assert block.layout is ShardLayout.BLOCK
    assert block.stick_channels * block.cores_c == 256


def test_a_captured_matmul_s_core_part_follows_from_its_shards(captures: Captures) -> None:
    matmul = read_features(captures["pointwise"][-1])
    assert isinstance(matmul, MatmulOp)
    assert (matmul.core_m, matmul.core_n, matmul.k_tiles) == (2, 8, 2)
    assert matmul.in1_place is Place.DRAM
    assert matmul.has_bias


def test_an_unknown_op_is_generic(captures: Captures) -> None:
    op = captures["sort"][0]
    assert not is_known(op)
    assert isinstance(read_features(op), GenericOp)


@pytest.mark.parametrize(("height", "uneven"), [(32, False), (96, True)])
def test_shards_that_do_not_cut_evenly_are_uneven(height: int, uneven: bool) -> None:
    layout = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, 3, 0),), shard_shape=(height, 64)
    )
    info = TensorInfo((1, 1, 128, 64), layout)
    op = DeviceOp("BinaryNgDeviceOperation", "", (info, info), (info,), cores=4)
    found = read_features(op)
    assert isinstance(found, BinaryOp)
    assert found.uneven is uneven


def test_a_dram_operand_leaves_the_fast_path() -> None:
    sharded = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, 3, 0),), shard_shape=(32, 64)
    )
    one = TensorInfo((1, 1, 128, 64), sharded)
    other = TensorInfo((1, 1, 128, 64), TensorLayout())
    op = DeviceOp("BinaryNgDeviceOperation", "", (one, other), (one,), cores=4)
    found = read_features(op)
    assert isinstance(found, BinaryOp)
    assert found.uneven
