"""Weights of a layer for channels in another order, or beside channels of zeros.

All of it is exact: sums are in another order, and have zeros in them. So are flattened images
before linear layers, without the transposition that PyTorch's order takes: on the device an image's
pixels are rows of channels, and PyTorch flattens channel by channel. A small linear layer becomes
the convolution that it is, with one window as large as the image; the columns of a large one's
matrix change places, so that pixels are flattened as they lie.
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
    Permute,
    Reshape,
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


_CHANNELS_LAST = (0, 2, 3, 1)
# Up to so many weights the convolution is estimated at 0.5 to 0.8 of flattening and a linear layer
# (6 heads of 48,000 to 2.1 million, n150); at 38 million at 2.7 times as much.
_SMALL = 1 << 21


def fold_flattening(graph: DraftGraph) -> None:
    """Flatten images before linear layers as they lie, or not at all, where nobody else reads that.

    Both are exact.
    """
    for draft in graph:
        readers = list({reader.key: reader for reader in graph.users(draft.key)}.values())
        linear = all(isinstance(reader.op, Linear) for reader in readers)
        if not linear or not _flattens_pixels(graph, draft):
            continue
        if all(_weight(reader).numel() <= _SMALL for reader in readers):
            for reader in readers:
                _become_convolution(graph, reader, graph.producer(draft))
            del graph.drafts[draft.key]
        else:
            _flatten_as_it_lies(graph, draft, readers)


def _flattens_pixels(graph: DraftGraph, draft: Draft) -> bool:
    if draft.op != Reshape() or len(draft.shape) != 2:
        return False
    source = graph.producer(draft).shape
    return (
        len(source) == 4
        and source[0] == draft.shape[0]
        and source[1] > 1
        and source[2] * source[3] > 1
    )


def _become_convolution(graph: DraftGraph, reader: Draft, image: Draft) -> None:
    """Put a convolution of one window before a linear layer, which only reshapes its result."""
    op = reader.op
    assert isinstance(op, Linear)  # noqa: S101 - as was looked at
    assert reader.weights is not None  # noqa: S101 - a linear layer has weights
    batch, channels, *sides = image.shape
    kernel = (sides[0], sides[1])
    matrix = reader.weights.weight.reshape(op.out_features, channels, *kernel)
    window = Draft(
        f"{reader.key}.window",
        reader.name,
        Conv2d(channels, op.out_features, kernel, has_bias=op.has_bias, activation=op.activation),
        [image.key],
        (batch, op.out_features, 1, 1),
        reader.place,
        Weights(matrix.contiguous(), reader.weights.bias),
    )
    graph.insert_before(reader, window)
    reader.name = f"{reader.name}.flatten"
    reader.op, reader.inputs, reader.weights = Reshape(), [window.key], None


def _flatten_as_it_lies(graph: DraftGraph, draft: Draft, readers: list[Draft]) -> None:
    sizes = graph.producer(draft).shape
    for reader in readers:
        weight = _weight(reader)
        columns = torch.arange(weight.shape[1]).reshape(sizes[1:]).permute(1, 2, 0).reshape(-1)
        bias = None if reader.weights is None else reader.weights.bias
        reader.weights = Weights(weight[:, columns].contiguous(), bias)
    draft.op = Permute(sizes, _CHANNELS_LAST)
    graph.renew(draft, f"{draft.key}.pixels")


def _weight(reader: Draft) -> torch.Tensor:
    assert reader.weights is not None  # noqa: S101 - a linear layer has weights
    return reader.weights.weight
