"""Schedule of resnet50 on p150, for ttnn 0.81.1.

network:    resnet50, signature 34ce3bce6f9e28b9, batch 32
board:      p150 of 11x10 cores, ttnn 0.81.1
opened by:  ttnn.open_device(device_id=0, l1_small_size=32768)
latency:    2519.3 us (estimated)
verified:   not executed
found by:   autosched, study hand-tuned, after the public tt-metal model
cost model: blackhole-6-5e5e4f

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
    "network": "resnet50",
    "network_signature": "34ce3bce6f9e28b9",
    "board": "p150",
    "ttnn_version": "0.81.1",
    "batch": 32,
    "grid": [11, 10],
    "study": "hand-tuned, after the public tt-metal model",
    "latency_us": 2519.3,
    "latency_kind": "estimated",
    "cost_model": "blackhole-6-5e5e4f",
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

LAYERS = {
    "x": Fixed(
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (16384, 8),
            ),
            layout=ttnn.ROW_MAJOR_LAYOUT,
        ),
        method="convert_to_hwc",
    ),
    "conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=1024,
            enable_act_double_buffer=True,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "maxpool": Pool(output_layout=ttnn.ROW_MAJOR_LAYOUT),
    "layer1.0.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.0.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            enable_activation_reuse=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.0.conv3": Conv2d(
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
    "layer1.0.downsample.0": Conv2d(
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
    "layer1.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 8), (0, 9, 9, 9)),
                (928, 256),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer1.1.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.1.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=32,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.1.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 8), (0, 9, 9, 9)),
                (928, 256),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer1.2.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.2.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=32,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.2.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.2.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 8), (0, 9, 9, 9)),
                (928, 256),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer2.0.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.0.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            act_block_h_override=32,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.0.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.0.downsample.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (256, 512),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer2.1.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.1.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.1.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (256, 512),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer2.2.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.2.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.2.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.2.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (256, 512),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer2.3.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.3.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.3.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer2.3.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (256, 512),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer3.0.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            reallocate_halo_output=False,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.0.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.0.conv3": Conv2d(
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
    "layer3.0.downsample.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            shard_layout=ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
            reshard_if_not_optimal=True,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (64, 1024),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer3.1.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.1.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.1.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (64, 1024),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer3.2.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.2.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.2.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.2.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (64, 1024),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer3.3.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.3.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.3.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.3.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (64, 1024),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer3.4.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.4.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.4.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.4.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (64, 1024),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer3.5.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.5.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.5.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.5.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
                cores((0, 0, 10, 7), (0, 8, 9, 8)),
                (64, 1024),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer4.0.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.0.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.0.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.0.downsample.0": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.0.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 7, 9)),
                (160, 256),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer4.1.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.1.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.1.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.1.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 7, 9)),
                (160, 256),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "layer4.2.conv1": Conv2d(
        conv_config=ttnn.Conv2dConfig(reallocate_halo_output=False, weights_dtype=ttnn.bfloat8_b),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.2.conv2": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
            full_inner_dim=True,
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.2.conv3": Conv2d(
        conv_config=ttnn.Conv2dConfig(
            reallocate_halo_output=False,
            deallocate_activation=True,
            weights_dtype=ttnn.bfloat8_b,
        ),
        compute_config=LOFI,
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.2.add": Eltwise(
        dtype=ttnn.bfloat8_b,
        placement=Placement(
            memory_config=sharded(
                ttnn.TensorMemoryLayout.BLOCK_SHARDED,
                cores((0, 0, 7, 9)),
                (160, 256),
            ),
            dtype=ttnn.bfloat8_b,
        ),
    ),
    "avgpool": Pool(dtype=ttnn.bfloat8_b),
    "flatten": Fixed(placement=Placement(dtype=ttnn.bfloat8_b)),
    "fc": Matmul(
        weights_dtype=ttnn.bfloat8_b,
        compute_kernel_config=LOFI,
        dtype=ttnn.bfloat16,
        memory_config=ttnn.L1_WIDTH_SHARDED_MEMORY_CONFIG,
    ),
    "output": Fixed(placement=Placement(dtype=ttnn.bfloat8_b)),
}

RESHARDS = {
    "layer2.0.downsample.0 -> layer2.0.add#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 10, 7), (0, 8, 9, 8)),
            (256, 512),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.0.downsample.0 -> layer3.0.add#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 10, 7), (0, 8, 9, 8)),
            (64, 1024),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.0.downsample.0 -> layer4.0.add#1": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 7, 9)),
            (160, 256),
        ),
        dtype=ttnn.bfloat8_b,
    ),
}

MOVES = {
    "layer1.0.add -> layer1.0.add": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 10, 8), (0, 9, 9, 9)),
            (928, 256),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.1.add -> layer1.1.add": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 10, 8), (0, 9, 9, 9)),
            (928, 256),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "layer1.2.add -> layer1.2.add": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
            cores((0, 0, 10, 8), (0, 9, 9, 9)),
            (928, 256),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "layer3.5.add -> layer3.5.add": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.BLOCK_SHARDED,
            cores((0, 0, 7, 9)),
            (640, 128),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "layer4.2.add -> layer4.2.add": Placement(
        memory_config=sharded(
            ttnn.TensorMemoryLayout.WIDTH_SHARDED,
            cores((0, 0, 7, 7)),
            (1568, 32),
        ),
        dtype=ttnn.bfloat8_b,
    ),
    "flatten -> flatten": Placement(
        memory_config=sharded(ttnn.TensorMemoryLayout.WIDTH_SHARDED, cores((0, 0, 7, 3)), (32, 64)),
        dtype=ttnn.bfloat8_b,
    ),
}
