"""A layer's numbers as the device computes them, emulated on the host.

What is emulated: the formats of weights, biases and outputs; products in their fidelity, summed
inner block by inner block (:mod:`autosched.numerics.matrix_engine`); additions; pools and moves of
data, which round once. Other functions are computed in float32 and stored in the output's format,
so that what the vector unit approximates is not seen. Which core has which channels is as ttnn has
it for whole shards; slices of an image, folded strides and reuse of activations change nothing.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import torch
from torch.nn import functional

from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import (
    ActivatedOutput,
    Binary,
    Conv2d,
    ConvTranspose2d,
    HostOp,
    Input,
    Linear,
    Output,
)
from autosched.network.reference import activate, evaluate_layer, evaluate_output
from autosched.numerics.comparison import agreement
from autosched.numerics.matrix_engine import Block, added, sums_of_blocks
from autosched.numerics.storage import packed, stored
from autosched.schedule.configurations import (
    Conv2dConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
)
from autosched.schedule.outcomes import ExecutedLayer, Execution
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import STICK, TILE, DataType, ShardLayout

_IMAGE = 4
# So many at once, each with tensors of its own.
_AT_ONCE = 4


@contextmanager
def emulating_threads() -> Iterator[ThreadPoolExecutor]:
    """Give threads to emulate in, as many as PyTorch has, each of which computes alone.

    An emulation is thousands of operations so small that sharing one among threads takes longer
    than the operation. What has not begun when the block ends is given up.
    """
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(
        min(before, _AT_ONCE), initializer=torch.set_num_threads, initargs=(1,)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # threads that come later would have one, too


def emulated(
    layer: Layer,
    config: LayerConfig,
    sources: Sequence[torch.Tensor],
    weights: Weights | None,
    columns: int,
    *,
    exactly: bool = False,
) -> torch.Tensor:
    """Return a layer's output as it is stored, in float32 and PyTorch's order.

    Args:
        layer: what to compute; no output.
        config: its configuration.
        sources: its inputs as they are stored; of an ``Input`` the tensor that comes in.
        weights: as PyTorch has them.
        columns: of the board's core grid, over which BLOCK shards share out channels.
        exactly: whether products follow the engine step by step, some 100 times as slow.
    """
    dtype = output_dtype(config)
    if isinstance(layer.op, Input):
        return _by_channel(sources[0].float(), lambda values: stored(values, dtype))
    if isinstance(layer.op, HostOp):
        return evaluate_layer(layer, sources, weights)
    if isinstance(layer.op, Conv2d | ConvTranspose2d) and isinstance(config, Conv2dConfig):
        assert weights is not None  # noqa: S101 - a convolution's
        return _convolved(layer.op, config, sources[0], weights, columns, exactly=exactly)
    if isinstance(layer.op, Linear) and isinstance(config, MatmulConfig):
        assert weights is not None  # noqa: S101 - a linear layer's
        return _linear(layer.op, config, sources[0], weights, exactly=exactly)
    if isinstance(layer.op, Binary) and layer.op.function in {"add", "sub"}:
        sign = -1.0 if layer.op.function == "sub" else 1.0
        found = activate(added(sources[0], sign * sources[1]), layer.op.activation)
    else:
        found = evaluate_layer(layer, sources, weights)
    return _by_channel(found, lambda values: packed(values, dtype))


def output_dtype(config: LayerConfig) -> DataType:
    """Return the format in which a layer leaves its output."""
    return config.output.dtype if isinstance(config, FixedConfig) else config.output_dtype


def _by_channel(
    values: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Change numbers whose rows of tiles run along the channels of an image, or the last axis."""
    if values.dim() != _IMAGE:
        return change(values) if values.dim() else values
    return change(values.movedim(1, -1)).movedim(-1, 1)


def _linear(
    op: Linear, config: MatmulConfig, source: torch.Tensor, weights: Weights, *, exactly: bool
) -> torch.Tensor:
    inner = source.shape[-1]
    rows = _filled(source.reshape(-1, inner), 1)
    columns = _filled(stored(weights.weight.T, config.weights_dtype), 0)
    tiles = config.program.in0_block_w if config.program else _tiles_at_once(rows.shape[1])
    blocks = [
        Block(rows[:, first : first + tiles * TILE], columns[first : first + tiles * TILE])
        for first in range(0, rows.shape[1], tiles * TILE)
    ]
    bias = None if weights.bias is None else stored(weights.bias[None], config.weights_dtype)
    found = sums_of_blocks(
        blocks, config.compute, bias, partials=config.output_dtype, exactly=exactly
    )
    found = activate(found, op.activation)
    return packed(found, config.output_dtype).reshape(*source.shape[:-1], -1)


def _convolved(
    op: Conv2d | ConvTranspose2d,
    config: Conv2dConfig,
    source: torch.Tensor,
    weights: Weights,
    columns: int,
    *,
    exactly: bool,
) -> torch.Tensor:
    dtype = config.output_dtype
    image = source.movedim(1, -1)
    if dtype is not DataType.BFLOAT16:
        image = packed(image, dtype)  # tilized in the output's format
    plain, weight, image = _as_plain(op, weights.weight, image)
    windows = _Windows(plain, image)
    # Zeros in between change nothing but which products are added at once.
    groups = 1 if exactly else _merged_groups(plain)
    inner, outer = plain.in_channels // groups, plain.out_channels // groups
    kernels = _dense(weight, plain.groups, plain.groups // groups)
    bias = None if weights.bias is None else stored(weights.bias[None], config.weights_dtype)
    parts = []
    for group in range(groups):
        taps = kernels[group * outer : (group + 1) * outer].permute(2, 3, 1, 0)
        own = replace(plain, in_channels=inner, out_channels=outer, groups=1)
        blocks = [
            Block(_filled(rows, 1), _filled(stored(columns_, config.weights_dtype), 0))
            for rows, columns_ in _inner_blocks(
                own, config, windows.of(group * inner, inner), taps, columns
            )
        ]
        added_bias = None if bias is None else bias[:, group * outer : (group + 1) * outer]
        partials = dtype if _is_product(own, config) else DataType.BFLOAT16
        parts.append(
            sums_of_blocks(blocks, config.compute, added_bias, partials=partials, exactly=exactly)
        )
    found = packed(activate(torch.cat(parts, 1), op.activation), dtype)
    return found.reshape(*windows.shape, -1).movedim(-1, 1)


def _tiles_at_once(inner: int) -> int:
    """Return how many tiles of the inner dimension ttnn takes at once where nobody says so."""
    return 1 if inner // TILE % 2 else 2


def _is_product(op: Conv2d, config: Conv2dConfig) -> bool:
    """Whether ttnn runs a convolution as a matrix product of the pixels."""
    return op.kernel == op.stride == (1, 1) and config.shard_layout is not ShardLayout.WIDTH


def _as_plain(
    op: Conv2d | ConvTranspose2d, weight: torch.Tensor, image: torch.Tensor
) -> tuple[Conv2d, torch.Tensor, torch.Tensor]:
    """Return a convolution with padded input; a transposed one has zeros between its pixels."""
    if isinstance(op, Conv2d):
        top, bottom, left, right = op.padding
        padded = functional.pad(image, (0, 0, left, right, top, bottom))
        return replace(op, padding=(0, 0, 0, 0)), weight, padded
    batch, height, width, channels = image.shape
    (tall, wide), (rows, columns) = op.stride, op.kernel
    spread = image.new_zeros(batch, (height - 1) * tall + 1, (width - 1) * wide + 1, channels)
    spread[:, ::tall, ::wide] = image
    edges = [
        (dilation * (size - 1) - cut, dilation * (size - 1) - cut + more)
        for dilation, size, cut, more in zip(
            op.dilation, op.kernel, op.padding, op.output_padding, strict=True
        )
    ]
    padded = functional.pad(spread, (0, 0, *edges[1], *edges[0]))
    grouped = weight.flip(2, 3).reshape(op.groups, -1, *weight.shape[1:])
    flipped = grouped.transpose(1, 2).flatten(0, 1)
    plain = Conv2d(
        op.in_channels,
        op.out_channels,
        (rows, columns),
        dilation=op.dilation,
        groups=op.groups,
        has_bias=op.has_bias,
    )
    return plain, flipped, padded


class _Windows:
    """The pixels of a padded image that each place of a window meets."""

    def __init__(self, op: Conv2d, image: torch.Tensor) -> None:
        self._op, self._image = op, image
        height, width = (
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, dilation, kernel, stride in zip(
                image.shape[1:3], op.dilation, op.kernel, op.stride, strict=True
            )
        )
        self.shape = (image.shape[0], height, width)

    def of(self, first: int, channels: int) -> Callable[[int, int], torch.Tensor]:
        """Return what gives the pixels (rows, channels) of some channels for a place."""
        op, (_, height, width) = self._op, self.shape

        def at(row: int, column: int) -> torch.Tensor:
            top, left = row * op.dilation[0], column * op.dilation[1]
            bottom = top + op.stride[0] * (height - 1) + 1
            right = left + op.stride[1] * (width - 1) + 1
            seen = self._image[:, top : bottom : op.stride[0], left : right : op.stride[1]]
            return seen[..., first : first + channels].reshape(-1, channels)

        return at


def _inner_blocks(
    op: Conv2d,
    config: Conv2dConfig,
    at: Callable[[int, int], torch.Tensor],
    taps: torch.Tensor,
    columns: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield rows (pixels, inner) and weights (inner, out) in the order in which a core sums them.

    HEIGHT takes a row of the window at once, or all of it where it uses activations again; BLOCK
    one of each core's channels, core after core; WIDTH, and BLOCK with its full inner dimension,
    the whole window of each core's channels. Where a convolution is a product of pixels, its
    matrices are shared out in whole tiles.
    ``taps`` are (rows, columns, in, out).
    """
    places = [[(row, column) for column in range(op.kernel[1])] for row in range(op.kernel[0])]
    channels = op.in_channels
    step = _core_channels(op, config, columns)
    if _is_product(op, config) and config.shard_layout is ShardLayout.BLOCK:
        step = _core_channels_of_product(op, columns)
    parts = range(0, channels, step)
    is_whole = config.full_inner_dim or config.enable_activation_reuse
    if config.shard_layout is ShardLayout.WIDTH or is_whole:
        order = [([place for row in places for place in row], first) for first in parts]
    else:
        order = [(row, first) for row in places for first in parts]
    for some, first in order:
        own = slice(first, first + step)
        yield (
            torch.cat([_filled(at(*place)[:, own], 1, STICK) for place in some], 1),
            torch.cat([_filled(taps[place][own], 0, STICK) for place in some], 0),
        )


def _core_channels_of_product(op: Conv2d, columns: int) -> int:
    """Return how many channels of the input a core has where BLOCK shards are multiplied.

    ttnn takes the most columns of cores that share out whole tiles of inputs and outputs alike.
    """
    inner, outer = (math.ceil(channels / TILE) for channels in (op.in_channels, op.out_channels))
    shared = math.gcd(inner, outer)
    used = max(number for number in range(1, columns + 1) if shared % number == 0)
    return TILE * inner // used


def _core_channels(op: Conv2d, config: Conv2dConfig, columns: int) -> int:
    """Return how many channels of the input a core of BLOCK or WIDTH shards has."""
    match config.shard_layout:
        case ShardLayout.BLOCK:
            return STICK * math.ceil(op.in_channels / STICK / columns)
        case ShardLayout.WIDTH:
            return TILE
        case _:
            return op.in_channels


def _merged_groups(op: Conv2d) -> int:
    """Return in how many parts the channels are computed: groups share a tile of channels."""
    together = max(TILE // (op.in_channels // op.groups), 1)
    return op.groups // math.gcd(together, op.groups)


def _dense(weight: torch.Tensor, groups: int, together: int) -> torch.Tensor:
    """Return kernels (out, in, height, width) of groups that read each other's channels, as 0."""
    own = weight.reshape(groups // together, together, -1, *weight.shape[1:])
    parts, _, outer, inner, *window = own.shape
    dense = weight.new_zeros(parts, together, outer, together, inner, *window)
    for place in range(together):
        dense[:, place, :, place] = own[:, place]
    return dense.reshape(parts * together * outer, together * inner, *window)


def _filled(values: torch.Tensor, axis: int, to: int = TILE) -> torch.Tensor:
    """Return a matrix with an axis filled up with zeros to a multiple."""
    missing = -values.shape[axis] % to
    return functional.pad(values, (0, missing) if axis else (0, 0, 0, missing))


def emulate_batches(
    network: Network,
    schedule: Schedule,
    batches: Sequence[Sequence[torch.Tensor]],
    columns: int,
    is_over: Event | None = None,
) -> Generator[dict[str, torch.Tensor]]:
    """Yield a network's outputs for each of several inputs, some of which are computed at once.

    Whoever asks for no more of them does not wait for what is under way.

    Raises:
        CancelledError: if another thread has set ``is_over``.
    """
    is_over = is_over or Event()

    def go_on(_layer: Layer) -> None:
        if is_over.is_set():
            raise CancelledError

    def outputs(inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        return emulate_outputs(network, schedule, inputs, columns, go_on)

    with emulating_threads() as pool:
        try:
            yield from pool.map(outputs, batches)
        finally:
            is_over.set()


def emulate_outputs(
    network: Network,
    schedule: Schedule,
    inputs: Sequence[torch.Tensor],
    columns: int,
    tell: Callable[[Layer], object] = lambda _layer: None,
) -> dict[str, torch.Tensor]:
    """Return a network's outputs by name, as a schedule has the device compute them.

    The arguments are those of :func:`emulate_network`.
    """
    waiting = list(inputs)
    values: dict[str, torch.Tensor] = {}
    outputs: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for layer in network:
            tell(layer)
            weights = network.weights.get(layer.name)
            sources = [values[name] for name in layer.inputs]
            if isinstance(layer.op, Output):
                made = _handed_back(layer, sources, weights)
                outputs[layer.name] = made.reshape(network.caller_shape(layer))
            else:
                if isinstance(layer.op, Input):
                    given = waiting.pop(0)
                    sources = [given.reshape(layer.shape) if network.packing.callers else given]
                config = schedule.layers[layer.name]
                values[layer.name] = emulated(layer, config, sources, weights, columns)
            for name in network.freed_after(layer):
                del values[name]
    return outputs


def _handed_back(
    layer: Layer, sources: Sequence[torch.Tensor], weights: Weights | None
) -> torch.Tensor:
    made = evaluate_output(layer, sources, weights)
    computes = isinstance(layer.op, ActivatedOutput)
    return stored(made, DataType.BFLOAT16) if computes else made


def emulate_network(
    network: Network,
    schedule: Schedule,
    inputs: Sequence[torch.Tensor],
    columns: int,
    tell: Callable[[Layer], object] = lambda _layer: None,
) -> Execution:
    """Compute a network as a schedule has the device do it, and compare each layer with PyTorch.

    Args:
        network: what to compute, with its weights.
        schedule: a configuration of each layer.
        inputs: one tensor for each ``Input`` layer, as the caller has it.
        columns: of the board's core grid.
        tell: is called with each layer before it is computed.
    """
    waiting = list(inputs)
    values: dict[str, torch.Tensor] = {}
    truths: dict[str, torch.Tensor] = {}
    layers, outputs = [], {}
    with emulating_threads() as pool:
        for layer in network:
            tell(layer)
            weights = network.weights.get(layer.name)
            sources, true_sources = (
                [kept[name] for name in layer.inputs] for kept in (values, truths)
            )
            if isinstance(layer.op, Output):
                made = _handed_back(layer, sources, weights)
                truth = evaluate_output(layer, true_sources, weights)
                outputs[layer.name] = agreement(made, truth)
            else:
                if isinstance(layer.op, Input):
                    given = waiting.pop(0)
                    sources = [given.reshape(layer.shape) if network.packing.callers else given]
                    truth = alone = sources[0]
                else:
                    truth = evaluate_layer(layer, true_sources, weights)
                    alone = evaluate_layer(layer, sources, weights)
                made = pool.submit(
                    emulated, layer, schedule.layers[layer.name], sources, weights, columns
                ).result()
                values[layer.name], truths[layer.name] = made, truth
                found = (agreement(made, other) for other in (alone, truth))
                layers.append(ExecutedLayer(layer.name, *found))
            for name in network.freed_after(layer):
                del values[name], truths[name]
    return Execution(outputs, tuple(layers), {})
