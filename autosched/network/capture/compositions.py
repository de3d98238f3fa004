"""Definitions of operators by others that have layers, where PyTorch's own are of no use for that.

Each function takes what the operator of its name takes, in the order of its ATen schema
(native_functions.yaml), and computes the same.
"""

# ruff: noqa: PLR0913, PLR0917 - PyTorch's operators take so many arguments

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it


class Compositions(dict[str, Callable[..., Any]]):
    """Definitions by the operators' plain names."""

    def of(self, *names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated function for operators of these names."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.update(dict.fromkeys(names, function))
            return function

        return register


COMPOSITIONS = Compositions()


# Writing into a part of a tensor puts what is before it, the part, and what is after it together.


@COMPOSITIONS.of("slice_scatter")
def _slice_scatter(
    source: Tensor,
    part: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    size = source.shape[dim]
    first, last, _ = slice(start, end).indices(size)
    places = range(first, max(last, first), step)
    if not places:
        return source
    if step == 1:
        return _joined(source, part, dim, first, first + len(places))
    result = source
    for number, place in enumerate(places):
        result = _joined(result, part.narrow(dim, number, 1), dim, place, place + 1)
    return result


@COMPOSITIONS.of("select_scatter")
def _select_scatter(source: Tensor, part: Tensor, dim: int, index: int) -> Tensor:
    index %= source.shape[dim]
    return _joined(source, part.unsqueeze(dim), dim, index, index + 1)


def _joined(source: Tensor, part: Tensor, dim: int, start: int, stop: int) -> Tensor:
    before, after = source.narrow(dim, 0, start), source.narrow(dim, stop, source.shape[dim] - stop)
    parts = [item for item in (before, part, after) if item.shape[dim]]
    return torch.cat(parts, dim) if len(parts) > 1 else part


@COMPOSITIONS.of("copy")
def _copied(target: Tensor, source: Tensor, _non_blocking: bool = False) -> Tensor:
    return source.expand(target.shape)


@COMPOSITIONS.of("index_put")
def _index_put(source: Tensor, indices: Sequence[Tensor | None], values: Tensor) -> Tensor:
    """Write one number where a mask is true."""
    (mask,) = indices
    if mask is None or mask.shape != source.shape or values.numel() != 1:
        raise NotImplementedError
    return torch.where(mask, values, source)


# A comparison of two tensors is one of their difference with zero.


def _register_comparison(name: str) -> None:
    function = getattr(torch, name)

    @COMPOSITIONS.of(name)
    def compared(one: Tensor, other: Any) -> Tensor:
        if not isinstance(other, torch.Tensor):
            raise NotImplementedError
        return function(one - other, 0)  # type: ignore[no-any-return]


for _name in ("gt", "lt", "ge", "le", "eq", "ne"):
    _register_comparison(_name)


@COMPOSITIONS.of("any")
def _any(source: Tensor, *dims: Any) -> Tensor:
    return source.to(torch.float32).amax(*dims) > 0


@COMPOSITIONS.of("all")
def _all(source: Tensor, *dims: Any) -> Tensor:
    return source.to(torch.float32).amin(*dims) > 0


@COMPOSITIONS.of("clamp", "clamp_min", "clamp_max")
def _clamped(source: Tensor, *bounds: Tensor | None) -> Tensor:
    low, high = bounds
    result = source if low is None else torch.maximum(source, low)
    return result if high is None else torch.minimum(result, high)


# Norms, distances, sums.


@COMPOSITIONS.of("logsumexp")
def _log_of_powers(source: Tensor, dim: Sequence[int], keepdim: bool = False) -> Tensor:
    """Leave the largest out of the powers, which then neither overflow nor all vanish."""
    dims = list(dim)
    largest = source.amax(dims, keepdim=True)
    powers = torch.exp(source - largest).sum(dims, keepdim=True)
    result = torch.log(powers) + largest
    return result if keepdim else result.squeeze(dims)


@COMPOSITIONS.of("log_softmax")
def _log_of_shares(source: Tensor, dim: int, *_: Any) -> Tensor:
    """Take logarithms of sums alone: a share of less than float32's least has one, too."""
    shifted = source - source.amax(dim, keepdim=True)
    return shifted - torch.log(torch.exp(shifted).sum(dim, keepdim=True))


@COMPOSITIONS.of("layer_norm")
def _layer_norm(
    source: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """Normalise over several dimensions as over one, with a scale and a shift for each element."""
    if len(shape) < 2:
        raise NotImplementedError
    flat = source.flatten(source.dim() - len(shape))
    result = F.layer_norm(flat, flat.shape[-1:], None, None, eps).reshape(source.shape)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


@COMPOSITIONS.of("var_mean")
def _variance_and_mean(source: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    return torch.var(source, *args, **kwargs), _mean(source, *args, **kwargs)


@COMPOSITIONS.of("std_mean")
def _deviation_and_mean(source: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    return torch.std(source, *args, **kwargs), _mean(source, *args, **kwargs)


def _mean(source: Tensor, *args: Any, keepdim: bool = False, **_: Any) -> Tensor:
    """Take the mean over what a spread is of: (dim, unbiased, keepdim), or (unbiased) alone."""
    dim = args[0] if args and not isinstance(args[0], bool) else None
    keepdim = keepdim or args[2:] == (True,)
    return torch.mean(source, dim, keepdim=keepdim)


@COMPOSITIONS.of("cdist")
def _distances(one: Tensor, other: Tensor, p: float = 2.0, _mode: int | None = None) -> Tensor:
    """Distances of points by the cosine rule, as PyTorch takes them of many points."""
    if p != 2:
        raise NotImplementedError
    squares = one.square().sum(-1, keepdim=True) + other.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * torch.matmul(one, other.transpose(-2, -1))).clamp_min(0).sqrt()


@COMPOSITIONS.of("cumsum")
def _cumulated(source: Tensor, dim: int, **_: Any) -> Tensor:
    """Sums of all elements up to each: a product with ones above the diagonal."""
    size = source.shape[dim]
    return torch.matmul(source.movedim(dim, -1), torch.ones(size, size).triu()).movedim(-1, dim)


@COMPOSITIONS.of("scaled_dot_product_attention")
def _attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention step by step: with a computed mask, or with values of another width."""
    if dropout or is_causal:
        raise NotImplementedError
    if enable_gqa:
        keys, values = (
            item.repeat_interleave(queries.shape[-3] // item.shape[-3], -3)
            for item in (keys, values)
        )
        if mask is None:
            return F.scaled_dot_product_attention(queries, keys, values, scale=scale)
    leading = queries.shape[:-3]
    if len(leading) > 1 and keys.shape[:-3] == leading and (mask is None or mask.dim() < 4):
        queries, keys, values = (
            item.flatten(0, len(leading) - 1) for item in (queries, keys, values)
        )
        result = F.scaled_dot_product_attention(queries, keys, values, mask, scale=scale)
        return torch.unflatten(result, 0, list(leading))
    scale = 1 / math.sqrt(queries.shape[-1]) if scale is None else scale
    scores = torch.matmul(queries, keys.transpose(-2, -1)) * scale
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(mask.logical_not(), -1e9)
    elif mask is not None:
        scores = scores + mask
    return torch.matmul(torch.softmax(scores, -1), values)


# Recurrent layers, step by step.


@COMPOSITIONS.of("lstm")
def _lstm(
    source: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    has_biases: bool,
    layers: int,
    _dropout: float,
    _train: bool,
    is_both: bool,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    if len(parameters) != (4 if has_biases else 2) * layers * (1 + is_both):
        raise NotImplementedError  # it projects its hidden values

    def step(
        entry: Tensor, hidden: Tensor, state: Tensor, weight: Tensor, bias: Tensor | None
    ) -> Any:
        gates = entry + F.linear(hidden, weight, bias)
        enters, keeps, new, leaves = gates.chunk(4, -1)
        state = torch.sigmoid(keeps) * state + torch.sigmoid(enters) * torch.tanh(new)
        return torch.sigmoid(leaves) * torch.tanh(state), state

    return _recurrent(source, states, parameters, has_biases, layers, is_both, batch_first, step)  # type: ignore[return-value]


@COMPOSITIONS.of("gru")
def _gru(
    source: Tensor,
    state: Tensor,
    parameters: Sequence[Tensor],
    has_biases: bool,
    layers: int,
    _dropout: float,
    _train: bool,
    is_both: bool,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor]:
    def step(entry: Tensor, hidden: Tensor, _: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        reset, update, new = entry.chunk(3, -1)
        own_reset, own_update, own_new = F.linear(hidden, weight, bias).chunk(3, -1)
        keep = torch.sigmoid(update + own_update)
        new = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
        hidden = new + keep * (hidden - new)
        return hidden, hidden

    results = _recurrent(
        source, (state, state), parameters, has_biases, layers, is_both, batch_first, step
    )
    return results[0], results[1]


MOST_STEPS = 256
"""Up to so many steps recurrent layers are unrolled."""


def _recurrent(
    source: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    has_biases: bool,
    layers: int,
    is_both: bool,
    batch_first: bool,
    step: Callable[..., tuple[Tensor, Tensor]],
) -> tuple[Tensor, ...]:
    """Run a step over a series for each layer and way; what does not wait for it runs before."""
    if source.dim() != 3:
        raise NotImplementedError
    series = source if batch_first else source.transpose(0, 1)
    if series.shape[1] * layers * (1 + is_both) > MOST_STEPS:
        raise NotImplementedError
    count, lasts = 4 if has_biases else 2, []
    for layer in range(layers):
        ways = []
        for back in (False, True)[: 1 + is_both]:
            run = layer * (1 + is_both) + back
            into, again, *biases = parameters[run * count : (run + 1) * count]
            entry_bias, bias = biases or (None, None)
            entries = F.linear(series, into, entry_bias)
            found: list[Tensor] = []
            hidden, state = (item[run] for item in states)
            for place in range(series.shape[1])[:: -1 if back else 1]:
                entry = entries.narrow(1, place, 1).squeeze(1)
                hidden, state = step(entry, hidden, state, again, bias)
                found.append(hidden)
            ways.append(torch.stack(found[:: -1 if back else 1], 1))
            lasts.append((hidden, state))
        series = torch.cat(ways, -1) if is_both else ways[0]
    ends = (torch.stack(items) for items in zip(*lasts, strict=True))
    return (series if batch_first else series.transpose(0, 1), *ends)


# Elements by their places, which are known before.


@COMPOSITIONS.of("slice")
def _each_few(
    source: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    if step == 1:
        raise NotImplementedError
    first, last, _ = slice(start, end).indices(source.shape[dim])
    return source.index_select(dim, torch.arange(first, last, step))


@COMPOSITIONS.of("index")
def _taken(source: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """Take elements by indices of neighbouring dimensions as by those of one."""
    given = [dim for dim, index in enumerate(indices) if index is not None]
    first, count = given[0], len(given)
    if given != list(range(first, first + count)):
        raise NotImplementedError
    places, size = torch.zeros((), dtype=torch.int64), 1
    for dim in reversed(given):
        index = indices[dim]
        assert index is not None  # noqa: S101 - as was looked at
        if index.dtype == torch.bool:
            raise NotImplementedError
        length = source.shape[dim]
        places = places + torch.remainder(index, length) * size
        size *= length
    if count == 1 and places.dim() == 1:
        raise NotImplementedError
    taken = source.flatten(first, first + count - 1).index_select(first, places.flatten())
    return taken.reshape(*source.shape[:first], *places.shape, *source.shape[first + count :])


@COMPOSITIONS.of("constant_pad_nd", "pad")
def _cut_and_padded(
    source: Tensor, padding: Sequence[int], mode: Any = "constant", value: float | None = None
) -> Tensor:
    """Cut where padding is negative, and pad the rest."""
    if not isinstance(mode, str):
        mode, value = "constant", mode
    if mode != "constant" or min(padding) >= 0:
        raise NotImplementedError
    for number, (before, after) in enumerate(zip(padding[::2], padding[1::2], strict=True)):
        dim = source.dim() - 1 - number
        start, stop = max(-before, 0), source.shape[dim] - max(-after, 0)
        source = source.narrow(dim, start, stop - start)
    positive = [max(size, 0) for size in padding]
    return F.pad(source, positive, value=value or 0.0) if any(positive) else source
