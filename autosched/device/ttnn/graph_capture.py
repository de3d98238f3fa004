"""What tt-metal's graph capture recorded, as :class:`~autosched.schedule.outcomes.DeviceOp` values.

A capture is a list of nodes. A program that ran on the device is a ``function_start`` whose
parameters name a program factory; the tensors it took and left, and the circular buffers it
allocated, are nodes between it and its ``function_end``.

Programs of the newer kind (matmul, pointwise, permute, reduce) have *dataflow buffers* in place of
circular buffers. They take the same L1, but only a capture without dispatch records them, and one
of those knows neither addresses nor Move ops. So each capture comes with a dry one of the same
calls, from which these buffers are taken.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from autosched.boards import Board
from autosched.schedule.outcomes import HOST_READ, DeviceOp
from autosched.schedule.serialization import from_plain, to_plain
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)

Node = Mapping[str, Any]
Buffers = Mapping[int, Sequence[Node]]
"""Parameters of the buffers of a program, by the place where it starts in its capture."""

MARK_PREFIX = "autosched:"
"""A tracked function with this prefix in its name says which layer or edge the next ops serve."""

STATED_PREFIX = "autosched-stated:"
"""One with this prefix says of the next matrix product what a capture does not print."""

FUSED_PREFIX = "autosched-fused:"
"""One with this prefix names the function that what follows computes or fuses; else none."""

_MEMORY_LAYOUT = re.compile(r"memory_layout=TensorMemoryLayout::(\w+)")
_BUFFER_TYPE = re.compile(r"buffer_type=BufferType::(\w+)")
_SHARD_SPEC = re.compile(
    r"shard_spec=ShardSpec\{grid=(?P<grid>.*?), shape=\[(?P<rows>\d+), (?P<columns>\d+)\], "
    r"orientation=ShardOrientation::(?P<orientation>\w+)"
)
_GRID_RANGE = re.compile(
    r'"start":\{"x":(\d+),"y":(\d+)\},"end":\{"x":(\d+),"y":(\d+)\}',
)
_CORE_RANGE = re.compile(r"\[(\d+)-(\d+) - (\d+)-(\d+)\]")
_STATED_OF = ("Matmul", "GroupNorm")
_FUSING = ("Conv2d", "Matmul")
_UNARY = "Unary"
_OF_TTNN = "ttnn."
_L1_BUFFER = 1  # tt_metal::BufferType::L1; 0 is DRAM, 3 is L1_SMALL
_NO_BUFFERS: Buffers = MappingProxyType({})
_NUMBER = re.compile(r"\d+")


def lacks_buffers(graph: Sequence[Node]) -> bool:
    """Return whether a program ran that recorded no circular buffers, so that a dry one may."""
    return any(
        not _circular_buffers(graph[start : _end_of(graph, start)]) for start in _programs(graph)
    )


def dataflow_buffers(graph: Sequence[Node], dry: Sequence[Node]) -> Buffers:
    """Return the dataflow buffers of each program of ``graph``, as its dry capture has them.

    Programs are matched in order by name; what the dry capture omits (Move) has none.
    """
    found: dict[int, tuple[Node, ...]] = {}
    dry_starts = list(_programs(dry))
    for start in _programs(graph):
        if not dry_starts:
            break
        if dry[dry_starts[0]]["params"]["name"] != graph[start]["params"]["name"]:
            continue
        place = dry_starts.pop(0)
        found[start] = tuple(
            node["params"]
            for node in dry[place : _end_of(dry, place)]
            if node["node_type"] == "dataflow_buffer_allocate"
        )
    return found


def _programs(graph: Sequence[Node]) -> Iterator[int]:
    """Yield the places where a program starts."""
    for position, node in enumerate(graph):
        if node["node_type"] == "function_start" and "program_factory_type" in node["params"]:
            yield position


def _circular_buffers(nodes: Iterable[Node]) -> list[Node]:
    return [node["params"] for node in nodes if node["node_type"] == "circular_buffer_allocate"]


def read_device_ops(graph: Sequence[Node], buffers: Buffers = _NO_BUFFERS) -> tuple[DeviceOp, ...]:
    """Return the device ops of a captured graph, and transfers of host layers, in their order.

    ``buffers`` are those that :func:`dataflow_buffers` found.
    """
    ops: list[DeviceOp] = []
    said, fusing_from = _Said(), 0
    for position, node in enumerate(graph):
        if node["node_type"] != "function_start":
            continue
        params = node["params"]
        name = params["name"]
        if name.startswith(FUSED_PREFIX):
            if said.function:
                ops[fusing_from:] = _fused(ops[fusing_from:], said.function)
            fusing_from = len(ops)
        said.hear(name)
        if name.startswith(TRANSFER_PREFIX):
            ops.append(read_transfer(name, said.layer))
        elif "program_factory_type" in params:
            ops.append(said.of(_read_op(graph, position, said.layer, buffers.get(position, ()))))
    return tuple(ops)


@dataclass
class _Said:
    """What the names of functions say of the ops that follow, and ops do not say themselves."""

    layer: str = ""
    stated: str = ""
    function: str = ""
    called: str = ""

    def hear(self, name: str) -> None:
        """Take note of a function that starts: a mark of ours, or one of ttnn's."""
        if name.startswith(MARK_PREFIX):
            self.layer = name[len(MARK_PREFIX) :]
        elif name.startswith(STATED_PREFIX):
            self.stated = name[len(STATED_PREFIX) :]
        elif name.startswith(FUSED_PREFIX):
            self.function = name[len(FUSED_PREFIX) :]
        elif name.startswith(_OF_TTNN):
            self.called = name[len(_OF_TTNN) :].upper()

    def of(self, op: DeviceOp) -> DeviceOp:
        """Return an op with what was said of it."""
        if self.stated and op.code.startswith(_STATED_OF):
            stated, self.stated = self.stated, ""
            return replace(op, attributes=f"{op.attributes}; {stated}")
        if op.code.startswith(_UNARY):
            function = self.function or self.called
            return replace(op, attributes=f"{op.attributes}; UnaryOpType::{function}")
        return op


def _fused(ops: Sequence[DeviceOp], function: str) -> Iterator[DeviceOp]:
    """Yield the ops of a call with what they have fused, unless ttnn ran it as an op of its own."""
    is_apart = any(op.code.startswith(_UNARY) for op in ops)
    for op in ops:
        if op.code.startswith(_FUSING) and not is_apart:
            yield replace(op, attributes=f"{op.attributes}; fused={function}")
        else:
            yield op


def _read_op(
    graph: Sequence[Node], position: int, layer: str, dataflow: Sequence[Node]
) -> DeviceOp:
    node = graph[position]
    params = node["params"]
    end = _end_of(graph, position)
    buffers = [*_circular_buffers(graph[position:end]), *dataflow]
    outputs = _tensors(graph, graph[end]["connections"])
    inputs = _tensors(graph, node["input_tensors"])
    return DeviceOp(
        code=params["name"],
        attributes=node["arguments"][0] if node["arguments"] else "",
        inputs=inputs,
        outputs=outputs,
        factory=params["program_factory_type"].rpartition("::")[2],
        cores=max((_count_cores(item["core_range_set"]) for item in buffers), default=0)
        or max((info.layout.cores for info in (*outputs, *inputs)), default=0)
        or _worker_cores(graph[position:end]),
        circular_buffer_bytes=sum(map(_own_bytes, buffers)),
        layer=layer,
    )


def _own_bytes(buffer: Node) -> int:
    """Return what a circular or dataflow buffer takes of L1 beyond the tensor it may lie over."""
    over_tensor = buffer.get("globally_allocated", buffer.get("borrows_memory"))
    return int(buffer["size"]) if over_tensor == "0" else 0


def _end_of(graph: Sequence[Node], position: int) -> int:
    """Return the place of the ``function_end`` that belongs to the start at ``position``."""
    start = graph[position]
    for place in range(position + 1, len(graph)):
        node = graph[place]
        if (
            node["node_type"] == "function_end"
            and node["stacking_level"] == start["stacking_level"]
            and node["params"]["name"] == start["params"]["name"]
        ):
            return place
    return position


def _worker_cores(nodes: Sequence[Node]) -> int:
    """Return the cores a program may use, for ops whose capture names no cores of their own."""
    ranges = (
        item["params"]["worker_core_ranges"]
        for item in nodes
        if item["node_type"] == "program_execution"
    )
    return max((_count_worker_cores(text) for text in ranges), default=0)


def _tensors(graph: Sequence[Node], counters: Iterable[int]) -> tuple[TensorInfo, ...]:
    nodes = (graph[counter] for counter in counters)
    return tuple(
        _tensor_info(params["shape"], params["dtype"], params["layout"], params["memory_config"])
        for params in (node["params"] for node in nodes if node["node_type"] == "tensor")
        if "memory_config" in params
    )


@lru_cache(maxsize=65536)
def _tensor_info(shape: str, dtype: str, page: str, memory_config: str) -> TensorInfo:
    layout = parse_memory_config(memory_config, _word(dtype), _word(page))
    return TensorInfo(tuple(map(int, _NUMBER.findall(shape))), layout)


def _word(text: str) -> str:
    return text.rpartition("::")[2].lower()


def parse_memory_config(text: str, dtype: str, page: str) -> TensorLayout:
    """Return the layout that ttnn's text of a ``MemoryConfig`` describes.

    ``dtype`` and ``page`` are ttnn's names of the data type and page layout in lower case.
    """
    sharding = _MEMORY_LAYOUT.search(text)
    buffer_type = _BUFFER_TYPE.search(text)
    spec = _SHARD_SPEC.search(text)
    if sharding is None or buffer_type is None:
        raise ValueError(f"not a memory configuration: {text[:200]}")
    plain = TensorLayout(
        memory=Memory.DRAM if buffer_type[1] == "DRAM" else Memory.L1,
        sharding=ShardLayout(sharding[1].lower().removesuffix("_sharded")),
        dtype=DataType(dtype),
        page=PageLayout("tile" if page == "tile" else "row_major"),
    )
    if spec is None:
        return plain
    ranges = (CoreRange(*map(int, match)) for match in _GRID_RANGE.findall(spec["grid"]))
    return TensorLayout(
        memory=plain.memory,
        sharding=plain.sharding,
        dtype=plain.dtype,
        page=plain.page,
        grid=tuple(ranges),
        shard_shape=(int(spec["rows"]), int(spec["columns"])),
        transposed=spec["orientation"] == "COL_MAJOR",
    )


@lru_cache(maxsize=4096)
def _count_cores(core_range_set: str) -> int:
    corners = (tuple(map(int, match)) for match in _CORE_RANGE.findall(core_range_set))
    return sum((x1 - x0 + 1) * (y1 - y0 + 1) for x0, y0, x1, y1 in corners)


@lru_cache(maxsize=64)
def _count_worker_cores(ranges: str) -> int:
    return sum(
        (part["end"]["x"] - part["start"]["x"] + 1) * (part["end"]["y"] - part["start"]["y"] + 1)
        for part in json.loads(ranges)
    )


def peak_l1_bytes(
    graph: Sequence[Node],
    kept_bytes: int = 0,
    buffers: Buffers = _NO_BUFFERS,
    *,
    frees: bool = False,
) -> int:
    """Return the worst sum per core of L1 tensors and circular buffers during a capture.

    ``kept_bytes`` per core are taken by tensors from before the capture. They count throughout,
    because another reader may still need them, unless the op ``frees`` them when it can.
    """
    tensors: dict[int, int] = {}
    circular = dataflow = live = peak = 0
    for position, node in enumerate(graph):
        kind, params = node["node_type"], node["params"]
        if kind == "buffer_allocate" and params["buffer_type"] == _L1_BUFFER:
            tensors[params["address"]] = int(params["max_size_per_bank"])
            live += tensors[params["address"]]
        elif kind == "buffer_deallocate" and params["address"] in tensors:
            live -= tensors.pop(params["address"])
        elif kind == "buffer_deallocate" and frees and params["buffer_type"] == _L1_BUFFER:
            kept_bytes = max(0, kept_bytes - int(params["max_size_per_bank"]))
        elif kind == "circular_buffer_deallocate_all":
            circular = 0
        elif kind == "circular_buffer_allocate":
            circular += _own_bytes(params)
        dataflow = sum(map(_own_bytes, buffers.get(position, ()))) or dataflow
        if kind == "program_execution":
            peak = max(peak, kept_bytes + live + circular + dataflow)
            dataflow = 0
        peak = max(peak, kept_bytes + live + circular)
    return peak


TRANSFER_PREFIX = "autosched-transfer:"


def transfer_name(code: str, moved: TensorInfo, board: Board) -> str:
    """Return the tracked function's name for a transfer over a board's link."""
    link = f"PCIe {board.pcie_generation}.0 x{board.pcie_lanes}"
    return TRANSFER_PREFIX + json.dumps({"code": code, "link": link, "moved": to_plain(moved)})


def read_transfer(name: str, layer: str) -> DeviceOp:
    """Return the transfer of a tracked function's name, as an op of ``layer``."""
    plain = json.loads(name.removeprefix(TRANSFER_PREFIX))
    moved = (from_plain(TensorInfo, plain["moved"]),)
    is_read = plain["code"] == HOST_READ
    return DeviceOp(
        code=plain["code"],
        attributes=plain["link"],
        inputs=moved if is_read else (),
        outputs=() if is_read else moved,
        layer=layer,
    )
