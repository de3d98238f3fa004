"""Fourier transforms of real tensors: each complex number as a pair in a last dimension of two.

Products with cosines and sines give such pairs. What reads complex numbers and makes real ones of
them ends a spectrum; what only gives them another shape goes along.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.network.capture.compositions import Compositions
from autosched.network.rules.rulebook import operator_name

_TRANSFORMS = Compositions()
_SHAPES = ("reshape", "view", "transpose", "permute", "unsqueeze", "squeeze", "clone", "contiguous")
_ENDS = Compositions()


def has_spectrum(node: Node) -> bool:
    """Whether a node makes complex numbers of real ones in a way that is known here."""
    return operator_name(node) in _TRANSFORMS


def readers_of_spectrum(node: Node) -> list[Node] | None:
    """The nodes that make real tensors of a node's complex ones, None if some are not known."""
    ends: list[Node] = []
    spectrum = [node]
    for item in spectrum:  # which grows
        for user in item.users:
            if operator_name(user) in _ENDS:
                ends.append(user)
            elif operator_name(user) in _SHAPES:
                spectrum.append(user)
            else:
                return None
    return ends


def made_of_spectrum(node: Node, readers: list[Node], args: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Compute what the readers make of a transform with these arguments."""
    known = {node: _TRANSFORMS[operator_name(node)](*args)}
    return tuple(_read(reader, known) for reader in readers)


def _read(node: Node, known: dict[Node, Tensor]) -> Tensor:
    source: Any = node.args[0]
    if source not in known:
        # The pair comes last, whatever becomes of the other dimensions.
        known[source] = _pairs_shaped(source, known)
    result: Tensor = _ENDS[operator_name(node)](known[source])
    return result


def _pairs_shaped(node: Node, known: dict[Node, Tensor]) -> Tensor:
    source: Any = node.args[0]
    if source not in known:
        known[source] = _pairs_shaped(source, known)
    shaped = (_shaped(node, part) for part in known[source].unbind(-1))
    return torch.stack(list(shaped), -1)


def _shaped(node: Node, part: Tensor) -> Tensor:
    target: Any = node.target
    result: Tensor = target(part, *node.args[1:], **node.kwargs)
    return result


@_ENDS.of("abs")
def _length(pairs: Tensor) -> Tensor:
    return pairs.square().sum(-1).sqrt()


@_ENDS.of("real")
def _real(pairs: Tensor) -> Tensor:
    return pairs.select(-1, 0)


@_ENDS.of("imag")
def _imaginary(pairs: Tensor) -> Tensor:
    return pairs.select(-1, 1)


@_ENDS.of("view_as_real")
def _pairs(pairs: Tensor) -> Tensor:
    return pairs


def _waves(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Cosines and negative sines (count, size) of whole numbers of turns in ``size`` steps."""
    turns = torch.outer(torch.arange(count), torch.arange(size)).remainder(size)
    angles = turns.to(torch.float64) * (2 * math.pi / size)
    return angles.cos().to(torch.float32), angles.sin().neg().to(torch.float32)


@_TRANSFORMS.of("stft")
def _short_time(  # noqa: PLR0917 - as PyTorch has it
    source: Tensor,
    size: int,
    step: int | None = None,
    length: int | None = None,
    window: Tensor | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    *_: Any,
) -> Tensor:
    """Transform windows of a series: a convolution with waves."""
    if onesided is False:
        raise NotImplementedError
    count, length = size // 2 + 1, length or size
    waves = torch.cat(_waves(count, size))
    if window is None:
        window = torch.ones(length)
    left = (size - length) // 2
    waves = waves * F.pad(window, (left, size - length - left))
    if normalized:
        waves = waves / math.sqrt(size)
    series = source.reshape(-1, 1, source.shape[-1])
    found = F.conv1d(series, waves.unsqueeze(1), stride=step or size // 4)
    pairs = torch.stack([found.narrow(1, 0, count), found.narrow(1, count, count)], -1)
    return pairs if source.dim() == 2 else pairs.squeeze(0)


@_TRANSFORMS.of("fft_rfft")
def _transform(
    source: Tensor, size: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    length = source.shape[dim]
    if size not in {None, length}:
        raise NotImplementedError
    scale = {"ortho": 1 / math.sqrt(length), "forward": 1 / length}.get(norm or "", 1.0)
    last = source.movedim(dim, -1)
    parts = [
        torch.matmul(last, wave.transpose(0, 1) * scale).movedim(-1, dim)
        for wave in _waves(length // 2 + 1, length)
    ]
    return torch.stack(parts, -1)
