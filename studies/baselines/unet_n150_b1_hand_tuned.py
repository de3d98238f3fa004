"""Schedule of unet on n150, for ttnn 0.81.1.

network:    unet, signature aa42428fe08110d9, batch 1
board:      n150 of 8x8 cores, ttnn 0.81.1
opened by:  ttnn.open_device(device_id=0, l1_small_size=32768)
latency:    4623.0 us (estimated)
published:  4975 us for the model that the choices are from, on silicon
verified:   not executed
found by:   autosched, study hand-tuned, after the public tt-metal model
cost model: wormhole_b0-6-cdd6bc

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
    "network": "unet",
    "network_signature": "aa42428fe08110d9",
    "board": "n150",
    "ttnn_version": "0.81.1",
    "batch": 1,
    "grid": [8, 8],
    "study": "hand-tuned, after the public tt-metal model",
    "latency_us": 4623.0,
    "latency_kind": "estimated",
    "cost_model": "wormhole_b0-6-cdd6bc",
    "published_us": [4975.0, 4975.0],
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


class Pool(NamedTuple):
    """Arguments of ttnn.max_pool2d and ttnn.avg_pool2d; the scheme is for interleaved inputs."""

    applied_shard_scheme: ttnn.TensorMemoryLayout | None = None
    dtype: ttnn.DataType = ttnn.bfloat16
    output_layout: ttnn.Layout = ttnn.TILE_LAYOUT
    dram_slice_config: ttnn.Conv2dSliceConfig | None = None
    memory_config: ttnn.MemoryConfig | None = None
    reallocate_halo_output: bool = False
    deallocate_input: bool = True


class Fixed(NamedTuple):
    """A step without choices but where it leaves its output, and how it converts or computes."""

    placement: Placement = Placement()
    method: str = ""
    compute_kernel_config: ttnn.WormholeComputeKernelConfig | None = None


LOFI_FP32 = ttnn.WormholeComputeKernelConfig(
    math_fidelity=ttnn.MathFidelity.LoFi,
    fp32_dest_acc_en=True,
    packer_l1_acc=True,
)
LOFI_NO_L1_ACC = ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.LoFi)
HIFI2_FP32 = ttnn.WormholeComputeKernelConfig(
    math_fidelity=ttnn.MathFidelity.HiFi2,
    fp32_dest_acc_en=True,
    packer_l1_acc=True,
)

LAYERS = {
    "x": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (4800, 8),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        method="convert_to_hwc",
    ),
    "down.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=480,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "down.0.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=192,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat8_b,
    ),
    "pool": Pool(
        output_layout=ttnn.ROW_MAJOR_LAYOUT,
        reallocate_halo_output=True,
        deallocate_input=False,
    ),
    "down.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=64,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "down.1.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=64,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "pool_2": Pool(
        output_layout=ttnn.ROW_MAJOR_LAYOUT,
        reallocate_halo_output=True,
        deallocate_input=False,
    ),
    "down.2.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=64,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "down.2.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=64,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "pool_3": Pool(
        output_layout=ttnn.ROW_MAJOR_LAYOUT,
        reallocate_halo_output=True,
        deallocate_input=False,
    ),
    "down.3.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=96,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "down.3.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=96,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "pool_4": Pool(
        output_layout=ttnn.ROW_MAJOR_LAYOUT,
        reallocate_halo_output=True,
        deallocate_input=False,
    ),
    "bottom.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=32,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "bottom.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=32,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "widen.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=96,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (96, 512),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "up.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(deallocate_activation=True, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat8_b,
    ),
    "up.0.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=96,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat8_b,
    ),
    "widen.1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=160,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat8_b,
    ),
    "cat_2": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (320, 256),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "up.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=96,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "up.1.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=160,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "widen.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=64,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "cat_3": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (1216, 128),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "up.2.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=64,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat16,
    ),
    "up.2.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=64,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_FP32,
        dtype=ttnn.bfloat8_b,
    ),
    "widen.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=160,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "cat_4": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (4800, 64),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "up.3.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=320,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "up.3.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=320,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "classify": Conv2d(
        conv_config=ttnn.Conv2dConfig(deallocate_activation=True, weights_dtype=ttnn.bfloat16),
        compute_config=HIFI2_FP32,
        dtype=ttnn.bfloat16,
    ),
    "output": Fixed(method="convert_to_chw"),
}

RESHARDS = {
    "widen.0 -> cat": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (96, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "down.3.3 -> cat#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (96, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "widen.1 -> cat_2": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (320, 128),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "down.2.3 -> cat_2#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (320, 128),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "widen.2 -> cat_3": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (1216, 64),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "down.1.3 -> cat_3#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (1216, 64),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
}

MOVES = {
    "down.0.3 -> pool": Placement(dtype=ttnn.bfloat8_b),
    "down.1.3 -> pool_2": Placement(),
    "down.2.3 -> pool_3": Placement(),
    "down.3.3 -> pool_4": Placement(),
    "down.3.3 -> widen.0": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (96, 256),
        ),
    ),
    "cat -> cat": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (96, 512),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "down.2.3 -> widen.1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (320, 128),
        ),
    ),
    "cat_2 -> cat_2": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (320, 256),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "down.1.3 -> widen.2": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (1216, 64),
        ),
    ),
    "cat_3 -> cat_3": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (1216, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "down.0.3 -> widen.3": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (4800, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
}
