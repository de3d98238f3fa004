"""What a trial chose, in few words: the parameters that optuna-dashboard compares and weighs."""

from collections.abc import Iterator, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from autosched.schedule.configurations import Conv2dConfig, Fidelity, LayerConfig, MatmulConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DataType, ShardLayout

_Parameter = tuple[str, Any, BaseDistribution]
_LEFT = "ttnn's"
_LAYOUTS = CategoricalDistribution(
    (*(layout.value for layout in ShardLayout), "l1", "dram", "sliced", _LEFT)
)
_FORMATS = CategoricalDistribution(tuple(dtype.value for dtype in DataType))
_FIDELITIES = CategoricalDistribution(tuple(fidelity.value for fidelity in Fidelity))
_RESHARDS = IntDistribution(0, 100_000)


def parameters(
    schedule: Schedule, layers: Sequence[str]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return a trial's parameters and what values they may have, alike for trials of one study.

    They are how many reshards there are, the formats and the fidelity of the first of some
    ``layers`` (convolutions and linear layers), and the shard layout of each.
    """
    found: list[_Parameter] = [("reshards", len(schedule.reshards), _RESHARDS)]
    chosen = {name: schedule.layers[name] for name in layers if name in schedule.layers}
    for config in list(chosen.values())[:1]:
        found += _formats(config)
    found += [(f"layout of {name}", _layout(config), _LAYOUTS) for name, config in chosen.items()]
    values = {name: value for name, value, _ in found}
    return values, {name: distribution for name, _, distribution in found}


def _formats(config: LayerConfig) -> Iterator[_Parameter]:
    if isinstance(config, Conv2dConfig | MatmulConfig):
        yield "weights", config.weights_dtype.value, _FORMATS
        yield "activations", config.output_dtype.value, _FORMATS
        yield "fidelity", config.compute.math_fidelity.value, _FIDELITIES


def _layout(config: LayerConfig) -> str:
    if isinstance(config, MatmulConfig):
        return config.output
    if not isinstance(config, Conv2dConfig):
        return _LEFT
    if config.slicing.startswith("dram"):
        return "sliced"
    return _LEFT if config.shard_layout is None else config.shard_layout.value
