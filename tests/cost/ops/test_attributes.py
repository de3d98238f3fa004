import pytest

from autosched.cost.ops.attributes import (
    config_flag,
    fidelity_of,
    fields,
    members,
    numbers,
    plain_code,
    sliding_window_text,
)
from autosched.schedule.configurations import Fidelity

NAMED = (
    "{'block_config': 'Conv2dBlockConfig(act_block_h_ntiles=2;act_block_w_ntiles=6;"
    "out_subblock_h_ntiles=2;out_subblock_w_ntiles=4)'; 'output_channels': '64'; "
    "'dtype_': 'DataType::BFLOAT16'}"
)
POSITIONAL = (
    "Conv2dParams(SlidingWindowConfig(1, 0, {56, 56}, {3, 3}, {1, 2}, array(1, 1, 1, 1)), 64, 1, 0,"
    " 1, std::nullopt, Conv2dParallelizationConfig(<xy_pair>, 49, 1, 1, 2, 2), "
    'Conv2dBlockConfig(2, 6, 2, 4), MemoryConfig(shard_spec=ShardSpec{grid=[{"start":{"x":0,"y":0},'
    '"end":{"x":7,"y":5}], shape=[64, 64]}), DataType::BFLOAT16)'
)


def test_named_fields_lose_the_trailing_underscore_of_old_releases() -> None:
    assert fields(NAMED)["dtype"] == "DataType::BFLOAT16"
    assert fields(NAMED)["output_channels"] == "64"


def test_positional_fields_get_names_past_an_unbalanced_memory_configuration() -> None:
    found = fields(POSITIONAL)
    assert found["output_channels"] == "64"
    assert found["dtype"] == "DataType::BFLOAT16"
    assert members(found["sliding_window_config"])["stride_hw"] == "{1, 2}"


def test_nested_members_read_alike_in_both_spellings() -> None:
    blocks = [members(fields(text)["block_config"]) for text in (NAMED, POSITIONAL)]
    assert blocks[0] == blocks[1]
    assert numbers(blocks[0]["out_subblock_w_ntiles"]) == (4,)


def test_fidelity_and_flags() -> None:
    text = "ComputeKernelConfig(math_fidelity=HiFi2,fp32_dest_acc_en=1,packer_l1_acc=0)"
    assert fidelity_of(text) is Fidelity.HIFI2
    assert fidelity_of("{'math_fidelity': 'LoFi'}") is Fidelity.LOFI
    assert fidelity_of("") is Fidelity.HIFI4
    assert config_flag(text, "fp32_dest_acc_en")
    assert not config_flag(text, "packer_l1_acc")


def test_the_sliding_window_of_an_unnamed_structure_is_found() -> None:
    text = "operation_attributes_t(SlidingWindowConfig(1, 0, {5, 5}, array(1, 1)), Pool2DType::MAX)"
    assert sliding_window_text(text) == "SlidingWindowConfig(1, 0, {5, 5}, array(1, 1))"
    assert sliding_window_text("nothing") == ""


@pytest.mark.parametrize(
    ("code", "plain"),
    [
        ("TilizeDeviceOperation", "tilize"),
        ("ttnn::operations::data_movement::Tilize", "tilize"),
        ("UpsampleOperation", "upsample"),
        ("MinimalMatmulOp", "minimalmatmul"),
    ],
)
def test_codes_of_all_releases_are_one(code: str, plain: str) -> None:
    assert plain_code(code) == plain
