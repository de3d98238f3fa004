"""Between the plain words of :mod:`autosched.schedule.schedule` and ttnn's own objects."""

from collections.abc import Iterable
from typing import Any

import ttnn

from autosched.boards import Board
from autosched.network.operators import Activation
from autosched.schedule.configurations import ComputeConfig, Conv2dConfig, MatmulProgram, PoolConfig
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

DATA_TYPES = {
    DataType.BFLOAT16: ttnn.bfloat16,
    DataType.BFLOAT8_B: ttnn.bfloat8_b,
    DataType.BFLOAT4_B: ttnn.bfloat4_b,
    DataType.FLOAT32: ttnn.float32,
    DataType.UINT16: ttnn.uint16,
    DataType.UINT32: ttnn.uint32,
    DataType.INT32: ttnn.int32,
}
PAGE_LAYOUTS = {PageLayout.TILE: ttnn.TILE_LAYOUT, PageLayout.ROW_MAJOR: ttnn.ROW_MAJOR_LAYOUT}
MEMORY_LAYOUTS = {
    ShardLayout.INTERLEAVED: ttnn.TensorMemoryLayout.INTERLEAVED,
    ShardLayout.HEIGHT: ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
    ShardLayout.WIDTH: ttnn.TensorMemoryLayout.WIDTH_SHARDED,
    ShardLayout.BLOCK: ttnn.TensorMemoryLayout.BLOCK_SHARDED,
}
_BUFFER_TYPES = {Memory.DRAM: ttnn.BufferType.DRAM, Memory.L1: ttnn.BufferType.L1}

_SLICE_TYPES = {
    "dram_height": ttnn.Conv2dDRAMSliceHeight,
    "dram_width": ttnn.Conv2dDRAMSliceWidth,
}

# What ttnn wants said of activations that have no parameter in PyTorch: mish whether to
# approximate, selu its scale and alpha (torch.nn.SELU's).
_FUSED_PARAMETERS = {"mish": (0.0,), "selu": (1.0507009873554805, 1.6732632423543772)}

_DATA_TYPE_OF = {value: key for key, value in DATA_TYPES.items()}
_SHARD_LAYOUT_OF = {value: key for key, value in MEMORY_LAYOUTS.items()}


def core_range_set(ranges: Iterable[CoreRange]) -> ttnn.CoreRangeSet:
    """Return ttnn's set of cores, in the given order: it is the order of the shards."""
    return ttnn.CoreRangeSet(
        [
            ttnn.CoreRange(ttnn.CoreCoord(part.x0, part.y0), ttnn.CoreCoord(part.x1, part.y1))
            for part in ranges
        ]
    )


def memory_config(layout: TensorLayout) -> ttnn.MemoryConfig:
    """Return ttnn's memory configuration of a layout (its page layout and dtype are apart)."""
    if layout.shard_shape is None:
        return ttnn.MemoryConfig(MEMORY_LAYOUTS[layout.sharding], _BUFFER_TYPES[layout.memory])
    orientation = ttnn.ShardOrientation
    spec = ttnn.ShardSpec(
        core_range_set(layout.grid),
        list(layout.shard_shape),
        orientation.COL_MAJOR if layout.transposed else orientation.ROW_MAJOR,
    )
    return ttnn.MemoryConfig(MEMORY_LAYOUTS[layout.sharding], _BUFFER_TYPES[layout.memory], spec)


def layout_of(tensor: ttnn.Tensor) -> TensorLayout:
    """Return the effective layout of a tensor on the device."""
    config = tensor.memory_config()
    spec = config.shard_spec
    page = PageLayout.TILE if tensor.layout == ttnn.TILE_LAYOUT else PageLayout.ROW_MAJOR
    memory = Memory.DRAM if config.buffer_type == ttnn.BufferType.DRAM else Memory.L1
    sharding = _SHARD_LAYOUT_OF[config.memory_layout]
    dtype = _DATA_TYPE_OF[tensor.dtype]
    if spec is None:
        return TensorLayout(memory, sharding, dtype, page)
    grid = tuple(
        CoreRange(part.start.x, part.start.y, part.end.x, part.end.y) for part in spec.grid.ranges()
    )
    rows, columns = spec.shape
    transposed = spec.orientation == ttnn.ShardOrientation.COL_MAJOR
    return TensorLayout(memory, sharding, dtype, page, grid, (rows, columns), transposed)


def unary(activation: Activation) -> ttnn.UnaryWithParam:
    """Return ttnn's form of an activation, fused or alone."""
    operation = getattr(ttnn.UnaryOpType, activation.name.upper())
    parameters = activation.parameters or _FUSED_PARAMETERS.get(activation.name, ())
    return ttnn.UnaryWithParam(operation, *map(float, parameters))


def compute_config(config: ComputeConfig, board: Board) -> ttnn.DeviceComputeKernelConfig:
    """Return ttnn's compute-kernel configuration for the board's architecture."""
    arch = ttnn.Arch.BLACKHOLE if board.arch == "blackhole" else ttnn.Arch.WORMHOLE_B0
    return ttnn.init_device_compute_kernel_config(
        arch,
        math_fidelity=getattr(ttnn.MathFidelity, config.math_fidelity.value),
        math_approx_mode=config.math_approx_mode,
        fp32_dest_acc_en=config.fp32_dest_acc_en,
        packer_l1_acc=config.packer_l1_acc,
    )


def program_config(program: MatmulProgram, activation: Activation | None) -> Any:
    """Return ttnn's program configuration of a matrix product with its fused activation."""
    common = {
        "compute_with_storage_grid_size": program.grid,
        "in0_block_w": program.in0_block_w,
        "out_subblock_h": program.out_subblock_h,
        "out_subblock_w": program.out_subblock_w,
        "per_core_M": program.per_core_m,
        "per_core_N": program.per_core_n,
        "fused_activation": None if activation is None else unary(activation),
        "fuse_batch": True,
    }
    if program.kind == "mcast_2d":
        return ttnn.MatmulMultiCoreReuseMultiCastProgramConfig(transpose_mcast=False, **common)
    return ttnn.MatmulMultiCoreReuseMultiCast1DProgramConfig(
        mcast_in0=program.kind == "mcast_in0", **common
    )


def slice_config(config: Conv2dConfig | PoolConfig) -> ttnn.Conv2dSliceConfig | None:
    """Return ttnn's slice configuration; None lets ttnn slice what comes from DRAM."""
    if config.slicing == "auto":
        return None
    if config.slicing == "l1_full":
        return ttnn.Conv2dL1FullSliceConfig
    return ttnn.Conv2dSliceConfig(
        slice_type=_SLICE_TYPES[config.slicing], num_slices=config.num_slices
    )


def conv2d_config(
    config: Conv2dConfig, activation: Activation | None, *, frees: bool
) -> ttnn.Conv2dConfig:
    """Return ttnn's convolution configuration, of one that ``frees`` its input or not."""
    return ttnn.Conv2dConfig(
        weights_dtype=DATA_TYPES[config.weights_dtype],
        activation=None if activation is None else unary(activation),
        deallocate_activation=frees,
        reallocate_halo_output=config.reallocate_halo_output,
        config_tensors_in_dram=config.config_tensors_in_dram,
        act_block_h_override=config.act_block_h_override,
        act_block_w_div=config.act_block_w_div,
        # With it off, a sharded input keeps its own layout in silence; the schedule has already
        # brought the input where it should be, so this only acts where the two disagree.
        reshard_if_not_optimal=config.shard_layout is not None,
        override_sharding_config=bool(config.core_grid),
        shard_layout=None if config.shard_layout is None else MEMORY_LAYOUTS[config.shard_layout],
        core_grid=core_range_set(config.core_grid) if config.core_grid else None,
        output_layout=PAGE_LAYOUTS[config.output_page],
        transpose_shards=config.transpose_shards,
        enable_act_double_buffer=config.enable_act_double_buffer,
        enable_weights_double_buffer=config.enable_weights_double_buffer,
        full_inner_dim=config.full_inner_dim,
        enable_kernel_stride_folding=config.enable_kernel_stride_folding,
        enable_activation_reuse=config.enable_activation_reuse,
        force_split_reader=config.force_split_reader,
    )
