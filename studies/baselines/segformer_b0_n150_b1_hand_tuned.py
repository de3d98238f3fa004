"""Schedule of segformer_b0 on n150, for ttnn 0.81.1.

network:    segformer_b0, signature 388f081ca3183232, batch 1
board:      n150 of 8x8 cores, ttnn 0.81.1
opened by:  ttnn.open_device(device_id=0, l1_small_size=32768)
latency:    3948.9 us (estimated)
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
    "network": "segformer_b0",
    "network_signature": "388f081ca3183232",
    "board": "n150",
    "ttnn_version": "0.81.1",
    "batch": 1,
    "grid": [8, 8],
    "study": "hand-tuned, after the public tt-metal model",
    "latency_us": 3948.9,
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


class Eltwise(NamedTuple):
    """Output format of an addition, multiplication or activation, and where it runs."""

    dtype: ttnn.DataType
    placement: Placement = Placement()


class Fixed(NamedTuple):
    """A step without choices but where it leaves its output, and how it converts or computes."""

    placement: Placement = Placement()
    method: str = ""
    compute_kernel_config: ttnn.WormholeComputeKernelConfig | None = None


LOFI_NO_L1_ACC = ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.LoFi)
HIFI4_NO_L1_ACC = ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.HiFi4)
LOFI = ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.LoFi, packer_l1_acc=True)

LAYERS = {
    "x": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (4096, 8),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        method="convert_to_hwc",
    ),
    "stages.0.patches": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.enter": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.0.blocks.0.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.0.blocks.0.attention.reduce": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.norm": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=HIFI4_NO_L1_ACC,
    ),
    "stages.0.blocks.0.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.0.blocks.0.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.0.blocks.0.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.0.blocks.0.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.0.blocks.0.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.0.blocks.1.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.0.blocks.1.attention.reduce": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.norm": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=HIFI4_NO_L1_ACC,
    ),
    "stages.0.blocks.1.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.0.blocks.1.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.0.blocks.1.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.0.blocks.1.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.0.blocks.1.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.0.leave": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.1.patches": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.enter": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.1.blocks.0.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.1.blocks.0.attention.reduce": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.norm": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=HIFI4_NO_L1_ACC,
    ),
    "stages.1.blocks.0.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.1.blocks.0.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.1.blocks.0.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.1.blocks.0.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.1.blocks.0.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.1.blocks.1.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.1.blocks.1.attention.reduce": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.norm": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=HIFI4_NO_L1_ACC,
    ),
    "stages.1.blocks.1.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.1.blocks.1.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.1.blocks.1.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.1.blocks.1.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.1.blocks.1.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.1.leave": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.2.patches": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.enter": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.2.blocks.0.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.2.blocks.0.attention.reduce": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.norm": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=HIFI4_NO_L1_ACC,
    ),
    "stages.2.blocks.0.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.2.blocks.0.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.2.blocks.0.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.2.blocks.0.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.2.blocks.0.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            act_block_h_override=32,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.2.blocks.1.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.2.blocks.1.attention.reduce": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.norm": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=HIFI4_NO_L1_ACC,
    ),
    "stages.2.blocks.1.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.2.blocks.1.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.2.blocks.1.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.2.blocks.1.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.2.blocks.1.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            act_block_h_override=32,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.2.leave": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.3.patches": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.enter": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.3.blocks.0.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.3.blocks.0.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.3.blocks.0.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.3.blocks.0.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.3.blocks.0.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.3.blocks.0.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            act_block_h_override=32,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.3.blocks.1.norm1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.3.blocks.1.attention.query": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat16,
    ),
    "stages.3.blocks.1.attention.key": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.attention.value": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.attention.scaled_dot_product_attention": Fixed(
        placement=Placement(dtype=ttnn.bfloat8_b),
    ),
    "stages.3.blocks.1.attention.project": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.3.blocks.1.norm2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "stages.3.blocks.1.feed_forward.grow": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.feed_forward.mix": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            act_block_h_override=32,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat16,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.feed_forward.shrink": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "stages.3.leave": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
        compute_kernel_config=LOFI_NO_L1_ACC,
    ),
    "output": Fixed(method="transpose"),
    "output_2": Fixed(method="transpose"),
    "output_3": Fixed(method="transpose"),
    "output_4": Fixed(method="transpose"),
}

RESHARDS = {
    "stages.0.blocks.0.attention.reduce -> stages.0.blocks.0.attention.norm": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.norm -> stages.0.blocks.0.attention.key": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.norm -> stages.0.blocks.0.attention.value": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.query -> stages.0.blocks.0.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.key -> stages.0.blocks.0.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.value -> stages.0.blocks.0.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.attention.scaled_dot_product_attention -> stages.0.blocks.0.attention.project": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (256, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.reduce -> stages.0.blocks.1.attention.norm": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.norm -> stages.0.blocks.1.attention.key": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.norm -> stages.0.blocks.1.attention.value": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.query -> stages.0.blocks.1.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.key -> stages.0.blocks.1.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.value -> stages.0.blocks.1.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.attention.scaled_dot_product_attention -> stages.0.blocks.1.attention.project": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (256, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.leave -> stages.1.patches": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "stages.1.blocks.0.attention.reduce -> stages.1.blocks.0.attention.norm": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.norm -> stages.1.blocks.0.attention.key": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.norm -> stages.1.blocks.0.attention.value": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.query -> stages.1.blocks.0.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.key -> stages.1.blocks.0.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.value -> stages.1.blocks.0.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.attention.scaled_dot_product_attention -> stages.1.blocks.0.attention.project": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (64, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.norm2 -> stages.1.blocks.0.feed_forward.grow": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 1, 7)),
            (512, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.feed_forward.mix -> stages.1.blocks.0.feed_forward.shrink": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 1, 7)),
            (512, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.reduce -> stages.1.blocks.1.attention.norm": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.norm -> stages.1.blocks.1.attention.key": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.norm -> stages.1.blocks.1.attention.value": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 0, 7)),
            (32, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.query -> stages.1.blocks.1.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.key -> stages.1.blocks.1.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.value -> stages.1.blocks.1.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.attention.scaled_dot_product_attention -> stages.1.blocks.1.attention.project": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (64, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.norm2 -> stages.1.blocks.1.feed_forward.grow": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 1, 7)),
            (512, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.feed_forward.mix -> stages.1.blocks.1.feed_forward.shrink": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 1, 7)),
            (512, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.leave -> stages.2.patches": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "stages.2.blocks.0.attention.reduce -> stages.2.blocks.0.attention.norm": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.norm -> stages.2.blocks.0.attention.key": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 4, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.norm -> stages.2.blocks.0.attention.value": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 4, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.query -> stages.2.blocks.0.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.key -> stages.2.blocks.0.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.value -> stages.2.blocks.0.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.attention.scaled_dot_product_attention -> stages.2.blocks.0.attention.project": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.norm2 -> stages.2.blocks.0.feed_forward.grow": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.feed_forward.mix -> stages.2.blocks.0.feed_forward.shrink": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.reduce -> stages.2.blocks.1.attention.norm": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.norm -> stages.2.blocks.1.attention.key": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 4, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.norm -> stages.2.blocks.1.attention.value": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 4, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.query -> stages.2.blocks.1.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.key -> stages.2.blocks.1.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.value -> stages.2.blocks.1.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.attention.scaled_dot_product_attention -> stages.2.blocks.1.attention.project": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.norm2 -> stages.2.blocks.1.feed_forward.grow": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.feed_forward.mix -> stages.2.blocks.1.feed_forward.shrink": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.leave -> stages.3.patches": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "stages.3.blocks.0.norm1 -> stages.3.blocks.0.attention.key": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.norm1 -> stages.3.blocks.0.attention.value": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.attention.query -> stages.3.blocks.0.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.attention.key -> stages.3.blocks.0.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.attention.value -> stages.3.blocks.0.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.attention.scaled_dot_product_attention -> stages.3.blocks.0.attention.project": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.norm2 -> stages.3.blocks.0.feed_forward.grow": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.norm1 -> stages.3.blocks.1.attention.key": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.norm1 -> stages.3.blocks.1.attention.value": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.attention.query -> stages.3.blocks.1.attention.scaled_dot_product_attention": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.attention.key -> stages.3.blocks.1.attention.scaled_dot_product_attention#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.attention.value -> stages.3.blocks.1.attention.scaled_dot_product_attention#2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.attention.scaled_dot_product_attention -> stages.3.blocks.1.attention.project": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.norm2 -> stages.3.blocks.1.feed_forward.grow": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
        dtype=ttnn.bfloat8_b,
    ),
}

MOVES = {
    "stages.0.patches -> stages.0.patches": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.norm1 -> stages.0.blocks.0.norm1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (256, 32),
        ),
    ),
    "stages.0.blocks.0.attention.project -> stages.0.blocks.0.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.0.feed_forward.shrink -> stages.0.blocks.0.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.norm1 -> stages.0.blocks.1.norm1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (256, 32),
        ),
    ),
    "stages.0.blocks.1.attention.project -> stages.0.blocks.1.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.0.blocks.1.feed_forward.shrink -> stages.0.blocks.1.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.patches -> stages.1.patches": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.norm1 -> stages.1.blocks.0.norm1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (64, 64),
        ),
    ),
    "stages.1.blocks.0.attention.project -> stages.1.blocks.0.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.0.feed_forward.shrink -> stages.1.blocks.0.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.norm1 -> stages.1.blocks.1.norm1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (64, 64),
        ),
    ),
    "stages.1.blocks.1.attention.project -> stages.1.blocks.1.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.1.blocks.1.feed_forward.shrink -> stages.1.blocks.1.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.patches -> stages.2.patches": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.norm1 -> stages.2.blocks.0.norm1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 32),
        ),
    ),
    "stages.2.blocks.0.attention.project -> stages.2.blocks.0.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.0.feed_forward.shrink -> stages.2.blocks.0.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.norm1 -> stages.2.blocks.1.norm1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 4, 7)),
            (128, 32),
        ),
    ),
    "stages.2.blocks.1.attention.project -> stages.2.blocks.1.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.2.blocks.1.feed_forward.shrink -> stages.2.blocks.1.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.patches -> stages.3.patches": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.norm1 -> stages.3.blocks.0.norm1": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
    ),
    "stages.3.blocks.0.attention.project -> stages.3.blocks.0.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.0.feed_forward.shrink -> stages.3.blocks.0.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.norm1 -> stages.3.blocks.1.norm1": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 7, 7)), (32, 32)),
    ),
    "stages.3.blocks.1.attention.project -> stages.3.blocks.1.attention.project": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "stages.3.blocks.1.feed_forward.shrink -> stages.3.blocks.1.feed_forward.shrink": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
}
