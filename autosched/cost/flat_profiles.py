"""Two flat files of sweeps on a Wormhole card: one op a line, without attributes.

``m_size,k_size,n_size,num_cores,duration`` are height-sharded matmuls; ``input_shape_1,...,
kernel_duration`` are exponentials of interleaved tensors by shape, data type and memory
(tt-metal's runtime-predictor data).
"""

from collections.abc import Callable, Mapping, Sequence

from autosched.cost.features import read_features
from autosched.cost.matmul_shape import flat_matmul
from autosched.cost.records import Record
from autosched.cost.tensors import ceil_div, tile_count
from autosched.schedule import DataType, DeviceOp, Memory, TensorInfo, TensorLayout

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
_GRID_CORES = 64

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
        cores=min(_GRID_CORES, ceil_div(tiles, 1)),
    )
    return op, read_features(op), float(row["kernel_duration"])


FLAT_READERS: Mapping[tuple[str, ...], Callable[[Mapping[str, str]], Timed]] = {
    _MATMUL_HEADER: _read_matmul,
    _EXP_HEADER: _read_exp,
}
