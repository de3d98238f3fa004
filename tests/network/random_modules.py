"""Random modules: what people write between convolutions, norms and attention, in any order.

A module is made step by step: each step is drawn among those that its tensor's shape allows.
Module ``n`` is the same in every process.
"""

import math
from collections.abc import Callable, Sequence
from random import Random

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

Shape = tuple[int, ...]
Made = tuple[str, Callable[..., torch.Tensor], Sequence[nn.Module]]
Maker = Callable[[Random, Shape], Made | None]

_MOST = 6_000  # elements of a tensor: a module is captured in a blink
_ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "sigmoid": torch.sigmoid}


class RandomModule(nn.Module):
    """Some steps one after the other; ``example`` is an input for them, ``story`` names them."""

    def __init__(self, seed: int, steps: int = 6) -> None:
        super().__init__()
        draw = Random(seed)
        torch.manual_seed(seed)
        shape = _start(draw)
        self.example = torch.randn(shape)
        self.story = [f"input {shape}"]
        self.functions: list[Callable[..., torch.Tensor]] = []
        self.parts = nn.ModuleList()
        for _ in range(draw.randint(2, steps)):
            name, function, modules = _step(draw, shape)
            self.functions.append(function)
            self.parts.append(nn.ModuleList(modules))
            with torch.no_grad():
                shape = tuple(self.parts.eval() and function(torch.zeros(shape), *modules).shape)
            self.story.append(f"{name} -> {shape}")
        self.eval()

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        """Take all steps."""
        for function, modules in zip(self.functions, self.parts, strict=True):
            tensor = function(tensor, *modules)
        return tensor


def _start(draw: Random) -> Shape:
    batch = draw.choice([1, 1, 2])
    if draw.random() < 0.3:
        return (batch, draw.choice([4, 6, 9, 16]), draw.choice([8, 16, 24]))
    return (batch, draw.choice([4, 8, 12, 16]), draw.choice([4, 6, 8]), draw.choice([4, 6, 8]))


def _step(draw: Random, shape: Shape) -> Made:
    """Draw until a maker has a step for the shape."""
    while True:
        made = draw.choice(_MAKERS)(draw, shape)
        if made is not None:
            return made


def _divisors(number: int) -> list[int]:
    return [item for item in range(2, number) if number % item == 0]


def _convolution(draw: Random, shape: Shape) -> Made | None:
    if len(shape) != 4 or min(shape[2:]) < 3:
        return None
    channels, out = shape[1], draw.choice([4, 8, 12, 16])
    groups = math.gcd(channels, out) if draw.random() < 0.2 else 1
    kernel = draw.choice([1, 3])
    conv = nn.Conv2d(channels, out, kernel, draw.choice([1, 1, 2]), kernel // 2, groups=groups)
    return "conv", lambda x, conv: conv(x), [conv]


def _norm(draw: Random, shape: Shape) -> Made | None:
    if len(shape) == 4:
        channels = shape[1]
        groups = draw.choice([1, *_divisors(channels)])
        if math.prod(shape[1:]) == groups:
            return None
        norm = draw.choice([nn.BatchNorm2d(channels), nn.GroupNorm(groups, channels)])
        return type(norm).__name__, lambda x, norm: norm(x), [norm]
    if shape[-1] == 1:
        return None
    return "LayerNorm", lambda x, norm: norm(x), [nn.LayerNorm(shape[-1])]


def _activation(draw: Random, shape: Shape) -> Made | None:
    del shape
    name = draw.choice(sorted(_ACTIVATIONS))
    return name, _ACTIVATIONS[name], []


def _linear(draw: Random, shape: Shape) -> Made | None:
    if len(shape) == 4 and draw.random() < 0.8:
        return None
    linear = nn.Linear(shape[-1], draw.choice([8, 12, 16]))
    return "linear", lambda x, linear: linear(x), [linear]


def _pool(draw: Random, shape: Shape) -> Made | None:
    if len(shape) != 4 or min(shape[2:]) < 2:
        return None
    pool = draw.choice([nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)])
    return type(pool).__name__, lambda x, pool: pool(x), [pool]


def _slice(draw: Random, shape: Shape) -> Made | None:
    dim = draw.randrange(1, len(shape))
    if shape[dim] < 2:
        return None
    start = draw.randrange(shape[dim] // 2)
    stop = draw.randrange(start + 1, shape[dim] + 1)
    return f"slice {dim} {start}:{stop}", lambda x: x.narrow(dim, start, stop - start), []


def _joined(draw: Random, shape: Shape) -> Made | None:
    dim = draw.randrange(1, len(shape))
    if 2 * math.prod(shape) > _MOST:
        return None
    return f"cat {dim}", lambda x: torch.cat([F.relu(x), x], dim), []


def _branched(draw: Random, shape: Shape) -> Made | None:
    """A residual connection, or a gate, around a step that keeps the shape."""
    name, function, modules = _step(draw, shape)
    nn.ModuleList(modules).eval()
    with torch.no_grad():
        if function(torch.zeros(shape), *modules).shape != shape:
            return None
    if draw.random() < 0.5:
        return f"x + {name}", lambda x, *parts: x + function(x, *parts), modules
    return f"x * {name}", lambda x, *parts: x * torch.sigmoid(function(x, *parts)), modules


def _order(draw: Random, rank: int) -> list[int]:
    """Mostly the batch stays in front."""
    rest = draw.sample(range(1, rank), rank - 1)
    if draw.random() < 0.15:
        return draw.sample(range(rank), rank)
    return [0, *rest]


def _permuted(draw: Random, shape: Shape) -> Made | None:
    order = _order(draw, len(shape))
    return f"permute {order}", lambda x: x.permute(order), []


def _rearranged(draw: Random, shape: Shape) -> Made | None:
    """Cut a dimension, permute, and merge neighbours: windows, heads, groups, patches."""
    parts = list(shape)
    for _ in range(draw.choice([1, 1, 2])):
        dims = [dim for dim, size in enumerate(parts) if dim and _divisors(size)]
        if not dims:
            break
        dim = draw.choice(dims)
        factor = draw.choice(_divisors(parts[dim]))
        parts[dim : dim + 1] = [factor, parts[dim] // factor]
    order = _order(draw, len(parts))
    merged = [parts[dim] for dim in order]
    while len(merged) > draw.choice([3, 4]):
        at = draw.randrange(len(merged) - 1)
        merged[at : at + 2] = [merged[at] * merged[at + 1]]
    if merged[0] > 16:
        return None
    name = f"cut {parts}, permute {order}, merge {merged}"
    return name, lambda x: x.reshape(parts).permute(order).reshape(merged), []


def _tokens(draw: Random, shape: Shape) -> Made | None:
    if len(shape) == 4:
        return "tokens", lambda x: x.flatten(2).transpose(1, 2), []
    if len(shape) != 3:
        return None
    sides = [side for side in _divisors(shape[1]) if side <= 8]
    if not sides:
        return None
    height = draw.choice(sides)
    batch, length, channels = shape
    target = (batch, channels, height, length // height)
    return f"image {target}", lambda x: x.transpose(1, 2).reshape(target), []


def _windows(draw: Random, shape: Shape) -> Made | None:
    """Swin's partition of (N, C, H, W) into windows, each a batch entry of tokens."""
    if len(shape) != 4 or shape[2] % 2 or shape[3] % 2:
        return None
    batch, channels, height, width = shape
    side = draw.choice([2, *(s for s in (4,) if height % 4 == width % 4 == 0)])
    rows, columns = height // side, width // side

    def part(x: torch.Tensor) -> torch.Tensor:
        cut = x.reshape(batch, channels, rows, side, columns, side)
        return cut.permute(0, 2, 4, 3, 5, 1).reshape(-1, side * side, channels)

    return f"windows of {side}", part, []


def _heads(draw: Random, channels: int) -> int:
    return draw.choice([1, *(item for item in _divisors(channels) if item <= 8)])


def _attention(draw: Random, shape: Shape) -> Made | None:
    """Self-attention on (N, L, C), in one of the ways in which it is written."""
    if len(shape) != 3 or shape[1] < 2 or shape[2] < 4:
        return None
    batch, length, channels = shape
    heads = _heads(draw, channels)
    width = channels // heads
    qkv = nn.Linear(channels, 3 * channels)
    nn.init.normal_(qkv.weight, std=0.5)
    is_causal, style = draw.random() < 0.3, draw.choice(["unbind", "chunk", "by hand", "module"])

    def unbound(x: torch.Tensor, qkv: nn.Module) -> torch.Tensor:
        parts = qkv(x).reshape(batch, length, 3, heads, width).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)
        out = F.scaled_dot_product_attention(queries, keys, values, is_causal=is_causal)
        return out.transpose(1, 2).reshape(batch, length, channels)

    def chunked(x: torch.Tensor, qkv: nn.Module) -> torch.Tensor:
        split = [
            item.reshape(batch, length, heads, width).transpose(1, 2)
            for item in qkv(x).chunk(3, -1)
        ]
        out = F.scaled_dot_product_attention(*split, is_causal=is_causal)
        return out.transpose(1, 2).flatten(2)

    def by_hand(x: torch.Tensor, qkv: nn.Module) -> torch.Tensor:
        queries, keys, values = (
            item.reshape(batch, length, heads, width).transpose(1, 2)
            for item in qkv(x).split(channels, -1)
        )
        shares = torch.softmax(queries @ keys.transpose(-2, -1) * width**-0.5, -1)
        return (shares @ values).transpose(1, 2).reshape(batch, length, channels)

    if style == "module":
        module = nn.MultiheadAttention(channels, heads, batch_first=draw.random() < 0.5)
        nn.init.normal_(module.in_proj_weight, std=0.5)
        return "MultiheadAttention", lambda x, own: own(x, x, x, need_weights=False)[0], [module]
    function = {"unbind": unbound, "chunk": chunked, "by hand": by_hand}[style]
    return f"attention ({style}, {heads} heads)", function, [qkv]


def _softmax(draw: Random, shape: Shape) -> Made | None:
    dim = draw.randrange(1, len(shape))
    return f"softmax {dim}", lambda x: torch.softmax(3 * x, dim), []


def _mean(draw: Random, shape: Shape) -> Made | None:
    if len(shape) < 3:
        return None
    dim = draw.randrange(1, len(shape))
    keep = draw.random() < 0.5 or len(shape) == 3
    return f"mean {dim}", lambda x: x.mean(dim, keepdim=keep), []


def _shuffled(draw: Random, shape: Shape) -> Made | None:
    if len(shape) != 4:
        return None
    if shape[1] % 4 == 0 and draw.random() < 0.5:
        return "pixel shuffle", lambda x: F.pixel_shuffle(x, 2), []
    if shape[2] % 2 == shape[3] % 2 == 0 and 4 * shape[1] <= 64:
        return "pixel unshuffle", lambda x: F.pixel_unshuffle(x, 2), []
    return None


_MAKERS: Sequence[Maker] = (
    *(_convolution, _convolution, _norm, _norm, _activation, _linear, _linear, _pool),
    *(_slice, _joined, _branched, _branched, _permuted, _rearranged, _rearranged, _tokens),
    *(_tokens, _windows, _attention, _attention, _attention, _softmax, _mean, _shuffled),
)
