"""How tensors lie: memory, sharding, pages and formats; and the edges between layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from autosched.errors import ScheduleError


class TextEnum(str, Enum):
    """What ``enum.StrEnum`` is, which Python 3.10 lacks."""

    __str__ = str.__str__


class Memory(TextEnum):
    """Where a tensor's pages live."""

    DRAM = "dram"
    L1 = "l1"


class ShardLayout(TextEnum):
    """How a tensor is spread over cores (``ttnn.TensorMemoryLayout``)."""

    INTERLEAVED = "interleaved"
    HEIGHT = "height"
    WIDTH = "width"
    BLOCK = "block"


class PageLayout(TextEnum):
    """How a tensor's elements are ordered in a page (``ttnn.Layout``)."""

    TILE = "tile"
    ROW_MAJOR = "row_major"


class DataType(TextEnum):
    """Element formats (``ttnn.DataType``)."""

    BFLOAT16 = "bfloat16"
    BFLOAT8_B = "bfloat8_b"
    BFLOAT4_B = "bfloat4_b"
    FLOAT32 = "float32"
    UINT16 = "uint16"
    UINT32 = "uint32"
    INT32 = "int32"


@dataclass(frozen=True, order=True)
class CoreRange:
    """A rectangle of cores, both corners included, in logical coordinates."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def cores(self) -> int:
        """Number of cores in the rectangle."""
        return (self.x1 - self.x0 + 1) * (self.y1 - self.y0 + 1)

    def __str__(self) -> str:
        return f"({self.x0},{self.y0})-({self.x1},{self.y1})"


# Bytes of one 32x32 tile; block-float formats add one shared exponent byte per 16 elements.
TILE_BYTES: Mapping[DataType, int] = {
    DataType.FLOAT32: 4096,
    DataType.UINT32: 4096,
    DataType.INT32: 4096,
    DataType.BFLOAT16: 2048,
    DataType.UINT16: 2048,
    DataType.BFLOAT8_B: 1088,
    DataType.BFLOAT4_B: 576,
}
TILE = 32
STICK = 8
"""Channels of bfloat16 that the network-on-chip takes at once; rows are filled up to them."""


@dataclass(frozen=True)
class TensorLayout:
    """Everything about where and how a tensor lies, apart from its logical shape.

    ``grid`` and ``shard_shape`` (rows, columns in elements) are set for sharded layouts only.
    """

    memory: Memory = Memory.DRAM
    sharding: ShardLayout = ShardLayout.INTERLEAVED
    dtype: DataType = DataType.BFLOAT16
    page: PageLayout = PageLayout.TILE
    grid: tuple[CoreRange, ...] = ()
    shard_shape: tuple[int, int] | None = None
    transposed: bool = False

    @property
    def is_sharded(self) -> bool:
        """Whether each core holds one shard."""
        return self.sharding is not ShardLayout.INTERLEAVED

    @property
    def cores(self) -> int:
        """Number of cores that hold a shard; 0 for interleaved tensors."""
        return sum(part.cores for part in self.grid)

    def fills_rows(self, channels: int) -> bool:
        """Whether shards hold rows of pixels with more than a tensor's channels, up to a tile."""
        if self.page is not PageLayout.ROW_MAJOR or self.shard_shape is None:
            return False
        return self.shard_shape[1] >= channels + STICK

    @property
    def shard_bytes(self) -> int:
        """L1 bytes per core of a sharded L1 tensor; 0 for anything else."""
        if self.memory is not Memory.L1 or self.shard_shape is None:
            return 0
        rows, columns = self.shard_shape
        if self.page is PageLayout.ROW_MAJOR:
            return rows * columns * TILE_BYTES[self.dtype] // (TILE * TILE)
        return -(-rows // TILE) * -(-columns // TILE) * TILE_BYTES[self.dtype]

    def __str__(self) -> str:
        place = f"{self.memory.value.upper()} {self.sharding.value}"
        if self.shard_shape is None:
            return f"{place} {self.dtype} {self.page}"
        rows, columns = self.shard_shape
        return f"{place} {self.cores} cores of {rows}x{columns} {self.dtype} {self.page}"


DRAM_TILE = TensorLayout()
"""bfloat16 tiles interleaved in DRAM: the layout every ttnn op accepts."""


@dataclass(frozen=True)
class Edge:
    """The use of ``producer``'s output as input number ``index`` of ``consumer``."""

    producer: str
    consumer: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.producer} -> {self.consumer}" + (f"#{self.index}" if self.index else "")

    @classmethod
    def parse(cls, text: str) -> "Edge":
        """Read back what ``str`` wrote.

        Raises:
            ScheduleError: if it is not of the form "producer -> consumer" or "... -> consumer#1".
        """
        producer, arrow, rest = text.partition(" -> ")
        consumer, _, index = rest.partition("#")
        if not arrow or not (index or "0").isdecimal():
            raise ScheduleError(f"{text!r} is not an edge such as 'conv1 -> add#1'")
        return cls(producer, consumer, int(index or 0))


_MOVE = " (move)"


def move_label(edge: Edge) -> str:
    """Return what device ops of a move carry as their layer: ``conv1 -> add (move)``."""
    return f"{edge}{_MOVE}"


def labelled_edge(label: str) -> Edge:
    """Return the edge of a reshard's or move's label.

    Raises:
        ScheduleError: if it is not a label of an edge.
    """
    return Edge.parse(label.removesuffix(_MOVE))


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a device op: its logical shape and layout."""

    shape: tuple[int, ...]
    layout: TensorLayout
