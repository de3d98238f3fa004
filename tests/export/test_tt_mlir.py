"""tt-mlir's option, read by the grammar of its parser (``PassOverrides.cpp`` of tt-mlir)."""

from dataclasses import replace

import pytest

from autosched.errors import ScheduleError
from autosched.export.tt_mlir import render_overrides, unsaid_fields
from autosched.schedule.configurations import Conv2dConfig, PoolConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import CoreRange, DataType, ShardLayout
from tests.examples.schedules import small_schedule

BOOLEANS = {"true", "false"}
DATA_TYPES = {
    *("f32", "f16", "bf16", "bfp_f8", "bfp_bf8", "bfp_f4", "bfp_bf4", "bfp_f2", "bfp_bf2"),
    *("u32", "u16", "u8"),
}
LEGAL = {
    "weights_dtype": DATA_TYPES,
    "deallocate_activation": BOOLEANS,
    "reallocate_halo_output": BOOLEANS,
    "reshard_if_not_optimal": BOOLEANS,
    "override_sharding_config": BOOLEANS,
    "shard_layout": {"interleaved", "height_sharded", "width_sharded", "block_sharded"},
    "transpose_shards": BOOLEANS,
    "output_layout": {"row_major", "tile"},
    "enable_act_double_buffer": BOOLEANS,
    "enable_weights_double_buffer": BOOLEANS,
}
NUMBERS = {"act_block_h_override", "act_block_w_div"}


def parsed(line: str) -> dict[str, dict[str, str]]:
    """What the parser takes: split at commas, then one ``=``, colons, and ``#``."""
    option, _, value = line.partition("=")
    assert option == "override-conv2d-config"
    assert not set(" \t\"'") & set(value)
    found: dict[str, dict[str, str]] = {}
    for item in value.split(","):
        name, fields = item.split("=")
        assert name not in found
        found[name] = {}
        for field in fields.split(":"):
            key, chosen = field.split("#")
            assert key not in found[name]
            assert chosen.isdecimal() if key in NUMBERS else chosen in LEGAL[key]
            found[name][key] = chosen
    return found


def test_every_convolution_and_every_field_of_the_option() -> None:
    schedule = small_schedule()
    *comments, line = render_overrides(schedule).splitlines()
    assert all(comment.startswith("#") for comment in comments)
    convolutions = {
        name: config for name, config in schedule.layers.items() if isinstance(config, Conv2dConfig)
    }
    found = parsed(line)
    assert list(found) == list(convolutions)
    for name, config in convolutions.items():
        assert found[name]["act_block_h_override"] == str(config.act_block_h_override)
        assert (
            found[name]["enable_act_double_buffer"] == str(config.enable_act_double_buffer).lower()
        )
        assert found[name]["deallocate_activation"] == str(name in schedule.frees).lower()
        assert ("shard_layout" in found[name]) == (config.shard_layout is not None)
        (said,) = [comment for comment in comments if comment.startswith(f"#   {name}: ")]
        assert said.split(": ")[1] == ", ".join(
            f"{key} {value}" for key, value in unsaid_fields(config).items()
        )


def test_what_the_option_has_no_field_for_is_named() -> None:
    config = Conv2dConfig(
        ShardLayout.BLOCK,
        full_inner_dim=True,
        config_tensors_in_dram=True,
        core_grid=(CoreRange(0, 0, 7, 6), CoreRange(0, 7, 3, 7)),
        output_dtype=DataType.BFLOAT16,
        output_memory="dram",
        slicing="dram_height",
        num_slices=4,
        fold_input=True,
    )
    assert unsaid_fields(config) == {
        "full_inner_dim": "true",
        "config_tensors_in_dram": "true",
        "core_grid": "0,0-7,6+0,7-3,7",
        "dtype": "bf16",
        "slices": "dram_height 4",
        "output": "dram",
        "fold_input": "true",
        "compute": "LoFi approx packer_l1_acc",
    }


def test_a_name_that_the_option_cannot_hold_is_refused() -> None:
    schedule = small_schedule()
    odd = replace(
        schedule, layers={"a=b": Conv2dConfig()}, reshards={}, moves={}, frees=frozenset()
    )
    with pytest.raises(ScheduleError, match="'a=b'"):
        render_overrides(odd)


def test_a_schedule_without_convolutions_is_refused() -> None:
    schedule = Schedule(small_schedule().provenance, {"pool": PoolConfig()})
    with pytest.raises(ScheduleError, match="no convolution"):
        render_overrides(schedule)
