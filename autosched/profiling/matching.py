"""Which calls of a program are which layers of a network: by kind, sizes and order.

The second of two equal convolutions is the second of two equal layers.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autosched.network.graph import Layer, Network
from autosched.network.legal_values import CONVERT_TO_CHW, CONVERT_TO_HWC
from autosched.network.operators import (
    Binary,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Input,
    Linear,
    Output,
    Pool2d,
)
from autosched.network.stem_folding import fold_stem
from autosched.profiling.program import RecordedCall
from autosched.schedule.configurations import (
    Conv2dConfig,
)
from autosched.schedule.tensors import (
    TILE,
)

MATCHED_KINDS = (Conv2d, ConvTranspose2d, Pool2d, GlobalAvgPool2d, Linear, Binary)
"""The operators of layers that are missed where no call of the program is one of them."""
_BINARY = {"add": "add", "add_": "add", "multiply": "mul"}
_POOLS = {"max_pool2d": "max", "avg_pool2d": "avg"}


@dataclass(frozen=True)
class Matches:
    """Which calls are which layers; ``layers`` and ``calls`` are those without the other."""

    by_layer: Mapping[str, RecordedCall]
    layers: tuple[Layer, ...]
    calls: tuple[RecordedCall, ...]


def match(network: Network, calls: Iterable[RecordedCall]) -> Matches:
    """Match calls and layers of one kind and size, in order."""
    waiting: dict[Hashable, list[RecordedCall]] = defaultdict(list)
    for call in calls:
        waiting[call_key(call)].append(call)
    found: dict[str, RecordedCall] = {}
    missing = []
    for layer in network:
        key = layer_key(network, layer)
        same = [] if key is None else waiting[key]
        if same:
            found[layer.name] = same.pop(0)
        elif (folded := _folded_call(network, layer, waiting)) is not None:
            found[layer.name] = folded
        elif isinstance(layer.op, MATCHED_KINDS):
            missing.append(layer)
    left = [call for key, same in waiting.items() if key is not None for call in same]
    return Matches(found, tuple(missing), tuple(left))


def _folded_call(
    network: Network, layer: Layer, waiting: Mapping[Hashable, list[RecordedCall]]
) -> RecordedCall | None:
    """Take the call that is a strided convolution on a folded image, None if there is none.

    Who folds a padded image has no padding left: the sides with their padding are compared.
    """
    op = layer.op
    if not isinstance(op, Conv2d) or op.stride == (1, 1):
        return None
    for key, calls in waiting.items():
        for call in calls:
            depth = call.facts.get("in_channels")
            if call.function != "conv2d" or not isinstance(depth, int):
                continue
            shape = network.input_shapes(layer)[0]
            stem = fold_stem(op, shape, depth // math.prod(op.stride))
            if stem is None or not isinstance(key, _ConvKey):
                continue
            if _conv_key(stem.op, stem.folded).padded != key.padded:
                continue
            calls.remove(call)
            if isinstance(call.config, Conv2dConfig):
                return replace(call, config=replace(call.config, fold_input=True))
    return None


def layer_key(network: Network, layer: Layer) -> Hashable:
    """Return what a call has in common with a layer that it may be; None for other kinds."""
    shapes, op = network.input_shapes(layer), layer.op
    key: Hashable = None
    match op:
        case Conv2d() | ConvTranspose2d():
            key = _conv_key(op, shapes[0])
        case Pool2d():
            slides = (op.kernel, op.stride, op.padding, op.dilation)
            key = _pool_key(op.mode, shapes[0], *slides)
        case GlobalAvgPool2d():
            key = _pool_key("avg", shapes[0], shapes[0][2:], (1, 1), (0, 0), (1, 1))
        case Linear():
            rows = math.prod(shapes[0][:-1])
            key = ("Linear", -(-rows // TILE), op.in_features, op.out_features)
        case Binary():
            key = (op.function, tuple(map(math.prod, shapes)))
        case Input():
            key = (CONVERT_TO_HWC, math.prod(layer.shape))
        case Output():
            key = (CONVERT_TO_CHW, math.prod(layer.shape))
    return key


@dataclass(frozen=True)
class _ConvKey:
    """What makes convolutions alike; ``sides`` of padding are those of the image."""

    kind: str
    channels: tuple[int, int]
    image: tuple[int, int, int]
    sides: tuple[int, int, int, int]
    window: Hashable
    groups: int

    @property
    def padded(self) -> "_ConvKey":
        """The same convolution on an image that has its padding already."""
        batch, height, width = self.image
        top, bottom, left, right = self.sides
        image = (batch, height + top + bottom, width + left + right)
        return replace(self, image=image, sides=(0, 0, 0, 0))


def _conv_key(op: Conv2d | ConvTranspose2d, shape: tuple[int, ...]) -> _ConvKey:
    batch, _, height, width = shape
    last = op.output_padding if isinstance(op, ConvTranspose2d) else (0, 0)
    return _ConvKey(
        type(op).__name__,
        (op.in_channels, op.out_channels),
        (batch, height, width),
        _four(op.padding),
        (op.kernel, op.stride, op.dilation, last),
        op.groups,
    )


def _conv_call_key(kind: str, facts: Mapping[str, object]) -> _ConvKey:
    def pair(name: str, usual: int) -> tuple[int, ...]:
        return _pair(facts.get(name, usual))

    def number(name: str, usual: int = 0) -> int:
        found = facts.get(name, usual)
        return found if isinstance(found, int) else usual

    return _ConvKey(
        kind,
        (number("in_channels"), number("out_channels")),
        (number("batch_size"), number("input_height"), number("input_width")),
        _four(facts.get("padding", 0)),
        (pair("kernel_size", 0), pair("stride", 1), pair("dilation", 1), pair("output_padding", 0)),
        number("groups", 1),
    )


def call_key(call: RecordedCall) -> Hashable:
    """Return the same of a call; None where it is nothing that a layer may be."""
    facts, name = call.facts, call.function
    if name in ("conv2d", "conv_transpose2d"):
        kind = "Conv2d" if name == "conv2d" else "ConvTranspose2d"
        return _conv_call_key(kind, facts)
    if name in _POOLS:
        shape = tuple(map(facts.get, ("batch_size", "channels", "input_h", "input_w")))
        kernel, stride = _pair(facts.get("kernel_size")), _pair(facts.get("stride"))
        padding, dilation = facts.get("padding", 0), _pair(facts.get("dilation", 1))
        return _pool_key(_POOLS[name], shape, kernel, stride, padding, dilation)
    if name == "linear" and len(call.inputs) > 1:
        rows = math.prod(call.inputs[0].shape[:-1])
        features = call.inputs[1].shape[-2:]
        return ("Linear", -(-rows // TILE), *features)
    if name in _BINARY and len(call.inputs) > 1:
        return (_BINARY[name], tuple(math.prod(info.shape) for info in call.inputs))
    if name in (CONVERT_TO_HWC, CONVERT_TO_CHW):
        return (name, math.prod(call.inputs[0].shape))
    return None


def _pool_key(
    mode: str, shape: object, kernel: object, stride: object, padding: object, dilation: object
) -> Hashable:
    is_whole = isinstance(shape, tuple) and shape[2:] == kernel
    return (mode, shape, kernel, (1, 1) if is_whole else stride, _four(padding), dilation)


def _pair(value: object) -> tuple[int, ...]:
    """Return one number twice, and several as they are."""
    if isinstance(value, int):
        return (value, value)
    return tuple(value) if isinstance(value, list | tuple) else ()


def _four(value: object) -> tuple[int, int, int, int]:
    """Return a padding as (top, bottom, left, right)."""
    given = _pair(value)
    if len(given) == 2:
        return (given[0], given[0], given[1], given[1])
    top, bottom, left, right = given
    return (top, bottom, left, right)


def described(call: RecordedCall) -> str:
    """Return a call in words: "conv2d 64 -> 128, 3x3 stride 2, of 56x56, at model.py:12"."""
    facts = call.facts
    where = f" at {call.source}" if call.source else ""
    if "out_channels" in facts:
        sizes = f"{facts.get('in_channels')} -> {facts['out_channels']}"
        side = _by(facts.get("input_height"), facts.get("input_width"))
    elif "channels" in facts:
        sizes, side = f"{facts['channels']}", _by(facts.get("input_h"), facts.get("input_w"))
    else:
        shapes = " and ".join(_by(*info.shape) for info in call.inputs)
        return f"{call.function} of {shapes}{where}"
    kernel = _by(*_pair(facts.get("kernel_size")))
    stride = _by(*_pair(facts.get("stride", (1, 1))))
    return f"{call.function} {sizes}, {kernel} stride {stride}, of {side}{where}"


def layer_in_words(network: Network, layer: Layer) -> str:
    """Return a layer in the same words, with its name."""
    op = layer.op
    shapes: Sequence[tuple[int, ...]] = network.input_shapes(layer)
    kind = type(op).__name__
    if isinstance(op, Conv2d | ConvTranspose2d):
        kind = f"{kind} {op.in_channels} -> {op.out_channels}"
    if isinstance(op, Conv2d | ConvTranspose2d | Pool2d):
        kind = f"{kind}, {_by(*op.kernel)} stride {_by(*op.stride)}"
    return f"{layer.name} ({kind}, of {' and '.join(_by(*shape) for shape in shapes)})"


def _by(*sizes: object) -> str:
    return "x".join(map(str, sizes))
