"""Schedule of yolov8s on n150, for ttnn 0.81.1.

network:    yolov8s, signature b54f983ae81c403b, batch 1
board:      n150 of 8x8 cores, ttnn 0.81.1
opened by:  ttnn.open_device(device_id=0, l1_small_size=32768)
latency:    3938.9 us (estimated)
published:  4220 us for the model that the choices are from, on silicon
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
    "network": "yolov8s",
    "network_signature": "b54f983ae81c403b",
    "board": "n150",
    "ttnn_version": "0.81.1",
    "batch": 1,
    "grid": [8, 8],
    "study": "hand-tuned, after the public tt-metal model",
    "latency_us": 3938.9,
    "latency_kind": "estimated",
    "cost_model": "wormhole_b0-6-cdd6bc",
    "published_us": [4220.3, 4220.3],
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


class Eltwise(NamedTuple):
    """Output format of an addition, multiplication or activation, and where it runs."""

    dtype: ttnn.DataType
    placement: Placement = Placement()


class Fixed(NamedTuple):
    """A step without choices but where it leaves its output, and how it converts or computes."""

    placement: Placement = Placement()
    method: str = ""
    compute_kernel_config: ttnn.WormholeComputeKernelConfig | None = None


LOFI_EXACT_NO_L1_ACC = ttnn.WormholeComputeKernelConfig(
    math_fidelity=ttnn.MathFidelity.LoFi,
    math_approx_mode=False,
)

LAYERS = {
    "x": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (6400, 8),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        method="convert_to_hwc",
    ),
    "detect.stem.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            force_split_reader=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stem.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            force_split_reader=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stem.2.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stem.2.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.stem.2.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stem.2.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stem.2.chain.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 6), (0, 7, 5, 7)),
                (416, 32),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stem.2.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 6), (0, 7, 5, 7)),
                (416, 96),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stem.2.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.stage3.1.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.chain.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (128, 64),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stage3.1.chain.1.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.chain.1.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.chain.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (128, 64),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stage3.1.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (128, 256),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stage3.1.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.stage4.1.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.chain.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (32, 128),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stage4.1.chain.1.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.chain.1.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.chain.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (32, 128),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stage4.1.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (32, 512),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.stage4.1.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.1.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.1.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.stage5.1.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.1.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.1.chain.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.stage5.1.cat": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.stage5.1.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.2.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.2.pool": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, deallocate_input=False),
    "detect.stage5.2.pool_2": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, deallocate_input=False),
    "detect.stage5.2.pool_3": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT, deallocate_input=False),
    "detect.stage5.2.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (7, 1024),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.stage5.2.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.enlarge": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 1), (0, 2, 3, 2)),
                (80, 512),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (25, 768),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.top4.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top4.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.top4.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top4.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top4.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (32, 384),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.top4.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.enlarge_2": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 4)),
                (160, 256),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.cat_2": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (100, 384),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.top3.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top3.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.top3.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top3.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top3.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (128, 192),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "detect.top3.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.down3.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.cat_3": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (25, 384),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.out4.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out4.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.out4.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out4.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out4.cat": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 5), (0, 6, 1, 6)),
                (32, 384),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.out4.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.down4.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.cat_4": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 7, 7)),
                (7, 768),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
    ),
    "detect.out5.enter.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out5.getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.out5.chain.0.body.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out5.chain.0.body.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out5.cat": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "detect.out5.leave.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.boxes.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.boxes.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.boxes.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.classes.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.classes.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.classes.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.boxes.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.boxes.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.boxes.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.classes.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.classes.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.classes.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.boxes.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.boxes.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.boxes.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.classes.0.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.classes.1.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.classes.2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "cat": Fixed(placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b)),
    "cat_2": Fixed(placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b)),
    "cat_3": Fixed(placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b)),
    "cat.pixels0": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "cat.pixels1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "cat.pixels2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "cat_4": Fixed(placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b)),
    "getitem": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "getitem_2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "softmax.group0": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "softmax.softmax0": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "softmax.group1.order": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "softmax.softmax1": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "softmax.group2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "softmax.softmax2": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "softmax.group3.order": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "softmax.softmax3": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "softmax": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "mul.constant": Fixed(),
    "mul": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "getitem_3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "getitem_4": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "sub.constant": Fixed(),
    "sub": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "add.constant": Fixed(),
    "add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "add_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "div": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI_EXACT_NO_L1_ACC,
        dtype=ttnn.bfloat8_b,
    ),
    "sub_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "cat_5": Fixed(placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b)),
    "mul.constant_2": Fixed(),
    "mul_2": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "sigmoid": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "mul.view": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "sigmoid.view": Fixed(
        placement=Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    ),
    "output": Fixed(),
    "output_2": Fixed(),
}

RESHARDS = {
    "detect.stem.2.enter.0 -> detect.stem.2.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.enter.0 -> detect.stage3.1.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.enter.0 -> detect.stage4.1.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.1.enter.0 -> detect.stage5.1.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.1.chain.0.body.1.0 -> detect.stage5.1.chain.0.add#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.1.enter.0 -> detect.stage5.1.cat": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.2.enter.0 -> detect.stage5.2.cat": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (7, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage5.2.pool -> detect.stage5.2.cat#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (7, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage5.2.pool_2 -> detect.stage5.2.cat#2": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (7, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage5.2.pool_3 -> detect.stage5.2.cat#3": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (7, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage5.2.leave.0 -> detect.enlarge": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 1), (0, 2, 3, 2)),
            (20, 512),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.enlarge -> detect.cat": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (25, 512),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage4.1.leave.0 -> detect.cat#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (25, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.top4.enter.0 -> detect.top4.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top4.enter.0 -> detect.top4.cat": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (32, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.top4.chain.0.body.1.0 -> detect.top4.cat#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (32, 128),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.top4.leave.0 -> detect.enlarge_2": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 4)),
            (40, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.enlarge_2 -> detect.cat_2": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (100, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage3.1.leave.0 -> detect.cat_2#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (100, 128),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.top3.enter.0 -> detect.top3.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.down3.0 -> detect.cat_3": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (25, 128),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.top4.leave.0 -> detect.cat_3#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (25, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.out4.enter.0 -> detect.out4.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out4.enter.0 -> detect.out4.cat": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (32, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.out4.chain.0.body.1.0 -> detect.out4.cat#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (32, 128),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.down4.0 -> detect.cat_4": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (7, 256),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage5.2.leave.0 -> detect.cat_4#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 7)),
            (7, 512),
        ),
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.out5.enter.0 -> detect.out5.getitem": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out5.enter.0 -> detect.out5.cat": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out5.chain.0.body.1.0 -> detect.out5.cat#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "mul.constant -> mul#1": Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    "sub.constant -> sub": Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    "add.constant -> add": Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    "mul.constant_2 -> mul_2#1": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
}

MOVES = {
    "detect.stem.2.getitem -> detect.stem.2.getitem": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 6), (0, 7, 5, 7)),
            (416, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage3.1.getitem -> detect.stage3.1.getitem": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (128, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.getitem -> detect.stage4.1.getitem": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (32, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage4.1.leave.0 -> detect.stage4.1.leave.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.stage5.2.enter.0 -> detect.stage5.2.enter.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage5.2.cat -> detect.stage5.2.cat": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.stage5.2.leave.0 -> detect.stage5.2.leave.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.cat -> detect.cat": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.top4.getitem -> detect.top4.getitem": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (32, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top4.leave.0 -> detect.top4.leave.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.cat_2 -> detect.cat_2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.top3.getitem -> detect.top3.getitem": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (128, 64),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "detect.top3.leave.0 -> detect.top3.leave.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.down3.0 -> detect.down3.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.cat_3 -> detect.cat_3": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.out4.getitem -> detect.out4.getitem": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 7, 5), (0, 6, 1, 6)),
            (32, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "detect.out4.leave.0 -> detect.out4.leave.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.down4.0 -> detect.down4.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.cat_4 -> detect.cat_4": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        layout=ttnn.ROW_MAJOR_LAYOUT,
    ),
    "detect.out5.leave.0 -> detect.out5.leave.0": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.boxes.2 -> detect.heads.0.boxes.2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.0.classes.2 -> detect.heads.0.classes.2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.boxes.2 -> detect.heads.1.boxes.2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.1.classes.2 -> detect.heads.1.classes.2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.boxes.2 -> detect.heads.2.boxes.2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "detect.heads.2.classes.2 -> detect.heads.2.classes.2": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "softmax.group1.order -> softmax.group1.order": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "softmax.group3.order -> softmax.group3.order": Placement(
        memory_config=ttnn.L1_MEMORY_CONFIG,
        dtype=ttnn.bfloat8_b,
    ),
    "getitem_3 -> getitem_3": Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    "getitem_4 -> getitem_4": Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
    "div -> div": Placement(memory_config=ttnn.L1_MEMORY_CONFIG, dtype=ttnn.bfloat8_b),
}
