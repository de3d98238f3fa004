"""What each layer's formats cost the outputs, one layer at a time, on the host.

A layer is emulated in a format (:mod:`autosched.numerics.emulation`), what comes after it computed
in float32, so that an error is the layer's own; what lies before it is computed once.

An error has two parts. The device's rounding is biased: it makes a layer's output larger or smaller
as a whole. What that does to the outputs is a vector with its sign, and vectors of layers cancel
each other out, or add up. The rest is noise. What noise of several layers does to the outputs adds
up in squares, as what is independent does, although single outputs deviate in the same direction:
an activation that is cut off at zero turns noise into a deviation that grows as its spread does.
"""

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import cache
from io import BytesIO
from itertools import product
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import (
    Conv2d,
    ConvTranspose2d,
    HostOp,
    Input,
    Linear,
    Output,
)
from autosched.network.reference import evaluate_layer
from autosched.numerics.emulation import emulated, emulating_threads
from autosched.numerics.samples import forward, layer_output, with_smaller_samples
from autosched.numerics.storage import packed, stored, to_bfloat16
from autosched.schedule.configurations import (
    Conv2dConfig,
    Fidelity,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    Precision,
    precision_of,
    with_precision,
)
from autosched.schedule.tensors import TILE, DataType, ShardLayout

_SEED = 7
_CONVOLVED = Conv2dConfig(shard_layout=ShardLayout.HEIGHT)
_SMALLEST = 1e-30
# A layer as there are many, whose products are summed eight tiles at once.
_TYPICAL = Layer("typical", Conv2d(256, 256, (1, 1)), (), (1, 256, 16, 16))
_IMAGE = 4
_ELEMENTS_AT_ONCE = 1 << 25
_NUMBERS = 1024
# A layer's output is made so much larger to see what a bias does to the outputs.
_LARGER = 0.01


# Tiles of a linear layer's inner dimension that are summed at once in bfloat16: the nearest stands
# for others. Sums in float32 lose next to nothing either way.
_INNER_TILES = (2, 16, 128)

FormatKey = tuple[Precision | None, DataType, int]
"""How a layer's products are computed, the format of its output, and how many tiles are summed at
once in a linear layer, 0 in all else.

Of products with an output in another format than bfloat16, the key with None has what it costs to
bring an input of bfloat16 into that format, which the layer does first. All else has None.
"""
Errors = NDArray[np.float32]
"""Errors of the outputs, side by side: (outputs, numbers); those of several layers are added.

Of the bias, the part along the truth's deviations from its mean, and in random sums what is across;
last, the noise's square. All are shares of the truth's deviations.
"""


_Deviations = NDArray[np.float32]
# Of each output, what is along the truth's deviations from its mean, and random sums of the rest.


def loss(errors: Errors) -> float:
    """Return 1 minus the lowest PCC of an output with such errors, as they are or added up."""
    wide = errors.astype(np.float64)
    along, across = 1.0 + wide[:, 0], np.square(wide[:, 1:-1]).sum(1) + wide[:, -1].clip(0.0)
    return float((1.0 - along / np.sqrt(np.square(along) + across)).max())


def sensitivities(
    network: Network,
    precisions: Sequence[Precision],
    formats: Sequence[DataType],
    known: Container[str] = (),
    tell: Callable[[Layer], object] = lambda _layer: None,
) -> Iterator[tuple[str, dict[FormatKey, Errors]]]:
    """Yield what the formats of each layer cost on the network's samples, by its name.

    Large samples are cut (:mod:`autosched.numerics.samples`).

    Args:
        network: what is computed, with its weights and samples.
        precisions: of convolutions and linear layers.
        formats: of outputs.
        known: layers that are left out.
        tell: is called with each layer before it is measured.
    """
    network = with_smaller_samples(network)
    with torch.no_grad(), emulating_threads() as pool:
        truths = _truths(network)
        for place, (layer, live, made) in enumerate(forward(network, network.samples)):
            if isinstance(layer.op, Input | Output | HostOp) or not made.is_floating_point():
                continue
            tell(layer)
            if layer.name in known:
                continue
            changed = _changed(network, layer, precisions, formats, live, made, pool=pool)
            outputs = (*changed.values(), made * (1.0 + _LARGER))
            *found, larger = _After(network, place, live).deviations(outputs, truths)
            yield (
                layer.name,
                {
                    key: _parted(deviations, _bias(changed[key], made) / _LARGER * larger)
                    for key, deviations in zip(changed, found, strict=True)
                },
            )


def _bias(output: torch.Tensor, made: torch.Tensor) -> float:
    """Return by which share an output is larger as a whole than what PyTorch made."""
    right = made.flatten().double()
    size = float(torch.dot(right, right))
    return float(torch.dot(output.flatten().double() - right, right)) / max(size, _SMALLEST)


def _parted(deviations: _Deviations, biased: _Deviations) -> Errors:
    """Return the errors of deviations of which a bias explains some."""
    noise = np.square(deviations - biased)[:, 1:].sum(1, keepdims=True)
    errors: Errors = np.concatenate([biased, noise], 1).astype(np.float32)
    return errors


def _with_noise(errors: Errors, noise: Errors) -> Errors:
    """Return errors with another measure of the noise: half precision has no room for a square."""
    return np.concatenate([errors[:, :-1], noise], 1)


def format_key(config: LayerConfig, dtype: DataType) -> FormatKey:
    """Return what a configuration, with an output in some format, loses as much as."""
    precision = precision_of(config)
    if not isinstance(config, MatmulConfig):
        return precision, dtype, 0
    tiles = _INNER_TILES[0] if config.program is None else config.program.in0_block_w
    if precision is not None and precision.float32_sums:
        return precision, dtype, _INNER_TILES[0]
    nearest = min(_INNER_TILES, key=lambda known: abs(math.log(known / tiles)))
    return precision, dtype, nearest


def typical_errors(keys: Iterable[FormatKey]) -> dict[FormatKey, float]:
    """Return what formats lose of products of random numbers: the noise as a share of the signal.

    Of what has no products, what storing the numbers loses. How many tiles a linear layer sums at
    once makes no difference here.
    """
    generator = torch.Generator().manual_seed(_SEED)
    image = torch.randn(_TYPICAL.shape, generator=generator).relu()
    weight = torch.randn(_TYPICAL.shape[1], _TYPICAL.shape[1], 1, 1, generator=generator)
    weights = Weights(weight, None)
    given = stored(image, DataType.BFLOAT16)
    made = evaluate_layer(_TYPICAL, [given], weights)

    @cache
    def lost(precision: Precision | None, dtype: DataType) -> float:
        if precision is None:
            return _noise(_packed(to_bfloat16(image), dtype), image)
        config = with_precision(replace(_CONVOLVED, output_dtype=dtype), precision)
        return _noise(emulated(_TYPICAL, config, [given], weights, 1), made)

    return {key: lost(*key[:2]) for key in keys}


def _noise(values: torch.Tensor, truth: torch.Tensor) -> float:
    return float((values - truth).double().square().sum() / truth.double().square().sum())


def to_bytes(found: Mapping[FormatKey, Errors]) -> bytes:
    """Return what is known of a layer, as a compressed ``.npz`` of NumPy in half precision."""
    arrays = {}
    for (precision, dtype, tiles), errors in found.items():
        name = "|".join(("" if precision is None else _name(precision), dtype, str(tiles)))
        arrays[name] = _with_noise(errors, np.sqrt(errors[:, -1:])).astype(np.float16)
    target = BytesIO()
    np.savez_compressed(target, **arrays)
    return target.getvalue()


def from_bytes(blob: bytes) -> dict[FormatKey, Errors]:
    """Read back what :func:`to_bytes` wrote.

    Raises:
        ValueError: if it is something else.
    """
    try:
        with np.load(BytesIO(blob), allow_pickle=False) as arrays:
            wide = {_key(name): arrays[name].astype(np.float32) for name in arrays.files}
            return {key: _with_noise(item, np.square(item[:, -1:])) for key, item in wide.items()}
    except (OSError, EOFError, BadZipFile, KeyError, IndexError) as error:
        raise ValueError(str(error)) from None


def _name(precision: Precision) -> str:
    return f"{precision.weights},{precision.fidelity},{int(precision.float32_sums)}"


def _key(text: str) -> FormatKey:
    name, dtype, tiles = text.split("|")
    if not name:
        return None, DataType(dtype), int(tiles)
    weights, fidelity, wide = name.split(",")
    precision = Precision(DataType(weights), Fidelity(fidelity), wide == "1")
    return precision, DataType(dtype), int(tiles)


def _truths(network: Network) -> dict[str, torch.Tensor]:
    return {
        layer.name: made
        for layer, _, made in forward(network, network.samples)
        if isinstance(layer.op, Output)
    }


class _After:
    """What is left of a network after a layer, with the tensors that are live then."""

    def __init__(self, network: Network, place: int, live: Mapping[str, torch.Tensor]) -> None:
        self._network, self._live = network, live
        self._name = network.layers[place].name
        # Inputs are among the tensors.
        self._rest = [
            layer for layer in network.layers[place + 1 :] if not isinstance(layer.op, Input)
        ]
        self._names = [layer.name for layer in self._rest if isinstance(layer.op, Output)]
        self._is_plain = not any(isinstance(layer.op, HostOp) for layer in self._rest)

    def deviations(
        self, outputs: Sequence[torch.Tensor], truths: Mapping[str, torch.Tensor]
    ) -> list[_Deviations]:
        """Return how the network's outputs deviate for each of some outputs of the layer.

        They are computed together, which spares PyTorch to read the weights again and again.
        """
        if not self._is_plain:
            return [self._deviations(self._outputs(values), truths) for values in outputs]
        together = torch.stack(list(outputs))
        some = max(_ELEMENTS_AT_ONCE // max(together[0].numel(), 1), 1)
        made = torch.vmap(self._outputs, chunk_size=min(some, len(outputs)))(together)
        return [
            self._deviations([output[number] for output in made], truths)
            for number in range(len(outputs))
        ]

    def _outputs(self, changed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        live = {**self._live, self._name: changed}
        outputs = []
        for layer in self._rest:
            made = layer_output(self._network, layer, [live[name] for name in layer.inputs], [])
            if isinstance(layer.op, Output):
                outputs.append(made)
            else:
                live[layer.name] = made
            for name in self._network.freed_after(layer):
                del live[name]
        return tuple(outputs)

    def _deviations(
        self, outputs: Sequence[torch.Tensor], truths: Mapping[str, torch.Tensor]
    ) -> _Deviations:
        found = zip(self._names, outputs, strict=True)
        deviations: _Deviations = torch.stack(
            [_deviation(made, truths[name]) for name, made in found]
        ).numpy()
        return deviations


def _deviation(made: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return how an output deviates as a share of the truth's deviations from its mean.

    The first number is the part along them, the others what is across, in random sums of as many.
    """
    right = truth.flatten().double()
    right = right - right.mean()
    size = right.norm().clamp_min(_SMALLEST)
    right = right / size
    error = made.flatten().double()
    error = (error - error.mean()) / size - right
    along = torch.dot(error, right)
    across = error - along * right
    generator = torch.Generator().manual_seed(_SEED)
    places = torch.randint(_NUMBERS, across.shape, generator=generator)
    signs = torch.randint(2, across.shape, generator=generator) * 2 - 1
    sums = torch.zeros(_NUMBERS, dtype=torch.float64).scatter_add_(0, places, across * signs)
    return torch.cat([along[None], sums]).float()


def _packed(values: torch.Tensor, dtype: DataType) -> torch.Tensor:
    if values.dim() == _IMAGE:
        return packed(values.movedim(1, -1), dtype).movedim(-1, 1)
    return packed(values, dtype) if values.dim() else values


def _changed(
    network: Network,
    layer: Layer,
    precisions: Sequence[Precision],
    formats: Sequence[DataType],
    live: Mapping[str, torch.Tensor],
    made: torch.Tensor,
    *,
    pool: Executor,
) -> dict[FormatKey, torch.Tensor]:
    """Return a layer's outputs in each of its formats.

    Products are given their input as it is stored: that error is the one's that left it there, if
    it is not the caller.
    """
    weights = network.weights.get(layer.name)
    if not isinstance(layer.op, Conv2d | ConvTranspose2d | Linear) or weights is None:
        return {(None, dtype, 0): _packed(to_bfloat16(made), dtype) for dtype in formats}
    found: dict[FormatKey, torch.Tensor] = {}
    waiting: dict[FormatKey, Future[torch.Tensor]] = {}
    bases = _bases(layer)
    for dtype in formats:
        given, exact = stored(live[layer.inputs[0]], DataType.BFLOAT16), made
        if dtype is not DataType.BFLOAT16:
            given = _packed(given, dtype)
            exact = found[None, dtype, 0] = evaluate_layer(layer, [given], weights)
        elif not isinstance(network.by_name[layer.inputs[0]].op, Input):
            exact = evaluate_layer(layer, [given], weights)
        for precision, base in product(precisions, bases):
            config = with_precision(replace(base, output_dtype=dtype), precision)
            key = format_key(config, dtype)
            if key not in waiting:
                waiting[key] = pool.submit(_emulated, layer, config, given, weights, made, exact)
    return found | {key: future.result() for key, future in waiting.items()}


@torch.no_grad()
def _emulated(
    layer: Layer,
    config: LayerConfig,
    given: torch.Tensor,
    weights: Weights,
    made: torch.Tensor,
    exact: torch.Tensor,
) -> torch.Tensor:
    return made + emulated(layer, config, [given], weights, 1) - exact


def _bases(layer: Layer) -> list[Conv2dConfig | MatmulConfig]:
    """Return configurations that sum different numbers of tiles at once."""
    if not isinstance(layer.op, Linear):
        return [_CONVOLVED]
    inner = math.ceil(layer.op.in_features / TILE)
    return [
        MatmulConfig(program=MatmulProgram("mcast_in0", (1, 1), tiles, 1, 1, 1, 1))
        for tiles in _INNER_TILES
        if tiles <= max(3 * inner, _INNER_TILES[0])
    ]
