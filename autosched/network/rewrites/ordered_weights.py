"""Weights of a layer for channels in another order, or beside channels of zeros.

All of it is exact: sums are in another order, and have zeros in them.
"""

from dataclasses import dataclass, replace

import torch

from autosched.network.draft_graph import Draft, DraftGraph
from autosched.network.graph import Weights
from autosched.network.operators import (
    Constant,
    Conv2d,
    ConvTranspose2d,
    Linear,
    Unary,
    is_pointwise,
)

_ZERO_AT_ZERO = (
    *("relu", "relu6", "silu", "gelu", "gelu_tanh", "hardswish", "leaky_relu", "mish", "tanh"),
    *("elu", "selu"),
)


@dataclass(frozen=True)
class Order:
    """The channels of a tensor, or some, in another order: channel c is ``places[c]`` of ``key``.

    ``count`` is how many channels ``key`` has.
    """

    key: str
    places: torch.Tensor
    count: int

    @property
    def is_plain(self) -> bool:
        """Whether it is the tensor as it is."""
        return self.is_whole and bool((self.places == torch.arange(self.count)).all())

    @property
    def is_whole(self) -> bool:
        """Whether all channels are there."""
        return len(self.places) == self.count

    def same_places(self, other: "Order") -> bool:
        """Whether another tensor's channels are in the same order."""
        return self.count == other.count and torch.equal(self.places, other.places)


def weights_of(draft: Draft) -> Weights:
    """The parameters of a layer that has some."""
    assert draft.weights is not None  # noqa: S101 - asked of layers with weights alone
    return draft.weights


def with_rows(weights: Weights, places: torch.Tensor) -> Weights:
    """The parameters that make channel ``places[c]`` as channel c."""
    bias = None if weights.bias is None else weights.bias[places]
    return Weights(weights.weight[places], bias)


def may_have_zeros(graph: DraftGraph, reader: Draft, key: str) -> bool:
    """Whether a layer can make channels of zeros beside its own at little cost."""
    draft = graph.drafts[key]
    op = draft.op
    if not isinstance(op, Conv2d) or not is_pointwise(op) or not graph.is_only_user(reader, draft):
        return False
    return op.activation is None or op.activation.name in _ZERO_AT_ZERO


def put_rows(draft: Draft, rows: torch.Tensor, channels: int) -> None:
    """Give a convolution more channels, of which its own are ``rows`` and the others zeros."""
    weights, op = weights_of(draft), draft.op
    assert isinstance(op, Conv2d)  # noqa: S101 - as was looked at
    weight = weights.weight.new_zeros(channels, *weights.weight.shape[1:])
    bias = None if weights.bias is None else weights.bias.new_zeros(channels)
    weight[rows] = weights.weight
    if bias is not None and weights.bias is not None:
        bias[rows] = weights.bias
    draft.weights = Weights(weight, bias)
    draft.op = replace(op, out_channels=channels)
    draft.shape = (draft.shape[0], channels, *draft.shape[2:])


def has_rows(draft: Draft) -> bool:
    """Whether a layer's channels may be made in any order."""
    match draft.op:
        case Conv2d() as op:
            return op.groups == 1 or op.groups < op.in_channels
        case ConvTranspose2d() as op:
            return op.groups == 1
        case Constant():
            return len(draft.shape) == 4
        case _:
            return False


def scales_each(draft: Draft) -> bool:
    """Whether a layer is a convolution of each channel for itself."""
    op = draft.op
    return isinstance(op, Conv2d) and 1 < op.groups == op.in_channels == op.out_channels


def order_rows(draft: Draft, places: torch.Tensor) -> None:
    """Let a layer make channel ``places[c]`` as channel c, which functions of values do anyway."""
    if isinstance(draft.op, Unary):
        return
    weights = weights_of(draft)
    if isinstance(draft.op, Conv2d):
        draft.weights = with_rows(weights if scales_each(draft) else _dense(draft), places)
        return
    # Transposed convolutions and constants have their channels second.
    bias = None if weights.bias is None else weights.bias[places]
    draft.weights = Weights(weights.weight[:, places].contiguous(), bias)


def takes_columns(draft: Draft, order: Order) -> bool:
    """Whether a layer sums over all channels, so that they may come in any order.

    Of some of a tensor's channels, ones that are not read get a weight of 0: worth it where it
    saves a layer as large.
    """
    match draft.op:
        case Conv2d() as op if op.groups == 1:
            return order.is_whole or op.kernel == (1, 1)
        case Conv2d() as op:
            return order.is_whole and op.groups < op.in_channels
        case ConvTranspose2d() as op:
            return order.is_whole and op.groups == 1
        case Linear():
            return order.is_whole
        case _:
            return False


def take_columns(draft: Draft, order: Order) -> None:
    """Let a layer read channels where they are, for which it sums over all that are there."""
    weights = _dense(draft) if isinstance(draft.op, Conv2d) else weights_of(draft)
    op = draft.op
    axis = 0 if isinstance(op, ConvTranspose2d) else 1
    shape = list(weights.weight.shape)
    shape[axis] = order.count
    placed = weights.weight.new_zeros(shape)
    placed.index_copy_(axis, order.places.to(placed.device), weights.weight)
    draft.weights = Weights(placed, weights.bias)
    if isinstance(op, (Conv2d, ConvTranspose2d)):
        draft.op = replace(op, in_channels=order.count)


def _dense(draft: Draft) -> Weights:
    """Make a convolution's groups one, with zeros between them, as ttnn does anyway."""
    op, weights = draft.op, weights_of(draft)
    assert isinstance(op, Conv2d)  # noqa: S101 - asked of convolutions alone
    if op.groups == 1:
        return weights
    outputs, inputs = op.out_channels // op.groups, op.in_channels // op.groups
    dense = weights.weight.new_zeros(op.out_channels, op.in_channels, *op.kernel)
    for group in range(op.groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        dense[rows, group * inputs : (group + 1) * inputs] = weights.weight[rows]
    draft.op = replace(op, groups=1)
    return Weights(dense, weights.bias)
