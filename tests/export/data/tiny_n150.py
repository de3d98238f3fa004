"""Schedule of tiny on n150, for ttnn 0.81.1.

network:    tiny, signature 0123456789abcdef, batch 1
board:      n150, ttnn 0.81.1
opened by:  ttnn.open_device(device_id=0, l1_small_size=32768)
latency:    812.2 us (estimated)
verified:   not executed
found by:   autosched, study tiny-n150, trial 41
cost model: 1-2f6c
date:       2026-11-22

LAYERS has the arguments of each layer's ttnn call in execution order, without those that the
network decides (shapes, activation); its first and last entries convert from and to PyTorch's
layout, unless they say "nhwc" or "device". RESHARDS brings a copy of a tensor to a layout for one
consumer (#1: as second input). MOVES brings a tensor to the layout in which it waits once that
consumer has run; from a layer to itself, at once. autosched.load_schedule reads the values of this
file back, edits included.
"""

from typing import NamedTuple

import ttnn

PROVENANCE = {
    "network": "tiny",
    "network_signature": "0123456789abcdef",
    "board": "n150",
    "ttnn_version": "0.81.1",
    "batch": 1,
    "study": "tiny-n150",
    "trial": 41,
    "latency_us": 812.25,
    "latency_kind": "estimated",
    "cost_model": "1-2f6c",
    "date": "2026-11-22",
}


def cores(*rectangles):
    """Cores as rectangles (x0, y0, x1, y1), both corners included."""
    return ttnn.CoreRangeSet(
        [
            ttnn.CoreRange(ttnn.CoreCoord(x0, y0), ttnn.CoreCoord(x1, y1))
            for x0, y0, x1, y1 in rectangles
        ]
    )


def sharded(memory_layout, grid, shard_shape, transposed=False, buffer_type=ttnn.BufferType.L1):
    """One shard of shard_shape (rows, columns in elements) on each core of the grid."""
    orientation = ttnn.ShardOrientation.COL_MAJOR if transposed else ttnn.ShardOrientation.ROW_MAJOR
    spec = ttnn.ShardSpec(grid, shard_shape, orientation)
    return ttnn.MemoryConfig(memory_layout, buffer_type, spec)


class Placement(NamedTuple):
    """Where and how a tensor lies: for ttnn.to_memory_config, ttnn.typecast, ttnn.to_layout."""

    memory_config: ttnn.MemoryConfig = ttnn.DRAM_MEMORY_CONFIG
    dtype: ttnn.DataType = ttnn.bfloat16
    layout: ttnn.Layout = ttnn.TILE_LAYOUT


class Conv2d(NamedTuple):
    """Arguments of ttnn.conv2d; the output is then brought to memory_config, if one is given.

    With fold_input the image is first folded by the stride (ttnn.fold), and the convolution runs
    with stride 1 on weights rearranged alike (autosched.network.stem_folding).
    """

    conv_config: ttnn.Conv2dConfig
    compute_config: ttnn.WormholeComputeKernelConfig
    dtype: ttnn.DataType
    slice_config: ttnn.Conv2dSliceConfig | None = ttnn.Conv2dL1FullSliceConfig
    memory_config: ttnn.MemoryConfig | None = None
    fold_input: bool = False


class Matmul(NamedTuple):
    """Arguments of ttnn.linear, and the format of its weights.

    The program_config of either kind fuses the layer's activation, which is not said here.
    """

    weights_dtype: ttnn.DataType
    compute_kernel_config: ttnn.WormholeComputeKernelConfig
    dtype: ttnn.DataType
    memory_config: ttnn.MemoryConfig = ttnn.DRAM_MEMORY_CONFIG
    core_grid: ttnn.CoreGrid | None = None
    program_config: ttnn.MatmulMultiCoreReuseMultiCastProgramConfig | None = None


class Pool(NamedTuple):
    """Arguments of ttnn.max_pool2d and ttnn.avg_pool2d; the scheme is for interleaved inputs."""

    applied_shard_scheme: ttnn.TensorMemoryLayout | None = None
    dtype: ttnn.DataType = ttnn.bfloat16
    output_layout: ttnn.Layout = ttnn.TILE_LAYOUT
    dram_slice_config: ttnn.Conv2dSliceConfig | None = None
    memory_config: ttnn.MemoryConfig | None = None
    reallocate_halo_output: bool = False
    deallocate_input: bool = True


class Eltwise(NamedTuple):
    """Output format of an addition, multiplication or activation, and where it runs."""

    dtype: ttnn.DataType
    placement: Placement = Placement()


class Fixed(NamedTuple):
    """A step without choices but where it leaves its output, and how it converts or computes."""

    placement: Placement = Placement()
    method: str = ""
    compute_kernel_config: ttnn.WormholeComputeKernelConfig | None = None


LOFI = ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.LoFi, packer_l1_acc=True)
HIFI2_FP32_NO_L1_ACC = ttnn.WormholeComputeKernelConfig(
    math_fidelity=ttnn.MathFidelity.HiFi2,
    fp32_dest_acc_en=True,
)

LAYERS = {
    "x": Fixed(method="permute"),
    "conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            act_block_h_override=64,
            enable_act_double_buffer=True,
            enable_activation_reuse=True,
            force_split_reader=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "maxpool": Pool(
        applied_shard_scheme=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
        dtype=ttnn.bfloat8_b,
        deallocate_input=False,
    ),
    "layer1.0.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            full_inner_dim=True,
            core_grid=cores((0, 0, 7, 6), (0, 7, 3, 7)),
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
            override_sharding_config=True,
        ),
        compute_config=HIFI2_FP32_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
        slice_config=None,
        memory_config=ttnn.DRAM_MEMORY_CONFIG,
    ),
    "layer1.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (64, 64),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "avgpool": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, memory_config=ttnn.DRAM_MEMORY_CONFIG),
    "flatten": Fixed(),
    "fc": Matmul(
        weights_dtype=ttnn.bfloat8_b,
        compute_kernel_config=LOFI,
        dtype=ttnn.bfloat16,
        memory_config=ttnn.L1_WIDTH_SHARDED_MEMORY_CONFIG,
        core_grid=ttnn.CoreGrid(x=8, y=4),
    ),
    "output": Fixed(placement=Placement(layout=ttnn.ROW_MAJOR_LAYOUT)),
}

RESHARDS = {
    "maxpool -> layer1.0.conv1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 7, 6), (0, 7, 3, 7)),
            (64, 32),
            transposed=True,
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "maxpool -> layer1.0.add#1": Placement(memory_config=ttnn.L1_MEMORY_CONFIG),
}

MOVES = {
    "maxpool -> layer1.0.conv1": Placement(dtype=ttnn.bfloat8_b),
}
