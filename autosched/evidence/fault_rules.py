"""The rules by which known faults of ttnn are told: what it made of a candidate decides.

A rule looks at a candidate's device ops, with the layouts that each has. Boundaries were searched
on Tenstorrent's functional simulator; where one is not sharp, the rule is the wider one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autosched.network.operators import (
    Binary,
    Concat,
    Conv2d,
    Convolution,
    ConvTranspose2d,
    LayerOp,
    Pool2d,
    Upsample,
)
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, MatmulConfig
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, DataType, Memory, PageLayout, ShardLayout, TensorLayout

_CONVOLUTION, _POOL, _CONCAT = "Conv2dDeviceOperation", "Pool2D", "ConcatDeviceOperation"
_UPSAMPLE, _SLICE = "UpsampleOperation", "PaddedSliceDeviceOperation"
_WRITTEN, _PRODUCT = "SliceWriteDeviceOperation", "MatmulDeviceOperation"
_FLOAT_SUMS, _PACKED_SUMS = "fp32_dest_acc_en=1", "packer_l1_acc=1"
_REUSED_WIDTH = 20
_SHARED_EXPONENT = 16
_CORNERS = re.compile(r"Shape\(\[([\d, ]+)\]\)")


@dataclass(frozen=True)
class Executable:
    """A candidate as ttnn would run it: shapes are PyTorch's, ``ops`` are those of its probe."""

    op: LayerOp
    input_shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    config: LayerConfig
    ops: Sequence[DeviceOp]

    def ops_of(self, code: str) -> list[DeviceOp]:
        """Return the device ops of one kind."""
        return [op for op in self.ops if op.code == code]


def _columns(layout: TensorLayout) -> int:
    """Return into how many shards the channels of block shards are cut, 0 for other layouts."""
    if layout.sharding is not ShardLayout.BLOCK or not layout.grid:
        return 0
    part = layout.grid[0]
    return part.y1 - part.y0 + 1 if layout.transposed else part.x1 - part.x0 + 1


def transposed_full_inner_dim(candidate: Executable) -> bool:
    """Whether it is a transposed convolution with the full inner dimension on BLOCK shards.

    One row of the kernel is right.
    """
    op, config = candidate.op, candidate.config
    return (
        isinstance(op, ConvTranspose2d)
        and isinstance(config, Conv2dConfig)
        and config.full_inner_dim
        and op.kernel[0] > 1
        and any(_columns(step.outputs[0].layout) for step in candidate.ops_of(_CONVOLUTION))
    )


def few_inner_blocks(candidate: Executable) -> bool:
    """Whether BLOCK shards of several columns are written out by the last inner block alone.

    Sums of one inner block with a bias, and of two without, are packed in place: wrong where they
    have another format than the output.
    """
    op, config = candidate.op, candidate.config
    if not isinstance(op, Convolution) or not isinstance(config, Conv2dConfig):
        return False
    wrong = 1 if op.has_bias else 2
    return config.compute.packer_l1_acc and any(
        _columns(step.outputs[0].layout) > 1
        and (step.outputs[0].layout.dtype is DataType.BFLOAT8_B or config.compute.fp32_dest_acc_en)
        and _inner_blocks(op, config, step) == wrong
        for step in candidate.ops_of(_CONVOLUTION)
    )


def float_sums_read_again(candidate: Executable) -> bool:
    """Whether a matrix product reads float32 sums again, to add those of its next inner block.

    It does not where the packer adds them up and a bias comes last.
    """
    return any(
        _FLOAT_SUMS in step.attributes
        and not (len(step.inputs) > 2 and _PACKED_SUMS in step.attributes)
        and _inner_tiles(step) > _block_of_inner_tiles(candidate.config, step)
        for step in candidate.ops_of(_PRODUCT)
    )


def _inner_tiles(step: DeviceOp) -> int:
    return -(-step.inputs[0].shape[-1] // TILE)


def _block_of_inner_tiles(config: LayerConfig, step: DeviceOp) -> int:
    """Return how many tiles of the inner dimension a product takes at once, at least.

    A convolution's takes what a core has of it. Of a linear layer ttnn's own program may take less.
    """
    if isinstance(config, MatmulConfig):
        return 1 if config.program is None else config.program.in0_block_w
    return _tiles_wide(step.inputs[0].layout) or 1


def _inner_blocks(op: Convolution, config: Conv2dConfig, step: DeviceOp) -> int:
    columns = _columns(step.inputs[0].layout)
    return columns if config.full_inner_dim else columns * op.kernel[0]


def wide_concat(candidate: Executable) -> bool:
    """Whether two tensors of 9 to 16 tiles in HEIGHT shards of bfloat8_b are put together."""
    if not isinstance(candidate.op, Concat) or len(candidate.input_shapes) != 2:
        return False
    for step in candidate.ops_of(_CONCAT):
        layouts = [info.layout for info in (*step.inputs, *step.outputs)]
        if all(_is_height_of_block_floats(layout) for layout in layouts):
            return any(9 <= _tiles_wide(layout) <= 16 for layout in layouts)
    return False


def _is_height_of_block_floats(layout: TensorLayout) -> bool:
    return (
        layout.sharding is ShardLayout.HEIGHT
        and layout.memory is Memory.L1
        and layout.page is PageLayout.TILE
        and layout.dtype is DataType.BFLOAT8_B
    )


def _tiles_wide(layout: TensorLayout) -> int:
    return 0 if layout.shard_shape is None else -(-layout.shard_shape[1] // TILE)


def whole_height_slices(candidate: Executable) -> bool:
    """Whether a slice takes every row of an image whose rows do not end with a tile."""
    if not isinstance(candidate.op, Convolution):
        return False
    slices = list(_slices(candidate.ops))
    height, width = candidate.input_shapes[0][2:]
    ragged = bool(width % TILE or candidate.shape[3] % TILE)
    whole = any(start == 0 and stop >= height for start, stop in slices)
    return ragged and len(slices) > 1 and whole and _is_cut_along_height(candidate)


def _is_cut_along_height(candidate: Executable) -> bool:
    """Whether the parts of the output begin in different rows."""
    firsts = {
        tuple(map(int, found[0].split(",")))[1]
        for op in candidate.ops_of(_WRITTEN)
        if (found := _CORNERS.findall(op.attributes))
    }
    return len(firsts) > 1


def _slices(ops: Iterable[DeviceOp]) -> Iterator[tuple[int, int]]:
    """Yield the first row of each slice of an image and the one after its last."""
    for op in ops:
        found = _CORNERS.findall(op.attributes) if op.code == _SLICE else []
        if len(found) >= 2:
            start, stop = ([int(part) for part in corner.split(",")] for corner in found[:2])
            yield start[1], stop[1]


def pool_height_slices(candidate: Executable) -> bool:
    """Whether height slices of a pool leave tiles of a ragged width.

    Rows are right, and so is a padding of less than a stride.
    """
    op = candidate.op
    if not isinstance(op, Pool2d) or op.padding[2] < op.stride[1]:
        return False
    pools = candidate.ops_of(_POOL)
    return (
        len(pools) > 1
        and bool(candidate.shape[3] % TILE)
        and pools[0].outputs[0].layout.page is PageLayout.TILE
        and _is_cut_along_height(candidate)
    )


def upsampled_wide_shards(candidate: Executable) -> bool:
    """Whether shards wider than the channels are cut before, which moves rows between cores."""
    op = candidate.op
    if not isinstance(op, Upsample) or op.mode != "nearest":
        return False
    channels = candidate.input_shapes[0][1]
    return bool(candidate.ops_of(_UPSAMPLE)) and any(
        _columns(info.layout) == 1
        and info.layout.shard_shape is not None
        and info.layout.shard_shape[1] > channels
        for step in candidate.ops
        for info in step.inputs
    )


def upsampled_by_columns(candidate: Executable) -> bool:
    """Whether BLOCK shards that go down the columns of cores are enlarged pixel by pixel.

    As many shards across as down, all of them full, are right.
    """
    op = candidate.op
    if not isinstance(op, Upsample) or op.mode != "nearest":
        return False
    batch, _, height, width = candidate.input_shapes[0]
    return any(
        layout.transposed
        and layout.shard_shape is not None
        and batch * height * width != _columns(layout) * layout.shard_shape[0]
        for layout in (step.inputs[0].layout for step in candidate.ops_of(_UPSAMPLE))
    )


def reshaped_padding(candidate: Executable) -> bool:
    """Whether ttnn reshapes tiles before a convolution whose channels share exponents with padding.

    What a reshape leaves in the channels that fill up a tile is anything; with bfloat16 output it
    meets zero weights.
    """
    op = candidate.op
    return (
        isinstance(op, Convolution)
        and bool(op.in_channels % _SHARED_EXPONENT)
        and any(
            step.outputs[0].layout.page is PageLayout.TILE
            for step in candidate.ops_of("ReshapeViewDeviceOperation")
        )
        and any(
            step.outputs[0].layout.dtype is DataType.BFLOAT8_B
            and step.inputs[0].layout.page is PageLayout.ROW_MAJOR
            for step in candidate.ops_of(_CONVOLUTION)
        )
    )


def _is_depthwise_row(candidate: Executable) -> bool:
    op = candidate.op
    return (
        isinstance(op, Conv2d)
        and op.groups == op.in_channels > 1
        and not op.has_bias
        and op.kernel[0] == 1
        and candidate.input_shapes[0][2] == 1
    )


def depthwise_row_of_blocks(candidate: Executable) -> bool:
    """Whether it is a depthwise convolution of one row without bias on BLOCK shards."""
    steps = candidate.ops_of(_CONVOLUTION)
    return _is_depthwise_row(candidate) and any(_columns(s.outputs[0].layout) for s in steps)


def depthwise_row_of_tables(candidate: Executable) -> bool:
    """Whether it is a depthwise convolution of one row without bias, its tables in DRAM."""
    config = candidate.config
    return (
        _is_depthwise_row(candidate)
        and isinstance(config, Conv2dConfig)
        and config.config_tensors_in_dram
    )


def scale_of_a_row(candidate: Executable) -> bool:
    """Whether channels of an image of one row or column are scaled without a bias.

    ttnn prepares the weights for its depthwise convolution of series, and then multiplies by them
    as a matrix.
    """
    op = candidate.op
    return (
        isinstance(op, Conv2d)
        and op.groups == op.in_channels == op.out_channels > 1
        and not op.has_bias
        and op.kernel == (1, 1)
        and 1 in candidate.input_shapes[0][2:]
    )


def reuse_in_parts(candidate: Executable) -> bool:
    """Whether activations are reused in ragged rows, on cores that are not full, or too few rows.

    One block a core, of whole rows of the image, is right, and so are several of two rows and more
    where every core has as many. A last core that has less hangs or computes its end wrong, blocks
    of less than two rows hang, and of images narrower than 20 some are wrong.
    """
    config = candidate.config
    if not isinstance(config, Conv2dConfig) or not config.enable_activation_reuse:
        return False
    batch, _, height, width = candidate.shape
    lies = [step.outputs[0].layout for step in candidate.ops_of(_CONVOLUTION)]
    if lies and width < _REUSED_WIDTH:
        return True
    for layout in lies:
        rows = _rows(layout)
        block = min(config.act_block_h_override or rows, rows)
        is_one = block == rows and rows % width == 0
        are_full = rows * layout.cores == batch * height * width and block >= 2 * width
        if rows and not (is_one or are_full):
            return True
    return False


def _rows(layout: TensorLayout) -> int:
    return 0 if layout.shard_shape is None else layout.shard_shape[0]


def fused_hardswish(candidate: Executable) -> bool:
    """Whether hardswish is left to a convolution or a function of two tensors.

    Only trials of former versions have that: it runs after them.
    """
    op = candidate.op
    if not isinstance(op, Convolution | Binary) or op.activation is None:
        return False
    is_apart = any(step.code.startswith("Unary") for step in candidate.ops)
    return op.activation.name == "hardswish" and bool(candidate.ops) and not is_apart
