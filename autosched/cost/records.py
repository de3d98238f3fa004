"""Typed features of device ops: what their time depends on, and nothing else.

A captured op of the mock device and a row of a profile of the same op give equal records. Tiles
are 32x32 elements; quantities "per core" are those of the most loaded core.
"""

from dataclasses import dataclass
from enum import Enum

from autosched.schedule import DataType, Fidelity, Memory, PageLayout, ShardLayout


class Place(str, Enum):
    """How far a core's data are: its own shard, other cores' L1, or DRAM."""

    SHARD = "shard"
    L1 = "l1"
    DRAM = "dram"


@dataclass(frozen=True)
class Traffic:
    """What one core reads or writes of one tensor.

    ``pages`` is the number of transfers per core (tiles, or sticks of a row-major tensor), and
    ``page_bytes`` the size of each; ``total_bytes`` is the whole tensor's.
    """

    place: Place
    page: PageLayout
    pages: float
    page_bytes: int
    total_bytes: int

    @property
    def core_bytes(self) -> float:
        """Bytes one core moves."""
        return self.pages * self.page_bytes


@dataclass(frozen=True)
class Conv2dOp:
    """One convolution kernel (``Conv2dDeviceOperation``, formerly ``OptimizedConvNew``).

    Block and output sizes are in tiles, ``out_tiles_*`` per core. ``stick_channels`` is the number
    of channels a core holds of each input position, alignment included.
    """

    layout: ShardLayout
    batch: int
    input_hw: tuple[int, int]
    window_hw: tuple[int, int]
    stride_hw: tuple[int, int]
    dilation_hw: tuple[int, int]
    groups: int
    in_channels: int
    out_channels: int
    stick_channels: int
    cores: int
    cores_nhw: int
    cores_c: int
    out_tiles_h: int
    out_tiles_w: int
    act_block_h: int
    act_block_w: int
    subblock_h: int
    subblock_w: int
    fidelity: Fidelity
    fp32_dest_acc: bool
    packer_l1_acc: bool
    act_double_buffer: bool
    weights_double_buffer: bool
    activation_reuse: bool
    split_reader: bool | None
    has_bias: bool
    has_activation: bool
    untilize_out: bool
    input_dtype: DataType
    weights_dtype: DataType
    output_dtype: DataType
    legacy: bool


@dataclass(frozen=True)
class HaloOp:
    """Gathering the rows that a sliding window reaches over shard borders.

    ``in_sticks``, ``out_sticks`` and ``border_sticks`` (those not found in the core's own shard,
    padding included) are per core, as is ``window_rows``, the input rows they come from;
    ``tile_rows`` and ``tile_columns`` of the shard matter where the input is tiled and is
    untilized on the way. ``legacy`` kernels (up to 2025-02) send border sticks one by one.
    """

    layout: ShardLayout
    cores: int
    in_sticks: int
    out_sticks: int
    border_sticks: int
    window_rows: int
    stick_bytes: int
    from_tiles: bool
    tile_rows: int
    tile_columns: int
    input_dtype: DataType
    legacy: bool


class MatmulKind(str, Enum):
    """Which operand is sent from one core to the others."""

    MCAST_IN0 = "mcast_in0"
    MCAST_IN1 = "mcast_in1"
    MCAST_2D = "mcast_2d"
    REUSE = "reuse"


@dataclass(frozen=True)
class MatmulOp:
    """One matrix multiplication, M x K by K x N, sizes in tiles; ``core_*`` per core.

    ``k_blocks`` is the number of blocks the inner dimension is accumulated in, ``core_batches``
    that of independent multiplications a core does one after the other, ``out_blocks`` the number
    of blocks of rows a core's output is computed in: the second operand is read for each.
    """

    kind: MatmulKind
    cores: int
    core_batches: int
    m_tiles: int
    k_tiles: int
    n_tiles: int
    k_blocks: int
    core_m: int
    core_n: int
    subblock_h: int
    subblock_w: int
    fidelity: Fidelity
    fp32_dest_acc: bool
    packer_l1_acc: bool
    has_bias: bool
    in0_place: Place
    in1_place: Place
    out_place: Place
    in0_dtype: DataType
    in1_dtype: DataType
    out_dtype: DataType
    out_blocks: int = 1


@dataclass(frozen=True)
class MovementOp:
    """An op that moves a tensor, and perhaps converts its format on the way."""

    cores: int
    source: Traffic
    target: Traffic
    converts: bool


class ReshardOp(MovementOp):
    """From one sharding to another."""


class InterleavedToShardedOp(MovementOp):
    """From pages over all banks to one shard a core (partial and padded slices too)."""


class ShardedToInterleavedOp(MovementOp):
    """From one shard a core to pages over all banks (partial and slice writes too)."""


class PaddedSliceOp(MovementOp):
    """A slice of a DRAM tensor brought into shards of sticks, as sliced convolutions take it."""


class SliceWriteOp(MovementOp):
    """Shards written into their place of a larger DRAM tensor."""


class MoveOp(MovementOp):
    """A copy to another address, within L1 or DRAM."""


class CopyOp(MovementOp):
    """A copy or type cast."""


class TilizeOp(MovementOp):
    """Row-major to tiles."""


@dataclass(frozen=True)
class TilizePaddedOp(TilizeOp):
    """Row-major to tiles with padding, which a core writes word by word (``pad_bytes``)."""

    pad_bytes: float = 0.0


class UntilizeOp(MovementOp):
    """Tiles to row-major."""


class UntilizeCutOp(UntilizeOp):
    """Tiles to row-major without the padding, stick by stick."""


class Swap(str, Enum):
    """What a transpose takes apart: nothing smaller than tiles, tiles in place, or their rows."""

    TILES = "tiles"
    WITHIN = "within"
    ROWS = "rows"


@dataclass(frozen=True)
class TransposeOp(MovementOp):
    """Transpose and permute."""

    swap: Swap = Swap.ROWS


class ChannelsLastOp(MovementOp):
    """Between channel-first and channel-last shards, stick by stick."""


@dataclass(frozen=True)
class ReshapeOp(MovementOp):
    """A reshape that moves data.

    Of tiled tensors a core copies ``rows`` of 32 elements one by one, out of ``fetches`` tiles;
    row-major sticks that end between aligned addresses (``unaligned``) are copied by the byte.
    """

    rows: float = 0.0
    fetches: float = 0.0
    unaligned: bool = False


class SliceOp(MovementOp):
    """Slice, split, pad and fill."""


class ConcatOp(MovementOp):
    """Concatenation; ``source`` sums up all inputs."""


class UpsampleOp(MovementOp):
    """Nearest or bilinear upsampling."""


@dataclass(frozen=True)
class SoftmaxOp(MovementOp):
    """Softmax over rows; ``masked`` where rows end within a tile."""

    masked: bool = False


class ReduceOp(MovementOp):
    """Sum or mean over rows, columns or both."""


class NormOp(MovementOp):
    """Layer or batch normalisation."""


class GroupNormOp(MovementOp):
    """Group normalisation, which passes over its data several times for every group."""


class GenericOp(MovementOp):
    """An op without formulas of its own: estimated from its bytes, conservatively."""


@dataclass(frozen=True)
class PoolOp:
    """Max or average pooling over a sliding window, sticks per core."""

    layout: ShardLayout
    cores: int
    kind: str
    window_hw: tuple[int, int]
    stride_hw: tuple[int, int]
    out_sticks: int
    stick_bytes: int
    channels: int
    tiled_output: bool
    with_indices: bool = False


class FunctionCost(str, Enum):
    """How long the vector engine works on a tile: comparing, iterating, or by polynomials."""

    CHEAP = "cheap"
    COSTLY = "costly"
    DEAREST = "dearest"


@dataclass(frozen=True)
class UnaryOp:
    """An elementwise function of one tensor; ``cost`` is the class of its function."""

    function: str
    cost: FunctionCost
    cores: int
    tiles: int
    source: Traffic
    target: Traffic
    dtype: DataType


@dataclass(frozen=True)
class BinaryOp:
    """An elementwise function of two tensors, or of one and a scalar.

    ``uneven`` says that the shards do not cut the tensor into equal parts, or that a sharded op has
    an interleaved operand: ttnn then leaves the fast path that works in place. ``fills`` is how
    often a core spreads a broadcast row, column or element over a tile. ``legacy`` kernels (up to
    2025-02, ``BinaryDeviceOperation``) wait for every tile.
    """

    function: str
    broadcast: str
    cores: int
    tiles: int
    sources: tuple[Traffic, ...]
    target: Traffic
    uneven: bool
    fills: float = 0.0
    legacy: bool = False


@dataclass(frozen=True)
class TransferOp:
    """A tensor on its way between device and host, over a link of ``bytes_per_ns``."""

    total_bytes: int
    bytes_per_ns: float


Record = Conv2dOp | HaloOp | MatmulOp | MovementOp | PoolOp | UnaryOp | BinaryOp | TransferOp

ELEMENT_BYTES = {
    DataType.FLOAT32: 4,
    DataType.UINT32: 4,
    DataType.INT32: 4,
    DataType.BFLOAT16: 2,
    DataType.UINT16: 2,
    DataType.BFLOAT8_B: 2,
    DataType.BFLOAT4_B: 2,
}
"""Bytes of one element of a row-major page; block-float tensors are only row-major as bfloat16."""

MEMORY_PLACE = {Memory.DRAM: Place.DRAM, Memory.L1: Place.L1}
