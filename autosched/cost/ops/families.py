"""From a device op to its typed features: one reader for captures and profiles.

Releases name some ops differently (``Tilize`` and ``TilizeDeviceOperation``, ``UpSample`` and
``UpsampleOperation``, with or without namespaces); ``plain_code`` makes them one, and
:data:`READERS` lists what is known.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from autosched.cost.ops.attributes import plain_code
from autosched.cost.ops.conversions import (
    ChannelsLastOp,
    ReshapeOp,
    TilizeOp,
    TilizePaddedOp,
    TransposeOp,
    UntilizeCutOp,
    UntilizeOp,
    read_reshape,
    read_tilize_padded,
    read_transpose,
)
from autosched.cost.ops.convolutions import Conv2dOp, conv2d_work, read_conv2d
from autosched.cost.ops.eltwise import (
    BinaryOp,
    UnaryOp,
    binary_work,
    read_binary,
    read_unary,
    unary_work,
)
from autosched.cost.ops.halo import HaloOp, halo_work, read_halo
from autosched.cost.ops.host import TransferOp, read_host_transfer, transfer_work
from autosched.cost.ops.matmul import MatmulOp, matmul_work, read_matmul
from autosched.cost.ops.movement import (
    ConcatOp,
    CopyOp,
    GenericOp,
    InterleavedToShardedOp,
    MovementOp,
    MoveOp,
    PaddedSliceOp,
    ReshardOp,
    ShardedToInterleavedOp,
    SliceOp,
    SliceWriteOp,
    UpsampleOp,
    move_work,
    movement_reader,
    movement_work,
    read_concat,
    read_gather,
    read_generic,
    read_interleaved_to_sharded,
    read_padded_slice,
    read_sharded_to_interleaved,
    read_slice,
    read_slice_write,
    reshard_work,
)
from autosched.cost.ops.norms import GroupNormOp, NormOp, ReduceOp, SoftmaxOp, read_softmax
from autosched.cost.ops.pooling import PoolOp, pool_work, read_pool
from autosched.cost.ops.work import Work
from autosched.schedule.outcomes import DeviceOp

Record = Conv2dOp | HaloOp | MatmulOp | MovementOp | PoolOp | UnaryOp | BinaryOp | TransferOp


@lru_cache(maxsize=65536)
def read_features(op: DeviceOp) -> Record:
    """Return the features of a device op; :class:`records.GenericOp` for an unknown one."""
    reader = READERS.get(plain_code(op.code))
    return read_generic(op) if reader is None else reader(op)


def is_known(op: DeviceOp) -> bool:
    """Whether the op has formulas of its own."""
    return plain_code(op.code) in READERS


READERS: Mapping[str, Callable[[DeviceOp], Record]] = {
    "conv2d": read_conv2d,
    "optimizedconv": read_conv2d,
    "optimizedconvnew": read_conv2d,
    "halo": read_halo,
    "untilizewithhalo": read_halo,
    "untilizewithhalov2": read_halo,
    "matmul": read_matmul,
    "reshard": movement_reader(ReshardOp),
    "interleavedtosharded": read_interleaved_to_sharded,
    "interleavedtoshardedpartial": read_interleaved_to_sharded,
    "paddedslice": read_padded_slice,
    "shardedtointerleaved": read_sharded_to_interleaved,
    "shardedtointerleavedpartial": read_sharded_to_interleaved,
    "slicewrite": read_slice_write,
    "move": movement_reader(MoveOp),
    "copy": movement_reader(CopyOp),
    "clone": movement_reader(CopyOp),
    "typecast": movement_reader(CopyOp),
    "tilize": movement_reader(TilizeOp),
    "tilizewithvalpadding": read_tilize_padded,
    "untilize": movement_reader(UntilizeOp),
    "untilizecodegen": movement_reader(UntilizeOp),
    "untilizewithunpadding": movement_reader(UntilizeCutOp),
    "transpose": read_transpose,
    "permute": read_transpose,
    "fold": movement_reader(TransposeOp),
    "converttohwc": movement_reader(ChannelsLastOp),
    "converttochw": movement_reader(ChannelsLastOp),
    "reshape": read_reshape,
    "reshapeview": read_reshape,
    "slice": read_slice,
    "unpad": read_slice,
    "split": movement_reader(SliceOp),
    "pad": movement_reader(SliceOp),
    "fillpad": movement_reader(SliceOp),
    "embeddings": read_gather,
    "embedding": read_gather,
    "downsample": movement_reader(SliceOp),
    "concat": read_concat,
    "repeat": movement_reader(UpsampleOp),
    "upsample": movement_reader(UpsampleOp),
    "upsamplebilinear": movement_reader(UpsampleOp),
    "softmax": read_softmax,
    "reduce": movement_reader(ReduceOp),
    "layernorm": movement_reader(NormOp),
    "batchnorm": movement_reader(NormOp),
    "groupnorm": movement_reader(GroupNormOp),
    "pool2d": read_pool,
    "maxpool": read_pool,
    "maxpoolnew": read_pool,
    "maxpool2d": read_pool,
    "avgpool2d": read_pool,
    "unary": read_unary,
    "eltwiseunary": read_unary,
    "binary": read_binary,
    "bcast": read_binary,
    "eltwisebinary": read_binary,
    "binaryng": read_binary,
    "ternary": read_binary,
    "hostread": read_host_transfer,
    "hostwrite": read_host_transfer,
}

_FAMILIES: dict[type[MovementOp], str] = {
    InterleavedToShardedOp: "interleaved_to_sharded",
    ShardedToInterleavedOp: "sharded_to_interleaved",
    PaddedSliceOp: "padded_slice",
    SliceWriteOp: "slice_write",
    CopyOp: "copy",
    TilizeOp: "tilize",
    TilizePaddedOp: "tilize_padded",
    UntilizeCutOp: "untilize_cut",
    UntilizeOp: "untilize",
    TransposeOp: "transpose",
    ChannelsLastOp: "channels_last",
    ReshapeOp: "reshape",
    SliceOp: "slice",
    ConcatOp: "concat",
    UpsampleOp: "upsample",
    SoftmaxOp: "softmax",
    ReduceOp: "reduce",
    NormOp: "norm",
    GroupNormOp: "group_norm",
    GenericOp: "generic",
}

_FORMULAS: Mapping[type[Any], Callable[[Any], Work]] = {
    Conv2dOp: conv2d_work,
    HaloOp: halo_work,
    MatmulOp: matmul_work,
    PoolOp: pool_work,
    UnaryOp: unary_work,
    BinaryOp: binary_work,
    MoveOp: move_work,
    ReshardOp: reshard_work,
    TransferOp: transfer_work,
}


@lru_cache(maxsize=65536)
def work_of(record: Record) -> Work:
    """Return the work of a typed op."""
    formula = _FORMULAS.get(type(record))
    if formula is not None:
        return formula(record)
    if isinstance(record, MovementOp):
        return movement_work(_FAMILIES[type(record)], record)
    raise TypeError(f"no formula for {type(record).__name__}")
