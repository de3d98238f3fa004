"""Schedule of mobilenet_v2 on n150, for ttnn 0.81.1.

network:    mobilenet_v2, signature f85a0795e071af4a, batch 10
board:      n150 of 8x8 cores, ttnn 0.81.1
opened by:  ttnn.open_device(device_id=0, l1_small_size=32768)
latency:    2537.0 us (estimated)
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
    "network": "mobilenet_v2",
    "network_signature": "f85a0795e071af4a",
    "board": "n150",
    "ttnn_version": "0.81.1",
    "batch": 10,
    "grid": [8, 8],
    "study": "hand-tuned, after the public tt-metal model",
    "latency_us": 2537.0,
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


LOFI_EXACT = ttnn.WormholeComputeKernelConfig(
    math_fidelity=ttnn.MathFidelity.LoFi,
    math_approx_mode=False,
    packer_l1_acc=True,
)
LOFI = ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.LoFi, packer_l1_acc=True)

LAYERS = {
    "x": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (7840, 8),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        method="convert_to_hwc",
    ),
    "features.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.1.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.1.conv.1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.2.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.2.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.2.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.3.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.3.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            act_block_h_override=256,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.3.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.3.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 6), (0, 7, 5, 7)),
                (512, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.4.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.4.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.4.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.5.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.5.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.5.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.5.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 6), (0, 7, 5, 7)),
                (128, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.6.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.6.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.6.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.6.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 6), (0, 7, 5, 7)),
                (128, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.7.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.7.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.7.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.8.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.8.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.8.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.8.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 1, 7)),
                (256, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.9.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.9.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.9.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.9.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 1, 7)),
                (256, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.10.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.10.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.10.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.10.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 1, 7)),
                (256, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.11.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.11.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.11.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.12.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.12.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.12.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.12.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 6), (0, 7, 5, 7)),
                (32, 96),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.13.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.13.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.13.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.13.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 6), (0, 7, 5, 7)),
                (32, 96),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.14.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.14.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.14.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.15.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.15.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.15.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.15.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 4, 7)),
                (64, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.16.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.16.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.16.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.16.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 4, 7)),
                (64, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "features.17.conv.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.17.conv.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.17.conv.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "features.18.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT,
        dtype=ttnn.bfloat8_b,
    ),
    "adaptive_avg_pool2d": Pool(dtype=ttnn.bfloat8_b),
    "flatten": Fixed(placement=Placement(dtype=ttnn.bfloat8_b)),
    "classifier.1": Matmul(
        weights_dtype=ttnn.bfloat8_b,
        compute_kernel_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "output": Fixed(placement=Placement(dtype=ttnn.bfloat8_b)),
}

RESHARDS = {
    "features.14.conv.2 -> features.15.add": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.BLOCK_SHARDED, cores((0, 0, 4, 7)), (64, 32)),
        dtype=ttnn.bfloat8_b,
    ),
}

MOVES = {
    "features.18.0 -> features.18.0": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.WIDTH_SHARDED,
            cores((0, 0, 7, 4)),
            (512, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
}
