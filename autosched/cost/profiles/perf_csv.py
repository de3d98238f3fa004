"""Estimated runs as profiler reports that ``tt-perf-report`` and ``ttnn-visualizer`` open.

The columns are those of tt-metal's ``ops_perf_results`` CSV. Captured attributes, which have no
names, are spelled anew as reports name them. Nothing here was measured, and the file says so: every
row's ``ATTRIBUTES`` start with ``'estimated': '<cost model version>'``.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from autosched.boards import Board
from autosched.cost.ops.attributes import fidelity_of, fields, members, numbers, sliding_window_text
from autosched.cost.ops.traffic import ceil_div
from autosched.errors import ProfileError
from autosched.files import check_name
from autosched.schedule.outcomes import TRANSFERS, DeviceOp, TimeKind
from autosched.schedule.tensors import TILE, Memory, PageLayout, TensorInfo, TensorLayout

ESTIMATED_KEY = "estimated"
_MAX_INPUTS = 3
_COMPUTES = ("Conv2d", "Matmul", "Binary", "Unary", "Tilize", "Untilize", "Pool2D", "Softmax")


_REPORT, _DEVICE_LOG = "ops_perf_results.csv", "profile_log_device.csv"
_FIRST_LINE = "ARCH: {}, CHIP_FREQ[MHz]: {}, Max Compute Cores: {}"
_LOG_COLUMNS = (
    "PCIe slot, core_x, core_y, RISC processor type, timer_id, time[cycles since reset], data, "
    "run host ID, trace id, trace id counter, zone name, type, source line, source file, meta data"
)
"""Those of tt-metal's log of profiler zones, of which an estimate has none."""

Columns = Mapping[str, str]
"""Cells of one row by the names of their columns."""


def is_folder(path: Path | str) -> bool:
    """Whether a path is the folder of a report, as ttnn-visualizer opens it: there, or with a /."""
    return Path(path).is_dir() or str(path).endswith("/")


def check_ops_target(path: Path | str) -> None:
    """Check a place for a report before the work that leads to it.

    Raises:
        ProfileError: if there is no directory to write it in, or no file can have this name.
    """
    parent = Path(path).absolute().parent
    if not parent.is_dir():
        raise ProfileError(f"{path}: there is no directory {Path(path).parent}; create it first")
    try:
        check_name(Path(path))
    except OSError as error:
        raise ProfileError(f"{path}: no file can have this name: {error.strerror}") from None


def write_ops(
    ops: Iterable[DeviceOp],
    kind: TimeKind | None,
    board: Board,
    cost_model: str,
    path: Path | str,
    more: Sequence[Columns] = (),
) -> Path:
    """Write a trial's ops as an ``ops_perf_results`` report, each marked as estimated.

    Args:
        ops: device ops with ``time_ns``.
        kind: whether a card or the cost model gave the times; None where the trial has none.
        board: the board that the times are of.
        cost_model: version of the model the times come from.
        path: the CSV to write, or a report's folder (see :func:`is_folder`).
        more: columns beyond a report's, an entry for each op.

    Raises:
        ProfileError: if the times were measured, an op has none, or the file cannot be written.
    """
    if kind is TimeKind.MEASURED:
        raise ProfileError(
            f"{path}: the times were measured; tt-metal's profiler writes its report"
        )
    return write_perf_csv(ops, path, board, cost_model, more)


def write_perf_csv(
    ops: Iterable[DeviceOp],
    path: Path | str,
    board: Board,
    cost_model: str = "unknown",
    more: Sequence[Columns] = (),
) -> Path:
    """Write timed ops as an ``ops_perf_results`` report.

    Args:
        ops: device ops with ``time_ns``.
        path: the CSV to write, or a report's folder (see :func:`is_folder`).
        board: the board that the times are of.
        cost_model: version of the model the times come from.
        more: columns beyond a report's, an entry for each op.

    Raises:
        ProfileError: if an op has no time, or the file cannot be written.
    """
    folder = Path(path) if is_folder(path) else None
    path = Path(path) if folder is None else folder / _REPORT
    rows, start_ns = [], 0.0
    for number, op in enumerate(ops):
        if op.time_ns is None:
            raise ProfileError(
                f"{path}: op {number} ({op.code}) has no time; estimate the ops before writing"
            )
        row = _row(op, op.time_ns, number, start_ns, board, cost_model)
        rows.append({**row, **(more[number] if more else {})})
        start_ns += op.time_ns
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["OP CODE"]
    try:
        if folder is not None:
            folder.mkdir(exist_ok=True)
            first = _FIRST_LINE.format(board.arch, round(board.clock_ghz * 1e3), board.cores)
            (folder / _DEVICE_LOG).write_text(f"{first}\n{_LOG_COLUMNS}\n", encoding="utf-8")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ProfileError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def _row(
    op: DeviceOp, time_ns: float, number: int, start_ns: float, board: Board, cost_model: str
) -> dict[str, str]:
    clock = board.clock_ghz
    begin, end = round(start_ns * clock), round((start_ns + time_ns) * clock)
    row = {
        "OP CODE": op.code,
        "OP TYPE": "python_fallback" if op.code in TRANSFERS else "tt_dnn_device",
        "GLOBAL CALL COUNT": str(number + 1),
        "DEVICE ID": "0",
        "DEVICE ARCH": board.arch,
        "ATTRIBUTES": _attributes(op, cost_model),
        "MATH FIDELITY": _fidelity(op),
        "CORE COUNT": str(op.cores),
        "AVAILABLE WORKER CORE COUNT": str(board.cores),
        "PARALLELIZATION STRATEGY": op.factory,
        "HOST START TS": str(round(start_ns)),
        "HOST END TS": str(round(start_ns + time_ns)),
        "HOST DURATION [ns]": "0",
        "DEVICE FW START CYCLE": str(begin),
        "DEVICE FW END CYCLE": str(end),
        "OP TO OP LATENCY [ns]": "0",
        "DEVICE FW DURATION [ns]": str(round(time_ns)),
        "DEVICE KERNEL DURATION [ns]": str(round(time_ns)),
    }
    for place in range(_MAX_INPUTS):
        row |= _tensor(f"INPUT_{place}", op.inputs[place] if place < len(op.inputs) else None)
    row |= _tensor("OUTPUT_0", op.outputs[0] if op.outputs else None)
    row["METAL TRACE ID"] = ""
    return row


def _attributes(op: DeviceOp, cost_model: str) -> str:
    """Return the attributes in the report's named form, marked as an estimate."""
    marks = f"'{ESTIMATED_KEY}': '{cost_model}'; 'layer': '{op.layer}'"
    text = op.attributes.strip()
    if text.startswith("{'"):
        return "{" + marks + "; " + text[1:]
    named = report_attributes(op)
    return "{" + "; ".join([marks, *(f"'{name}': '{value}'" for name, value in named)]) + "}"


def _fidelity(op: DeviceOp) -> str:
    return str(fidelity_of(op.attributes)) if op.code.startswith(_COMPUTES) else ""


def _tensor(name: str, info: TensorInfo | None) -> Mapping[str, str]:
    if info is None:
        empty = {f"{name}_{axis}_PAD[LOGICAL]": "" for axis in "WZYX"}
        return {**empty, f"{name}_LAYOUT": "", f"{name}_DATATYPE": "", f"{name}_MEMORY": ""}
    sizes = (1, 1, 1, 1, *info.shape)[-4:]
    padded = list(sizes)
    if info.layout.page is PageLayout.TILE:
        padded[2:] = (ceil_div(size, TILE) * TILE for size in sizes[2:])
    memory = "L1" if info.layout.memory is Memory.L1 else "DRAM"
    suffix = "_SHARDED" if info.layout.is_sharded else ""
    return {
        **{
            f"{name}_{axis}_PAD[LOGICAL]": f"{pad}[{size}]"
            for axis, pad, size in zip("WZYX", padded, sizes, strict=True)
        },
        f"{name}_LAYOUT": info.layout.page.value.upper(),
        f"{name}_DATATYPE": info.layout.dtype.value.upper(),
        f"{name}_MEMORY": f"DEV_0_{memory}_{info.layout.sharding.value.upper()}{suffix}",
    }


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
        yield "output_memory_config", memory_config_text(op.inputs[0].layout)
    elif op.outputs:
        yield "output_mem_config", memory_config_text(op.outputs[0].layout)


def memory_config_text(layout: TensorLayout) -> str:
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
