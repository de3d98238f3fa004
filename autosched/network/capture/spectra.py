"""Fourier transforms of real tensors and back: each complex number as its two parts.

Products with cosines and sines give the parts. What makes real numbers of complex ones ends a
spectrum; what only gives them another shape, or scales them by constants, goes along.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.network.capture.compositions import Compositions
from autosched.network.rules.rulebook import operator_name

Parts = tuple[Tensor, Tensor]
"""The real and the imaginary parts."""

_TRANSFORMS = Compositions()
_SHAPES = (
    *("reshape", "view", "transpose", "permute", "unsqueeze", "squeeze", "clone", "contiguous"),
    *("select", "slice", "flip", "roll"),
)
_PRODUCT, _SUMS = "mul", {"add": 1.0, "sub": -1.0}
_TURNS = Compositions()
"""What makes complex numbers of complex ones."""
_ENDS = Compositions()


@dataclass(frozen=True)
class Spectrum:
    """Complex numbers from the node that makes them of real ones to those that make real ones.

    ``nodes`` are complex, each after what it reads; ``readers`` make real tensors of them, and
    ``factors`` are the graph's inputs that they are multiplied with.
    """

    nodes: tuple[Node, ...]
    readers: tuple[Node, ...]
    factors: tuple[Node, ...] = ()

    def made(self, known: Mapping[Node, Tensor]) -> tuple[Tensor, ...]:
        """Compute what the readers make of the first node's inputs and of the factors."""
        parts: dict[Node, Parts] = {}
        return tuple(_read(reader, known, parts) for reader in self.readers)


def spectrum_of(node: Node) -> Spectrum | None:
    """The complex numbers that a node begins; None if it does not, or not all of it is known.

    What others begin belongs to them where it is multiplied or added.
    """
    if not _begins(node):
        return None
    nodes, readers, factors = [node], [], []
    for item in nodes:  # which grows
        for user in item.users:
            if operator_name(user) in _ENDS:
                readers.append(user)
                continue
            if operator_name(user) in {_PRODUCT, *_SUMS}:
                found = _read_beside(item, user, nodes)
                if found is None:
                    return None
                factors += found
            elif operator_name(user) not in _SHAPES and operator_name(user) not in _TURNS:
                return None
            if user not in nodes:
                nodes.append(user)
    places = {item: place for place, item in enumerate(node.graph.nodes)}
    factors += [source for item in nodes if item is not node for source in _real_inputs(item)]
    if not readers or any(places[source] > places[node] for source in factors):
        return None
    nodes.sort(key=places.__getitem__)
    return Spectrum(tuple(nodes), tuple(dict.fromkeys(readers)), tuple(dict.fromkeys(factors)))


def sink_transforms(graph: Graph) -> None:
    """Put complex numbers right before their first reader: what two transforms read is before both.

    None is moved beyond an operator that writes into a tensor.
    """
    for node in reversed(list(graph.nodes)):
        if node.op != "call_function" or not _is_complex(node) or not node.users:
            continue
        place = node.next
        while place not in node.users and not _writes(place):
            place = place.next
        place.prepend(node)


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable)


def _begins(node: Node) -> bool:
    return operator_name(node) in _TRANSFORMS and not _is_complex(node.args[0])


def _real_inputs(node: Node) -> list[Node]:
    return list(node.all_input_nodes) if _begins(node) else []


def _is_complex(source: Any) -> bool:
    if not isinstance(source, Node):
        return False
    value = source.meta.get("val")
    return isinstance(value, Tensor) and value.is_complex()


def _read_beside(item: Node, user: Node, nodes: list[Node]) -> list[Node] | None:
    """The real tensors that a product or sum reads beside ``item``; complex ones join ``nodes``."""
    if user.kwargs:
        return None
    found: list[Node] = []
    for factor in user.args:
        if factor is item or factor in nodes:
            continue
        inputs = _inputs_of_factor(factor)
        if inputs is None and isinstance(factor, Node) and _is_complex(factor):
            beginnings = _beginnings(factor)
            if beginnings is None:
                return None
            nodes += [one for one in beginnings if one not in nodes]
        elif inputs is None:
            return None
        else:
            found += inputs
    return found


def _beginnings(node: Node) -> list[Node] | None:
    """The transforms that complex numbers are made by; None if they have another origin."""
    if _begins(node):
        return [node]
    if operator_name(node) not in {*_SHAPES, *_TURNS, _PRODUCT, *_SUMS}:
        return None
    found: list[Node] = []
    for source in node.all_input_nodes:
        if _is_complex(source):
            beginnings = _beginnings(source)
            if beginnings is None and _inputs_of_factor(source) is None:
                return None
            found += beginnings or []
    return found


def _inputs_of_factor(factor: Any) -> list[Node] | None:
    """The graph's inputs that a factor is a mere form of; None if it is something else."""
    if not isinstance(factor, Node):
        return [] if isinstance(factor, (int, float)) else None
    if factor.op == "placeholder":
        return [factor]
    if operator_name(factor) not in {*_SHAPES, "view_as_complex"}:
        return None
    return _inputs_of_factor(factor.args[0])


def _read(node: Node, known: Mapping[Node, Tensor], parts: dict[Node, Parts]) -> Tensor:
    source: Any = node.args[0]
    result: Tensor = _ENDS[operator_name(node)](
        _parts(source, known, parts), *node.args[1:], **node.kwargs
    )
    return result


def _parts(node: Node, known: Mapping[Node, Tensor], parts: dict[Node, Parts]) -> Parts:
    if node not in parts:
        parts[node] = _made_parts(node, known, parts)
    return parts[node]


def _made_parts(node: Node, known: Mapping[Node, Tensor], parts: dict[Node, Parts]) -> Parts:
    name = operator_name(node)
    if node.op == "placeholder":
        real, imaginary = torch.view_as_real(known[node]).unbind(-1)
        return real, imaginary
    source: Any = node.args[0]
    if name in _TURNS and _is_complex(source):
        turned: Parts = _TURNS[name](_parts(source, known, parts), *node.args[1:], **node.kwargs)
        return turned
    if name in _TRANSFORMS:
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
        made: Parts = _TRANSFORMS[name](*args, **kwargs)
        return made
    if name == _PRODUCT:
        first, second = (_factor(item, known, parts) for item in node.args)
        return (
            first[0] * second[0] - first[1] * second[1],
            first[0] * second[1] + first[1] * second[0],
        )
    if name in _SUMS:
        sign = _SUMS[name]
        first, second = (_factor(item, known, parts) for item in node.args)
        return first[0] + second[0] * sign, first[1] + second[1] * sign
    real, imaginary = (_shaped(node, part) for part in _parts(source, known, parts))
    return real, imaginary


def _factor(factor: Any, known: Mapping[Node, Tensor], parts: dict[Node, Parts]) -> Any:
    """The parts of what a product multiplies, 0 for the imaginary one of real numbers."""
    if not isinstance(factor, Node):
        return factor, 0.0
    if factor.meta["val"].is_complex():
        return _parts(factor, known, parts)
    return _real_factor(factor, known), 0.0


def _real_factor(factor: Node, known: Mapping[Node, Tensor]) -> Tensor:
    if factor in known:
        return known[factor]
    source: Any = factor.args[0]
    return _shaped(factor, _real_factor(source, known))


def _shaped(node: Node, part: Tensor) -> Tensor:
    target: Any = node.target
    result: Tensor = target(part, *node.args[1:], **node.kwargs)
    return result


@_ENDS.of("abs")
def _length(parts: Parts) -> Tensor:
    return (parts[0].square() + parts[1].square()).sqrt()


@_ENDS.of("real")
def _real(parts: Parts) -> Tensor:
    return parts[0]


@_ENDS.of("imag")
def _imaginary(parts: Parts) -> Tensor:
    return parts[1]


@_ENDS.of("view_as_real")
def _pairs(parts: Parts) -> Tensor:
    return torch.stack(parts, -1)


@_TRANSFORMS.of("view_as_complex")
def _of_pairs(pairs: Tensor) -> Parts:
    return pairs.select(-1, 0), pairs.select(-1, 1)


@_TRANSFORMS.of("complex")
def _of_parts(real: Tensor, imaginary: Tensor) -> Parts:
    return real, imaginary


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
    **__: Any,
) -> Parts:
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
    parts = (found.narrow(1, 0, count), found.narrow(1, count, count))
    return parts if source.dim() == 2 else (parts[0].squeeze(0), parts[1].squeeze(0))


# Of each dimension's transform; "backward" has none on the way there.
_SCALES = {"ortho": -0.5, "forward": -1.0, "backward": 0.0}
_SCALES_BACK = {"ortho": -0.5, "forward": 0.0, "backward": -1.0}
_SIDES = (-2, -1)


@_TRANSFORMS.of("fft_rfft")
def _transform(
    source: Tensor, size: int | None = None, dim: int = -1, norm: str | None = None
) -> Parts:
    parts: Parts = _transform_all(source, None if size is None else (size,), (dim,), norm)
    return parts


@_TRANSFORMS.of("fft_rfft2")
def _transform_images(
    source: Tensor,
    sizes: Sequence[int] | None = None,
    dims: Sequence[int] = _SIDES,
    norm: str | None = None,
) -> Parts:
    parts: Parts = _transform_all(source, sizes, dims, norm)
    return parts


@_TRANSFORMS.of("fft_rfftn")
def _transform_all(
    source: Tensor,
    sizes: Sequence[int] | None = None,
    dims: Sequence[int] | None = None,
    norm: str | None = None,
) -> Parts:
    dims = _dims(source, sizes, dims)
    lengths = [source.shape[dim] for dim in dims]
    if sizes is not None and list(sizes) != lengths:
        raise NotImplementedError
    *others, last = dims
    count, scale = lengths[-1] // 2 + 1, lengths[-1] ** _SCALES[norm or "backward"]
    cosines, sines = _waves(count, lengths[-1])
    parts = (_product(source, cosines * scale, last), _product(source, sines * scale, last))
    return _turned_all(parts, None, others, norm)


def _turned_all(
    parts: Parts | Tensor,
    sizes: Sequence[int] | None,
    dims: Sequence[int] | None,
    norm: str | None,
    *,
    back: bool = False,
) -> Parts:
    """Transform complex numbers, or real ones, along some dimensions, whose lengths they keep."""
    source = parts if isinstance(parts, Tensor) else parts[0]
    dims = _dims(source, sizes, dims)
    if sizes is not None and list(sizes) != [source.shape[dim] for dim in dims]:
        raise NotImplementedError
    for dim in dims:
        size = source.shape[dim]
        scale = size ** (_SCALES_BACK if back else _SCALES)[norm or "backward"]
        cosines, sines = (wave * scale for wave in _waves(size, size))
        parts = _turned(parts, cosines, -sines if back else sines, dim)
    assert not isinstance(parts, Tensor)  # noqa: S101 - of one dimension at least
    return parts


@_TURNS.of("conj", "_conj", "_conj_physical", "conj_physical", "resolve_conj")
def _conjugate(parts: Parts) -> Parts:
    return parts[0], -parts[1]


def _register_turns(name: str, *, back: bool) -> None:
    """Register the transforms of complex numbers, of one dimension, of two and of all."""

    @_TURNS.of(name)
    def of_one(
        parts: Parts, size: int | None = None, dim: int = -1, norm: str | None = None
    ) -> Parts:
        return _turned_all(parts, None if size is None else (size,), (dim,), norm, back=back)

    @_TURNS.of(f"{name}2")
    def of_sides(
        parts: Parts,
        sizes: Sequence[int] | None = None,
        dims: Sequence[int] = _SIDES,
        norm: str | None = None,
    ) -> Parts:
        return _turned_all(parts, sizes, dims, norm, back=back)

    @_TURNS.of(f"{name}n")
    def of_all(
        parts: Parts,
        sizes: Sequence[int] | None = None,
        dims: Sequence[int] | None = None,
        norm: str | None = None,
    ) -> Parts:
        return _turned_all(parts, sizes, dims, norm, back=back)


_register_turns("fft_fft", back=False)
_register_turns("fft_ifft", back=True)


def _register_whole(name: str) -> None:
    """Register a transform of real numbers whose result has all waves."""

    @_TRANSFORMS.of(name)
    def of_real(source: Tensor, *options: Any, **named: Any) -> Parts:
        made: Parts = _TURNS[name](source, *options, **named)
        return made


for _name in ("fft_fft", "fft_fft2", "fft_fftn"):
    _register_whole(_name)


@_ENDS.of("fft_irfft")
def _transform_back(
    parts: Parts, size: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    sizes = None if size is None else (size,)
    result: Tensor = _transform_all_back(parts, sizes, (dim,), norm)
    return result


@_ENDS.of("fft_irfft2")
def _transform_images_back(
    parts: Parts,
    sizes: Sequence[int] | None = None,
    dims: Sequence[int] = _SIDES,
    norm: str | None = None,
) -> Tensor:
    result: Tensor = _transform_all_back(parts, sizes, dims, norm)
    return result


@_ENDS.of("fft_irfftn")
def _transform_all_back(
    parts: Parts,
    sizes: Sequence[int] | None = None,
    dims: Sequence[int] | None = None,
    norm: str | None = None,
) -> Tensor:
    dims = _dims(parts[0], sizes, dims)
    counts = [parts[0].shape[dim] for dim in dims]
    size = 2 * (counts[-1] - 1) if sizes is None else sizes[-1]
    if size // 2 + 1 != counts[-1] or list(sizes or counts)[:-1] != counts[:-1]:
        raise NotImplementedError
    *others, last = dims
    parts = _turned_all(parts, None, others, norm, back=True)
    # All but the constant and the fastest wave stand for their conjugates, too.
    twice = torch.full((counts[-1], 1), 2.0 * size ** _SCALES_BACK[norm or "backward"])
    twice[0] /= 2
    if size % 2 == 0:
        twice[-1] /= 2
    waves = ((wave * twice).transpose(0, 1) for wave in _waves(counts[-1], size))
    real, imaginary = (_product(part, wave, last) for part, wave in zip(parts, waves, strict=True))
    return real + imaginary


def _dims(source: Tensor, sizes: Sequence[int] | None, dims: Sequence[int] | None) -> list[int]:
    rank = source.dim()
    if dims is None:
        dims = range(rank) if sizes is None else range(rank - len(sizes), rank)
    return [dim % rank for dim in dims]


def _product(source: Tensor, waves: Tensor, dim: int) -> Tensor:
    """Multiply waves (results, length) with a dimension."""
    return torch.matmul(source.movedim(dim, -1), waves.transpose(0, 1)).movedim(-1, dim)


def _turned(parts: Parts | Tensor, cosines: Tensor, sines: Tensor, dim: int) -> Parts:
    """Multiply complex waves with a dimension of complex numbers, or of real ones."""
    if isinstance(parts, Tensor):
        return _product(parts, cosines, dim), _product(parts, sines, dim)
    real, imaginary = parts
    return (
        _product(real, cosines, dim) - _product(imaginary, sines, dim),
        _product(real, sines, dim) + _product(imaginary, cosines, dim),
    )
