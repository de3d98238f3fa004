"""One row of a profiler report as a device op.

A report gives each tensor's padded and logical sizes, page layout, data type and memory, but the
shard of the output only (in the attributes); the shards of inputs follow from it or from the number
of cores.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from autosched.cost.attributes import fields, numbers
from autosched.cost.tensors import TILE, ceil_div, padded_2d
from autosched.schedule import (
    CoreRange,
    DataType,
    DeviceOp,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)

_SIZE = re.compile(r"(\d+)(?:\[(\d+)\])?")
_SHARD = re.compile(
    r"TensorMemoryLayout::(\w+)_SHARDED;buffer_type=BufferType::\w+;"
    r"shard_spec=ShardSpec\(grid=\{(.*?)\};shape=\{(\d+); (\d+)\}"
)
_RANGE = re.compile(r"\(x=(\d+);y=(\d+)\) - \(x=(\d+);y=(\d+)\)")
_MEMORY = re.compile(r"DEV_\d+_(DRAM|L1)\w*?_(INTERLEAVED|(?:HEIGHT|WIDTH|BLOCK)_SHARDED)")
_DTYPE_ALIASES = {"UINT8": DataType.UINT16}
_MCAST = {
    (True, True): "MatmulMultiCoreReuseMcast2DProgramFactory",
    (True, False): "MatmulMultiCoreReuseMcast1DProgramFactory",
    (False, True): "MatmulMultiCoreReuseMcast1DProgramFactory",
    (False, False): "MatmulMultiCoreReuseProgramFactory",
}


def read_row(row: Mapping[str, str]) -> DeviceOp:
    """Return the device op of a report's row.

    Raises:
        KeyError, ValueError: if a tensor's columns are missing or spelled unlike any release.
    """
    attributes = row["ATTRIBUTES"]
    cores = int(row["CORE COUNT"] or 0)
    inputs = tuple(_tensors(row, "INPUT"))
    outputs = tuple(_tensors(row, "OUTPUT"))
    shard = _SHARD.search(attributes)
    if row["OP CODE"].startswith("Halo"):
        inputs = tuple(_with_shard(info, shard) for info in inputs)
        rows = int(fields(attributes)["max_out_nsticks_per_core"])
        outputs = tuple(_with_rows(info, inputs, rows) for info in outputs)
    else:
        outputs = tuple(_with_shard(info, shard) for info in outputs)
    fallback_cores = _grid_cores(attributes) or cores
    return DeviceOp(
        code=row["OP CODE"],
        attributes=attributes,
        inputs=tuple(_deal(info, outputs, fallback_cores) for info in inputs),
        outputs=tuple(_deal(info, outputs, fallback_cores) for info in outputs),
        factory=_factory(row),
        cores=cores,
    )


def _grid_cores(attributes: str) -> int:
    stated = numbers(fields(attributes).get("user_core_coord", ""))
    return stated[0] * stated[1] if len(stated) == 2 else 0


def _tensors(row: Mapping[str, str], side: str) -> list[TensorInfo]:
    found = []
    for place in range(8):
        name = f"{side}_{place}"
        if not row.get(f"{name}_LAYOUT"):
            break
        found.append(_tensor(row, name))
    return found


def _tensor(row: Mapping[str, str], name: str) -> TensorInfo:
    page = PageLayout.TILE if row[f"{name}_LAYOUT"] == "TILE" else PageLayout.ROW_MAJOR
    memory = _MEMORY.match(row[f"{name}_MEMORY"])
    dtype = row[f"{name}_DATATYPE"]
    layout = TensorLayout(
        memory=Memory.L1 if memory and memory[1] == "L1" else Memory.DRAM,
        sharding=ShardLayout((memory[2] if memory else "INTERLEAVED").lower().split("_")[0]),
        dtype=_DTYPE_ALIASES.get(dtype) or DataType(dtype.lower()),
        page=page,
    )
    return TensorInfo(tuple(_size(row, name, axis, page) for axis in "WZYX"), layout)


def _size(row: Mapping[str, str], name: str, axis: str, page: PageLayout) -> int:
    """Return a logical size; of row-major tensors the padded one, which is what they hold."""
    text = row.get(f"{name}_{axis}_PAD[LOGICAL]") or row.get(f"{name}_{axis}") or "1"
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"size {text!r} of {name}")
    return int(match[2] or match[1]) if page is PageLayout.TILE else int(match[1])


def _with_shard(info: TensorInfo, shard: re.Match[str] | None) -> TensorInfo:
    if shard is None or shard[1].lower() != info.layout.sharding.value:
        return info
    grid = tuple(CoreRange(*map(int, corners)) for corners in _RANGE.findall(shard[2]))
    layout = replace(info.layout, grid=grid, shard_shape=(int(shard[3]), int(shard[4])))
    return replace(info, layout=layout)


def _with_rows(info: TensorInfo, inputs: tuple[TensorInfo, ...], rows: int) -> TensorInfo:
    """Give a halo's output the input's shards with other heights."""
    if not inputs or inputs[0].layout.shard_shape is None:
        return info
    columns = inputs[0].layout.shard_shape[1]
    layout = replace(info.layout, grid=inputs[0].layout.grid, shard_shape=(rows, columns))
    return replace(info, layout=layout)


def _deal(info: TensorInfo, outputs: tuple[TensorInfo, ...], cores: int) -> TensorInfo:
    """Give a sharded tensor without a known shard the output's, or an even part of its rows."""
    layout = info.layout
    if not layout.is_sharded or layout.shard_shape is not None or cores < 1:
        return info
    for other in outputs:
        same = other.layout.sharding is layout.sharding and padded_2d(other) == padded_2d(info)
        if same and other.layout.shard_shape is not None:
            shape = other.layout.shard_shape
            return replace(info, layout=replace(layout, shard_shape=shape, grid=other.layout.grid))
    return replace(info, layout=replace(layout, shard_shape=_even_shard(info, cores)))


def _even_shard(info: TensorInfo, cores: int) -> tuple[int, int]:
    rows, columns = padded_2d(info)
    tall, wide = _core_grid(info.layout.sharding, cores)
    height, width = ceil_div(rows, tall), ceil_div(columns, wide)
    if info.layout.page is PageLayout.TILE:
        height, width = ceil_div(height, TILE) * TILE, ceil_div(width, TILE) * TILE
    return height, width


def _core_grid(sharding: ShardLayout, cores: int) -> tuple[int, int]:
    """Return (rows, columns) of cores; block sharding takes the tallest grid that fits."""
    if sharding is ShardLayout.HEIGHT:
        return cores, 1
    if sharding is ShardLayout.WIDTH:
        return 1, cores
    tall = next(rows for rows in (8, 7, 6, 5, 4, 3, 2, 1) if cores % rows == 0)
    return tall, cores // tall


def _factory(row: Mapping[str, str]) -> str:
    if "Matmul" not in row["OP CODE"]:
        return ""
    stated = row.get("PARALLELIZATION STRATEGY") or ""
    if stated.endswith("Factory"):
        return stated
    kernels = row.get("DATA MOVEMENT KERNEL SOURCE") or ""
    return _MCAST["in0_receiver" in kernels, "in1_receiver" in kernels]
