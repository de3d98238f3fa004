from dataclasses import replace
from pathlib import Path

from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.profiles.profile import read_profile
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType, ShardLayout
from tests.cost.records import Captures, record_of


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
