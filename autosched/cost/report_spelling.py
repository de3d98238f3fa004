"""Captured attributes re-spelled the way profiler reports name them."""

import re
from collections.abc import Iterator

from autosched.cost.attributes import fields, members, numbers, sliding_window_text
from autosched.schedule import DeviceOp, TensorLayout

_COMPUTE_CONFIG = re.compile(r"ComputeKernelConfig\(([^()]*)\)")
_PAIRS = re.compile(r"\{(-?\d+), (-?\d+)\}")
_ENUMS = re.compile(r"\b(?:BinaryOpType|SubtileBroadcastType|Pool2DType|ReduceOpDim)::\w+")
_NESTED = (
    "sliding_window_config",
    "config",
    "parallelization_config",
    "block_config",
)
_PADDING = "padding"


def report_attributes(op: DeviceOp) -> Iterator[tuple[str, str]]:
    """Yield (field, text) of a captured op as a report would print them."""
    config = _COMPUTE_CONFIG.search(op.attributes)
    if config:
        named = config[1].replace(",", ";")
        yield "compute_kernel_config", f"WormholeComputeKernelConfig({named})"
    yield from _memory(op)
    found = fields(op.attributes)
    for name, text in found.items():
        if name in _NESTED:
            yield name, _nested(text)
        elif "(" not in text:
            yield name, text
    window = sliding_window_text(op.attributes)
    if window and not found.keys() & {"sliding_window_config", "config"}:
        yield "sliding_window_config", _nested(window)
    if "input_tensor_shape" in found:
        sizes = "; ".join(map(str, numbers(found["input_tensor_shape"])))
        yield "input_tensor_shape", "{" + sizes + "}"
    for number, enum in enumerate(_ENUMS.findall(op.attributes)):
        yield f"type_{number}", enum
    if op.factory:
        yield "factory", op.factory


def _memory(op: DeviceOp) -> Iterator[tuple[str, str]]:
    """Yield the memory configuration; a halo's names its input's shards."""
    if op.code.startswith("Halo") and op.inputs:
        yield "output_memory_config", memory_config(op.inputs[0].layout)
    elif op.outputs:
        yield "output_mem_config", memory_config(op.outputs[0].layout)


def memory_config(layout: TensorLayout) -> str:
    """Return a report's text of a tensor's memory configuration."""
    suffix = "_SHARDED" if layout.is_sharded else ""
    return (
        f"MemoryConfig(memory_layout=TensorMemoryLayout::{layout.sharding.value.upper()}{suffix};"
        f"buffer_type=BufferType::{layout.memory.value.upper()};shard_spec={_shard(layout)})"
    )


def _shard(layout: TensorLayout) -> str:
    if layout.shard_shape is None:
        return "std::nullopt"
    grid = "; ".join(f"[(x={r.x0};y={r.y0}) - (x={r.x1};y={r.y1})]" for r in layout.grid)
    rows, columns = layout.shard_shape
    orientation = "COL_MAJOR" if layout.transposed else "ROW_MAJOR"
    return (
        f"ShardSpec(grid={{{grid}}};shape={{{rows}; {columns}}};"
        f"orientation=ShardOrientation::{orientation})"
    )


def _nested(text: str) -> str:
    """Name the members of a positional structure."""
    parts = []
    for name, value in members(text).items():
        spelled = _PAIRS.sub(r"(\1;\2)", value)
        if name == _PADDING:
            top, bottom, left, right = numbers(value)
            spelled = f"(({top}; {bottom}); ({left}; {right}))"
        if not value.startswith("<"):
            parts.append(f"{name}={spelled}")
    return f"{text.partition('(')[0]}({'; '.join(parts)})"
