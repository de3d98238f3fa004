from dataclasses import replace
from pathlib import Path

import pytest

from autosched.cost.model import CostModel
from autosched.cost.ops.convolutions import Conv2dOp, splits_reader
from autosched.cost.ops.families import work_of
from autosched.cost.ops.work import all_quantities
from autosched.cost.profiles.profile import read_profile
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType, ShardLayout
from tests.cost.records import Captures, record_of

MODEL = CostModel.load("wormhole_b0")


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
    captured = record_of(captures["segformer"], Conv2dOp)
    assert len(measured) == 1
    # Older kernels, and an explicit choice where ttnn now decides by rule.
    assert replace(measured[0], legacy=False, split_reader=None) == captured


def test_a_captured_convolution_s_details(captures: Captures) -> None:
    conv = record_of(captures["height_double_buffer"], Conv2dOp)
    assert (conv.layout, conv.cores, conv.fidelity) == (ShardLayout.HEIGHT, 49, Fidelity.LOFI)
    assert conv.act_double_buffer
    assert conv.weights_double_buffer
    assert (conv.act_block_h, conv.act_block_w, conv.out_tiles_h) == (2, 6, 2)
    assert conv.weights_dtype is DataType.BFLOAT8_B
    block = record_of(captures["block"], Conv2dOp)
    assert block.layout is ShardLayout.BLOCK
    assert block.stick_channels * block.cores_c == 256


def _cycles(op: Conv2dOp) -> float:
    return MODEL.predict_features(op).time_ns


def test_both_buffers_gain_more_than_either_with_block_sharding(captures: Captures) -> None:
    """As simulated: a round waits for the slower of what the others send and the weights."""
    single = record_of(captures["block"], Conv2dOp)
    both = replace(single, act_double_buffer=True, weights_double_buffer=True)
    either = [
        replace(single, act_double_buffer=True),
        replace(single, weights_double_buffer=True),
    ]
    assert _cycles(both) < 0.75 * _cycles(single)
    assert min(map(_cycles, either)) > 0.85 * _cycles(single)


def test_width_sharding_gains_as_on_silicon(captures: Captures) -> None:
    share = _cycles(record_of(captures["width_double_buffer"], Conv2dOp)) / _cycles(
        record_of(captures["width"], Conv2dOp)
    )
    assert 0.5 < share < 0.8


@pytest.mark.parametrize(
    ("channels", "tall", "splits"), [(16, 7, True), (16, 2, False), (64, 2, False)]
)
def test_the_reader_is_split_where_tt_metal_does(
    captures: Captures, channels: int, tall: int, splits: bool
) -> None:
    """ResNet's folded stem, whole and in low blocks, and its 56x56 layer, as simulated."""
    op = record_of(captures["height"], Conv2dOp)
    window = 4 if channels == 16 else 3
    tiles = -(-window * channels // 32)
    changed = replace(
        op,
        stick_channels=channels,
        window_hw=(window, window),
        act_block_h=tall,
        act_block_w=tiles,
        out_tiles_w=2,
        output_dtype=DataType.BFLOAT16,
    )
    assert splits_reader(changed) is splits


def test_width_sharding_reads_every_position_on_its_own(captures: Captures) -> None:
    op = record_of(captures["width"], Conv2dOp)
    reads = all_quantities(work_of(op))["read"]
    assert reads == op.out_tiles_h * 32 * 9 * op.stick_channels / 32
