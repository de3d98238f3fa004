"""Which formula a typed op has."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from autosched.cost import records as r
from autosched.cost.convolution import conv2d_work, halo_work
from autosched.cost.movement import (
    binary_work,
    move_work,
    movement_work,
    pool_work,
    reshard_work,
    unary_work,
)
from autosched.cost.multiplication import matmul_work
from autosched.cost.transfer import transfer_work
from autosched.cost.work import Work

_FAMILIES: dict[type[r.MovementOp], str] = {
    r.InterleavedToShardedOp: "interleaved_to_sharded",
    r.ShardedToInterleavedOp: "sharded_to_interleaved",
    r.PaddedSliceOp: "padded_slice",
    r.SliceWriteOp: "slice_write",
    r.CopyOp: "copy",
    r.TilizeOp: "tilize",
    r.TilizePaddedOp: "tilize_padded",
    r.UntilizeCutOp: "untilize_cut",
    r.UntilizeOp: "untilize",
    r.TransposeOp: "transpose",
    r.ChannelsLastOp: "channels_last",
    r.ReshapeOp: "reshape",
    r.SliceOp: "slice",
    r.ConcatOp: "concat",
    r.UpsampleOp: "upsample",
    r.SoftmaxOp: "softmax",
    r.ReduceOp: "reduce",
    r.NormOp: "norm",
    r.GroupNormOp: "group_norm",
    r.GenericOp: "generic",
}


_FORMULAS: Mapping[type[Any], Callable[[Any], Work]] = {
    r.Conv2dOp: conv2d_work,
    r.HaloOp: halo_work,
    r.MatmulOp: matmul_work,
    r.PoolOp: pool_work,
    r.UnaryOp: unary_work,
    r.BinaryOp: binary_work,
    r.MoveOp: move_work,
    r.ReshardOp: reshard_work,
    r.TransferOp: transfer_work,
}


@lru_cache(maxsize=65536)
def work_of(record: r.Record) -> Work:
    """Return the work of a typed op."""
    formula = _FORMULAS.get(type(record))
    if formula is not None:
        return formula(record)
    if isinstance(record, r.MovementOp):
        return movement_work(_FAMILIES[type(record)], record)
    raise TypeError(f"no formula for {type(record).__name__}")
