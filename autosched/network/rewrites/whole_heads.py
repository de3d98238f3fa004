"""Attention whose heads are whole tiles: its projections make channels of zeros to fill them up.

A head of, say, 36 channels lies across tiles, and cutting it out moves every row of it by itself;
with 28 channels of zeros more it ends where a tile does, and on the device it takes as many tiles
as before. Queries and keys of zeros add nothing to a score, and what values of zeros make meets
columns of zeros in the next projection.
"""

import math
from dataclasses import dataclass, replace

from torch import Tensor, cat

from autosched.network.draft_graph import Draft, DraftGraph
from autosched.network.graph import Weights
from autosched.network.operators import Attention, Conv2d, Permute, Slice, is_pointwise

_TILE = 32


@dataclass(frozen=True)
class _Heads:
    """Channels of a head before and after."""

    width: int
    whole: int

    def widened(self, channels: int) -> int:
        return channels // self.width * self.whole

    def filled(self, values: Tensor, dim: int) -> Tensor:
        """Return values with zeros behind each head's along ``dim``."""
        shape = list(values.shape)
        shape[dim : dim + 1] = [-1, self.width]
        heads = values.reshape(shape)
        shape = list(heads.shape)
        shape[dim + 1] = self.whole - self.width
        return cat([heads, heads.new_zeros(shape)], dim + 1).flatten(dim, dim + 1)


def widen_heads(graph: DraftGraph) -> None:
    """Fill up heads between pointwise convolutions, where no one else reads what they make.

    It is exact.
    """
    for draft in graph:
        if not isinstance(draft.op, Attention) or not draft.shape[1] // draft.op.heads % _TILE:
            continue
        width = draft.shape[1] // draft.op.heads
        before, after = _before(graph, draft), _after(graph, draft)
        if _may_be_wider(graph, draft, before, after):
            heads = _Heads(width, -(-width // _TILE) * _TILE)
            changed = [*before, draft, *after[:-1]]
            # All are looked for before any shape changes.
            axes = [_channel_axis(graph, item) for item in changed]
            for item, axis in zip(changed, axes, strict=True):
                _widen(graph, item, axis, heads)
            _take_wider(after[-1], heads)


def _before(graph: DraftGraph, attention: Draft) -> list[Draft]:
    """Return what makes queries, keys and values, back to what is no slice or permutation."""
    found: dict[str, Draft] = {}
    for key in attention.inputs[:3]:
        draft = graph.drafts[key]
        while _hands_on(graph, draft, attention.shape[1]):
            found[draft.key] = draft
            draft = graph.producer(draft)
        found[draft.key] = draft
    return list(found.values())


def _after(graph: DraftGraph, attention: Draft) -> list[Draft]:
    """Return what reads the result, one after the other, up to what is no permutation."""
    found: list[Draft] = []
    users = graph.users(attention.key)
    while len(users) == 1:
        found += users
        if not _hands_on(graph, users[0], attention.shape[1]):
            break
        users = graph.users(users[0].key)
    return found


def _hands_on(graph: DraftGraph, draft: Draft, channels: int) -> bool:
    """Whether a slice or a permutation leaves the ``channels`` of all heads together."""
    if isinstance(draft.op, Slice):
        return draft.op.stop - draft.op.start == channels and draft.op.start % channels == 0
    return _channel_axis(graph, draft) is not None


def _channel_axis(graph: DraftGraph, draft: Draft) -> int | None:
    """Return which of a permutation's axes is that of the channels, before and after."""
    op = draft.op
    if not isinstance(op, Permute):
        return None
    source = graph.producer(draft).shape
    for place, axis in enumerate(op.order):
        before = (math.prod(op.sizes[:axis]), op.sizes[axis])
        after = (math.prod(op.sizes[index] for index in op.order[:place]), op.sizes[axis])
        if (before, after) == (source[:2], draft.shape[:2]):
            return axis
    return None


def _may_be_wider(
    graph: DraftGraph, attention: Draft, before: list[Draft], after: list[Draft]
) -> bool:
    """Whether pointwise convolutions are at both ends, and nobody else reads in between."""
    if not after or len(set(attention.inputs[:3])) < len(attention.inputs[:3]):
        return False
    ends = [draft for draft in before if isinstance(draft.op, Conv2d)]
    others = [draft for draft in before if not isinstance(draft.op, Conv2d)]
    handing_on = {draft.key for draft in [*others, attention]}
    return (
        all(_hands_on(graph, draft, attention.shape[1]) for draft in others)
        and all(_is_plain_projection(draft, attention.shape[1]) for draft in ends)
        and isinstance(after[-1].op, Conv2d)
        and is_pointwise(after[-1].op)
        and all(user.key in handing_on for draft in before for user in graph.users(draft.key))
    )


def _is_plain_projection(draft: Draft, channels: int) -> bool:
    op = draft.op
    return (
        isinstance(op, Conv2d)
        and is_pointwise(op)
        and op.activation is None
        and op.out_channels % channels == 0
    )


def _widen(graph: DraftGraph, draft: Draft, axis: int | None, heads: _Heads) -> None:
    """Let a layer make or hand on channels of zeros behind each head's."""
    match draft.op:
        case Conv2d() as op:
            assert draft.weights is not None  # noqa: S101 - a convolution has weights
            weight, bias = draft.weights.weight, draft.weights.bias
            draft.op = replace(op, out_channels=heads.widened(op.out_channels))
            draft.weights = Weights(
                heads.filled(weight, 0), None if bias is None else heads.filled(bias, 0)
            )
        case Slice() as op:
            draft.op = Slice(heads.widened(op.start), heads.widened(op.stop))
        case Permute() as op:
            assert axis is not None  # noqa: S101 - by choice
            sizes = (*op.sizes[:axis], heads.widened(op.sizes[axis]), *op.sizes[axis + 1 :])
            draft.op = replace(op, sizes=sizes)
    batch, channels, *sides = draft.shape
    draft.shape = (batch, heads.widened(channels), *sides)
    graph.renew(draft, f"{draft.key}.widened")


def _take_wider(reader: Draft, heads: _Heads) -> None:
    """Let the projection behind attention read channels of zeros."""
    assert isinstance(reader.op, Conv2d)  # noqa: S101 - by choice
    assert reader.weights is not None  # noqa: S101 - a convolution has weights
    reader.op = replace(reader.op, in_channels=heads.widened(reader.op.in_channels))
    reader.weights = Weights(heads.filled(reader.weights.weight, 1), reader.weights.bias)
