"""One row of a profiler report as a device op.

A report gives each tensor's padded and logical sizes, page layout, data type and memory, but the
shard of the output only (in the attributes); the shards of inputs follow from it or from the number
of cores.

Two flat files of sweeps on an n150 have one op a line, without attributes: height-sharded matmuls
(``m_size,k_size,n_size,num_cores,duration``), and exponentials of interleaved tensors by shape,
data type and memory (``input_shape_1,...,kernel_duration``; tt-metal's runtime-predictor data).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from autosched.boards import find_board
from autosched.cost.ops.attributes import fields, numbers, word
from autosched.cost.ops.families import read_features
from autosched.cost.ops.matmul import flat_matmul
from autosched.cost.ops.traffic import ceil_div, padded_2d, tile_count
from autosched.cost.ops.work import Record
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import (
    TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)

_SIZE = re.compile(r"(\d+)(?:\.0)?(?:\[(\d+)\])?")
_SHARD = re.compile(
    r"TensorMemoryLayout::(\w+)_SHARDED;\s*buffer_type=BufferType::\w+;"
    r"\s*shard_spec=ShardSpec\(grid=\{(.*?)\};\s*shape=[\{\[]\s*(\d+);\s*(\d+)"
)
_RANGE = re.compile(r"\(x=(\d+);y=(\d+)\) - \(x=(\d+);y=(\d+)\)")
_MEMORY = re.compile(r"(DRAM|L1)(?:\w*?_(INTERLEAVED|(?:HEIGHT|WIDTH|BLOCK)_SHARDED))?")
_DTYPE_ALIASES = {
    "UINT8": DataType.UINT16,
    "BFP8_B": DataType.BFLOAT8_B,
    "BFP4_B": DataType.BFLOAT4_B,
    "FLOAT16_B": DataType.BFLOAT16,
    "BFP8": DataType.BFLOAT8_B,
}
_MCAST = {
    (True, True): "MatmulMultiCoreReuseMcast2DProgramFactory",
    (True, False): "MatmulMultiCoreReuseMcast1DProgramFactory",
    (False, True): "MatmulMultiCoreReuseMcast1DProgramFactory",
    (False, False): "MatmulMultiCoreReuseProgramFactory",
}


def read_row(row: Mapping[str, str]) -> DeviceOp:
    """Return the device op of a report's row.

    What is missing or spelled unlike any release counts as the most ordinary: bfloat16, tiles,
    interleaved, size 1.
    """
    attributes = row["ATTRIBUTES"] or ""
    cores = _whole(row["CORE COUNT"])
    inputs = tuple(_tensors(row, "INPUT"))
    outputs = tuple(_tensors(row, "OUTPUT"))
    shard = _SHARD.search(attributes)
    rows = _whole(fields(attributes).get("max_out_nsticks_per_core", ""))
    if rows:
        inputs = tuple(_with_shard(info, shard) for info in inputs)
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


def _whole(text: str) -> int:
    """Read a count that spreadsheets may have turned into a decimal; 0 where there is none."""
    try:
        return int(float(text or 0))
    except ValueError:
        return 0


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
    page = PageLayout.ROW_MAJOR if "ROW" in row[f"{name}_LAYOUT"] else PageLayout.TILE
    memory = _MEMORY.search((row.get(f"{name}_MEMORY") or "").upper())
    spread = memory[2].lower().split("_")[0] if memory and memory[2] else "interleaved"
    layout = TensorLayout(
        memory=Memory.L1 if memory and memory[1] == "L1" else Memory.DRAM,
        sharding=ShardLayout(spread),
        dtype=_dtype(row.get(f"{name}_DATATYPE") or ""),
        page=page,
    )
    return TensorInfo(tuple(_size(row, name, axis, page) for axis in "WZYX"), layout)


def _dtype(text: str) -> DataType:
    name = word(text).upper()
    if name in _DTYPE_ALIASES:
        return _DTYPE_ALIASES[name]
    known = {dtype.value: dtype for dtype in DataType}
    return known.get(name.lower(), DataType.BFLOAT16)


def _size(row: Mapping[str, str], name: str, axis: str, page: PageLayout) -> int:
    """Return a logical size; of row-major tensors the padded one, which is what they hold."""
    text = row.get(f"{name}_{axis}_PAD[LOGICAL]") or row.get(f"{name}_{axis}") or "1"
    match = _SIZE.match(text)
    if match is None:
        return 1
    return max(1, int((match[2] or match[1]) if page is PageLayout.TILE else match[1]))


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


_MATMUL_HEADER = ("m_size", "k_size", "n_size", "num_cores", "duration")
_SHAPE_COLUMNS = tuple(f"input_shape_{axis}" for axis in range(1, 5))
_DTYPES = {
    "bfloat8": DataType.BFLOAT8_B,
    "bfloat16": DataType.BFLOAT16,
    "float32": DataType.FLOAT32,
    "uint16": DataType.UINT16,
    "uint32": DataType.UINT32,
}
_EXP_HEADER = (*_SHAPE_COLUMNS, *_DTYPES, "input_DRAM", "input_L1", "kernel_duration")
_SWEPT_BOARD = find_board("n150")

Timed = tuple[DeviceOp, Record, float]


def is_flat(header: Sequence[str]) -> bool:
    """Whether a CSV header is that of a flat sweep."""
    return tuple(header) in FLAT_READERS


def _read_matmul(row: Mapping[str, str]) -> Timed:
    m, k, n, cores = (int(row[name]) for name in _MATMUL_HEADER[:4])
    layout = TensorLayout()
    op = DeviceOp(
        code="Matmul",
        attributes="",
        inputs=(TensorInfo((1, 1, m, k), layout), TensorInfo((1, 1, k, n), layout)),
        outputs=(TensorInfo((1, 1, m, n), layout),),
        factory="MatmulMultiCoreReuseMcast1DProgramFactory",
        cores=cores,
    )
    return op, flat_matmul(m, k, n, cores), float(row["duration"])


def _read_exp(row: Mapping[str, str]) -> Timed:
    dtype = next(dtype for name, dtype in _DTYPES.items() if row[name].strip() == "1")
    shape = tuple(size for size in (int(row[name]) for name in _SHAPE_COLUMNS) if size > 0)
    memory = Memory.DRAM if row["input_DRAM"].strip() == "1" else Memory.L1
    info = TensorInfo(shape, TensorLayout(memory=memory, dtype=dtype))
    tiles = tile_count(info)
    op = DeviceOp(
        code="UnaryDeviceOperation",
        attributes="{'op_chain': '{UnaryWithParam(op_type=UnaryOpType::EXP;param={0})}'}",
        inputs=(info,),
        outputs=(info,),
        cores=min(_SWEPT_BOARD.cores, ceil_div(tiles, 1)),
    )
    return op, read_features(op), float(row["kernel_duration"])


FLAT_READERS: Mapping[tuple[str, ...], Callable[[Mapping[str, str]], Timed]] = {
    _MATMUL_HEADER: _read_matmul,
    _EXP_HEADER: _read_exp,
}
