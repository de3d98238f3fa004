"""A network as plain values, without its weights: what a database keeps of it.

What is read back has the signature of what was written, so that it is the network of every study
and probe that carries this signature.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from autosched.errors import ScheduleError
from autosched.network.graph import Layer, Network, Packing
from autosched.network.operators import Operator
from autosched.schedule.serialization import from_plain, to_plain


def network_plain(network: Network) -> dict[str, Any]:
    """Return a network's layers and packing as JSON types."""
    return {
        "name": network.name,
        "packing": to_plain(network.packing),
        "layers": [
            {
                "name": layer.name,
                "op": type(layer.op).__name__,
                "parameters": to_plain(layer.op),
                "inputs": list(layer.inputs),
                "shape": list(layer.shape),
                "source": layer.source,
                "reason": layer.reason,
            }
            for layer in network
        ],
    }


def network_from_plain(plain: Mapping[str, Any]) -> Network:
    """Read back what :func:`network_plain` wrote.

    Raises:
        ScheduleError: for a field or operator that this version does not know.
    """
    try:
        layers = tuple(_layer(item) for item in plain["layers"])
        packing = from_plain(Packing, plain["packing"])
        return Network(str(plain["name"]), layers, packing=packing)
    except (KeyError, TypeError) as error:
        raise ScheduleError(f"a network is not as this version has them: {error!r}") from error


def _layer(plain: Mapping[str, Any]) -> Layer:
    op = from_plain(_operators()[plain["op"]], plain["parameters"])
    shape, inputs = tuple(map(int, plain["shape"])), tuple(map(str, plain["inputs"]))
    return Layer(str(plain["name"]), op, inputs, shape, plain["source"], plain["reason"])


@cache
def _operators() -> Mapping[str, type[Operator]]:
    return {operator.__name__: operator for operator in _below(Operator)}


def _below(kind: type[Operator]) -> Iterator[type[Operator]]:
    for operator in kind.__subclasses__():
        yield operator
        yield from _below(operator)
