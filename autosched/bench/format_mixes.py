"""How well the errors of single layers, added up, foretell what a whole network loses.

Mixes of formats are drawn, each layer's for itself. What a mix loses, 1 minus the PCC of the worst
output, is foretold by adding up the layers' errors, and found by emulating the whole network on the
same samples.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

import numpy as np

from autosched.boards import Board
from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Output
from autosched.network.reference import evaluate_network
from autosched.numerics.comparison import agreement
from autosched.numerics.emulation import emulate_outputs, output_dtype
from autosched.numerics.sensitivity import Errors, FormatKey, format_key, loss
from autosched.probing.format_tables import allowed_precisions, leaving
from autosched.schedule.configurations import (
    Conv2dConfig,
    LayerConfig,
    MatmulConfig,
    Precision,
    with_precision,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DataType
from autosched.search.format_errors import ErrorModel
from autosched.space.formats import PRECISIONS
from autosched.space.layer_formats import LayerFormats

_LEAST = 1e-9
_FEWEST = 3


@dataclass(frozen=True)
class DrawnMix:
    """A mix of formats: the share of layers that were to be exact, and the losses, 1 - PCC."""

    exact_share: float
    predicted: float
    emulated: float


@dataclass(frozen=True)
class Additivity:
    """What the mixes of one network came to."""

    network: str
    board: str
    batch: int
    mixes: tuple[DrawnMix, ...]

    @property
    def correlation(self) -> float | None:
        """Pearson's, of predicted and emulated losses; None of too few."""
        return _pearson(self._losses)

    @property
    def log_correlation(self) -> float | None:
        """Pearson's, of their logarithms."""
        return _pearson(np.log(np.maximum(self._losses, _LEAST)))

    @property
    def typical_ratio(self) -> float:
        """By what factor a prediction is off, up or down: the median."""
        logarithms = np.log(np.maximum(self._losses, _LEAST))
        return float(np.exp(np.median(np.abs(logarithms[0] - logarithms[1]))))

    @cached_property
    def _losses(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([[mix.predicted, mix.emulated] for mix in self.mixes]).T

    def to_plain(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        return {
            "network": self.network,
            "board": self.board,
            "batch": self.batch,
            "kind": "emulated",
            "correlation": self.correlation,
            "log_correlation": self.log_correlation,
            "typical_ratio": self.typical_ratio,
            "mixes": [asdict(mix) for mix in self.mixes],
        }


def _pearson(pairs: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    if pairs.shape[1] < _FEWEST or not pairs.std(1).all():
        return None
    return float(np.corrcoef(pairs)[0, 1])


class MixDrawer:
    """Draws mixes of formats, and says what each loses.

    The share of a mix's layers that are drawn is as likely in any octave from one layer to all, so
    that losses span what floors span. A drawn layer has any of its precisions
    (:data:`autosched.space.formats.PRECISIONS`) and formats of the output, each as likely as the
    others; an exact one bfloat16 weights, four phases, sums in float32 and its output in bfloat16.
    What has no weights keeps its input's format, but a sum is drawn, too.
    """

    def __init__(
        self,
        network: Network,
        board: Board,
        default: Schedule,
        formats: LayerFormats,
        errors: ErrorModel,
    ) -> None:
        self._network, self._default, self._errors = network, default, errors
        self._columns = board.grid[0]
        names = [layer.name for layer in network if isinstance(layer.op, Output)]
        truths = evaluate_network(network, network.samples)
        self._truths = dict(zip(names, truths, strict=True))
        self._formats = formats

    def drawn(
        self, count: int, seed: int, tell: Callable[[int], object] = lambda _done: None
    ) -> Iterator[DrawnMix]:
        """Yield so many mixes; ``tell`` is called before each with how many are done."""
        random = Random(seed)  # noqa: S311 - nothing secret
        for done in range(count):
            tell(done)
            share = 1.0 - len(self._network.layers) ** -random.random()
            schedule, total = self._mix(random, share)
            yield DrawnMix(share, loss(total), self._emulated(schedule))

    def _mix(self, random: Random, exact_share: float) -> tuple[Schedule, Errors]:
        layers: dict[str, LayerConfig] = {}
        total = self._errors.nothing.copy()
        for layer in self._network:
            if isinstance(layer.op, Output):
                continue
            is_exact = random.random() < exact_share
            sources = [output_dtype(layers[name]) for name in layer.inputs]
            config = self._drawn(layer, sources, None if is_exact else random)
            layers[layer.name] = config
            total += self._errors.errors(layer.name, _key(config, sources))
        return replace(self._default, layers={**self._default.layers, **layers}), total

    def _drawn(self, layer: Layer, sources: list[DataType], random: Random | None) -> LayerConfig:
        """Return a layer's configuration in formats drawn at random; the exactest without."""
        config = self._default.layers[layer.name]
        own = self._formats.output_dtype(layer)
        dtype = DataType.BFLOAT16 if random is None else random.choice((DataType.BFLOAT16, own))
        if isinstance(config, Conv2dConfig | MatmulConfig):
            precisions = allowed_precisions(layer, self._formats)
            precision = _exactest(precisions) if random is None else random.choice(precisions)
            return with_precision(replace(config, output_dtype=dtype), precision)
        if not sources:
            return config
        if not isinstance(layer.op, Binary):
            usual = output_dtype(config)
            dtype = usual if usual is DataType.BFLOAT16 else sources[0]
        return leaving(config, dtype)

    def _emulated(self, schedule: Schedule) -> float:
        made = emulate_outputs(self._network, schedule, self._network.samples, self._columns)
        return max(1.0 - agreement(made[name], truth).pcc for name, truth in self._truths.items())


def _exactest(precisions: tuple[Precision, ...]) -> Precision:
    return max(precisions, key=PRECISIONS.index)


def _key(config: LayerConfig, sources: list[DataType]) -> tuple[FormatKey, bool]:
    dtype = output_dtype(config)
    found = format_key(config, dtype)
    reads = DataType.BFLOAT16 if not sources else sources[0]
    converts = found[0] is not None and dtype is not reads is DataType.BFLOAT16
    return found, converts
