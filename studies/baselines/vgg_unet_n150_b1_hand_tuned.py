"""Schedule of vgg_unet on n150, for ttnn 0.81.1.

network:    vgg_unet, signature 14d9fb19650fb725, batch 1
board:      n150 of 8x8 cores, ttnn 0.81.1
opened by:  ttnn.open_device(device_id=0, l1_small_size=32768)
latency:    2753.4 us (estimated)
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
    "network": "vgg_unet",
    "network_signature": "14d9fb19650fb725",
    "board": "n150",
    "ttnn_version": "0.81.1",
    "batch": 1,
    "grid": [8, 8],
    "study": "hand-tuned, after the public tt-metal model",
    "latency_us": 2753.4,
    "latency_kind": "estimated",
    "cost_model": "wormhole_b0-6-cdd6bc",
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


LOFI_NO_L1_ACC = ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.LoFi)

LAYERS = {
    "x": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (1024, 8),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        method="convert_to_hwc",
    ),
    "down.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.0.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=512,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.1.0": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, deallocate_input=False),
    "down.1.1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.1.4": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.2.0": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, deallocate_input=False),
    "down.2.1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.2.4": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.2.7": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.3.0": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, deallocate_input=False),
    "down.3.1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.3.4": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.3.7": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.4.0": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, deallocate_input=False),
    "down.4.1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.4.4": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "down.4.7": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "widen.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (16, 1024),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "up.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "up.0.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "widen.1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "cat_2": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (64, 512),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "up.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "up.1.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "widen.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            act_block_h_override=128,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "cat_3": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (256, 256),
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
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "up.2.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "widen.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            act_block_h_override=256,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
            output_layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "cat_4": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (1024, 128),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "up.3.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=128,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "up.3.3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=512,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "classify": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat16,
    ),
    "output": Fixed(method="convert_to_chw"),
}

RESHARDS = {
    "widen.0 -> cat": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (16, 512),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "down.3.7 -> cat#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (16, 512),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "widen.1 -> cat_2": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (64, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "down.2.7 -> cat_2#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (64, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
}

MOVES = {
    "down.2.1 -> down.2.1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 7, 7)),
            (512, 32),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "up.1.3 -> up.1.3": Placement(memory_config=ttnn.L1_MEMORY_CONFIG),
    "up.2.3 -> up.2.3": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
}
