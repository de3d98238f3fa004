"""How ttnn spells the values of :mod:`autosched.schedule`, and its own defaults (ttnn 0.81.1)."""

from collections.abc import Mapping

from autosched.schedule.configurations import ComputeConfig, Fidelity
from autosched.schedule.tensors import DataType, Memory, PageLayout, ShardLayout

CONV2D_TTNN_DEFAULTS: Mapping[str, object] = {
    "shard_layout": None,
    "act_block_h_override": 0,
    "act_block_w_div": 1,
    "enable_act_double_buffer": False,
    "enable_weights_double_buffer": False,
    "full_inner_dim": False,
    "enable_activation_reuse": False,
    "force_split_reader": None,
    "config_tensors_in_dram": False,
    "core_grid": (),
    "transpose_shards": False,
    "enable_kernel_stride_folding": None,
    "reallocate_halo_output": True,
    "deallocate_activation": False,
    "weights_dtype": None,
}
"""What ``ttnn.Conv2dConfig()`` holds; a field with this value is left out of an export.

Ours has the same names but one: whether the layer frees its input is said once for all layers.
"""

COMPUTE_TTNN_DEFAULTS: Mapping[str, object] = {
    "math_fidelity": None,
    "math_approx_mode": True,
    "fp32_dest_acc_en": False,
    "packer_l1_acc": False,
}
"""What ``ttnn.WormholeComputeKernelConfig()`` holds; it serves Blackhole too."""

SLICE_TYPES: Mapping[str, str] = {
    "dram_height": "DRAMSliceHeight",
    "dram_width": "DRAMSliceWidth",
}
"""Slicings by part, and the type of ttnn's slice configuration (``ttnn.Conv2d...``)."""

MATMUL_MEMORY: Mapping[str, str] = {
    "dram": "ttnn.DRAM_MEMORY_CONFIG",
    "l1": "ttnn.L1_MEMORY_CONFIG",
    "width": "ttnn.L1_WIDTH_SHARDED_MEMORY_CONFIG",
    "height": "ttnn.L1_HEIGHT_SHARDED_MEMORY_CONFIG",
    "block": "ttnn.L1_BLOCK_SHARDED_MEMORY_CONFIG",
}


def dtype_name(dtype: DataType) -> str:
    """Return ttnn's name of an element format."""
    return f"ttnn.{dtype}"


def page_name(page: PageLayout) -> str:
    """Return ttnn's name of a page layout."""
    return f"ttnn.{page.upper()}_LAYOUT"


def sharding_name(sharding: ShardLayout) -> str:
    """Return ttnn's name of a way to spread a tensor."""
    suffix = "" if sharding is ShardLayout.INTERLEAVED else "_SHARDED"
    return f"ttnn.TensorMemoryLayout.{sharding.upper()}{suffix}"


def buffer_name(memory: Memory) -> str:
    """Return ttnn's name of a memory."""
    return f"ttnn.BufferType.{memory.upper()}"


def fidelity_name(fidelity: Fidelity) -> str:
    """Return ttnn's name of a math fidelity."""
    return f"ttnn.MathFidelity.{fidelity}"


def compute_name(config: ComputeConfig) -> str:
    """Return the constant an export keeps a compute configuration in."""
    name = config.math_fidelity.upper()
    if config.fp32_dest_acc_en:
        name += "_FP32"
    if not config.math_approx_mode:
        name += "_EXACT"
    return name if config.packer_l1_acc else name + "_NO_L1_ACC"
