"""A layer's numbers as the device computes them, emulated on the host.

What is emulated: the formats of weights, biases and outputs; products in their fidelity, summed
inner block by inner block (:mod:`autosched.numerics.matrix_engine`); additions; pools and moves of
data, which round once. Other functions are computed in float32 and stored in the output's format,
so that what the vector unit approximates is not seen. Which core has which channels is as ttnn has
it for whole shards; slices of an image, folded strides and reuse of activations change nothing.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import torch

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
from autosched.numerics.convolutions import convolved
from autosched.numerics.matrix_engine import Block, added, filled, sums_of_blocks
from autosched.numerics.storage import packed, stored
from autosched.schedule.configurations import (
    Conv2dConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
)
from autosched.schedule.outcomes import ExecutedLayer, Execution
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import TILE, DataType

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
        return convolved(layer.op, config, sources[0], weights, columns, exactly=exactly)
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
    rows = filled(source.reshape(-1, inner), 1)
    columns = filled(stored(weights.weight.T, config.weights_dtype), 0)
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


def _tiles_at_once(inner: int) -> int:
    """Return how many tiles of the inner dimension ttnn takes at once where nobody says so."""
    return 1 if inner // TILE % 2 else 2


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
