"""Flattened images before linear layers, without the transposition that PyTorch's order takes.

On the device an image's pixels are rows of channels, and PyTorch flattens channel by channel. A
small linear layer becomes the convolution that it is, with one window as large as the image; the
columns of a large one's matrix change places, so that pixels are flattened as they lie.
"""

import torch

from autosched.network.draft_graph import Draft, DraftGraph
from autosched.network.graph import Weights
from autosched.network.operators import Conv2d, Linear, Permute, Reshape

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
