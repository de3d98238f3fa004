"""A network as the scheduler sees it: layers with shapes, and the tensors between them.

Shapes are PyTorch's: (N, C, H, W) for images, (N, features) for vectors. Rows of tokens are
images, too, each pixel a token. Each layer has exactly one output tensor. Weights are kept beside
the layers, so that two layers with equal parameters and shapes share one
:meth:`Network.layer_signature` and with it every probe.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from autosched.errors import ScheduleError
from autosched.network.operators import GETITEM, HostOp, HostOutput, Input, LayerOp, Operator
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest, from_plain, to_plain
from autosched.schedule.tensors import Edge, labelled_edge

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Layer:
    """One step of the network.

    ``inputs`` names the producers in argument order, ``shape`` is the output's, ``source`` the
    place in the user's file ("net.py:12"), for messages; ``reason`` says why it runs on the host.
    """

    name: str
    op: LayerOp
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    source: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Weights:
    """The float32 parameters of a convolution, linear layer or norm, batch norm folded in.

    ``weight`` is (out, in / groups, kernel height, kernel width), (in, out / groups, ...) of a
    transposed convolution, (out, in), (channels,) of a norm, or a constant itself; ``bias`` is
    (out,). A host layer's constants, of any type, are ``weight`` and ``others``.
    """

    weight: "torch.Tensor"
    bias: "torch.Tensor | None" = None
    others: "tuple[torch.Tensor, ...]" = ()


@dataclass(frozen=True)
class Packing:
    """How many images of a batch lie beside each other in the channels of a tensor.

    ``callers`` has the shapes in which inputs are handed in and outputs back, by layer, where the
    layer has another: the same elements in the same order. ``apart`` are the layers of the network
    as it was captured for which images are taken apart again.
    """

    images: int = 1
    callers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """Layers in a topological order, and their weights by layer name.

    ``samples`` are inputs that accuracy is fitted to, as the caller has them, and ``held_out``
    batches of others that it is judged on. ``metric`` is the user's own figure of (outputs,
    reference), a tensor each or a tuple of them: the higher, the better.
    """

    name: str
    layers: tuple[Layer, ...]
    weights: Mapping[str, Weights] = field(default_factory=dict, repr=False, compare=False)
    packing: Packing = field(default_factory=Packing)
    samples: "tuple[torch.Tensor, ...]" = field(default=(), repr=False, compare=False)
    held_out: "tuple[tuple[torch.Tensor, ...], ...]" = field(default=(), repr=False, compare=False)
    metric: Callable[[Any, Any], float] | None = field(default=None, repr=False, compare=False)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @cached_property
    def by_name(self) -> Mapping[str, Layer]:
        """Layers by name."""
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every use of a tensor, in the consumers' execution order."""
        return tuple(
            Edge(producer, layer.name, index)
            for layer in self.layers
            for index, producer in enumerate(layer.inputs)
        )

    @cached_property
    def last_uses(self) -> Mapping[str, str]:
        """For each layer, the last layer in execution order that reads its output."""
        return {edge.producer: edge.consumer for edge in self.edges}

    def freed_after(self, layer: Layer) -> set[str]:
        """Return the inputs of ``layer`` that nothing reads after it."""
        return {name for name in layer.inputs if self.last_uses[name] == layer.name}

    def input_shapes(self, layer: Layer) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors that ``layer`` reads."""
        return tuple(self.by_name[name].shape for name in layer.inputs)

    @property
    def host_layers(self) -> "tuple[Layer, ...]":
        """The layers that run on the host."""
        return tuple(layer for layer in self.layers if isinstance(layer.op, HostOp))

    @property
    def batch(self) -> int:
        """Images per inference."""
        inputs = (layer for layer in self.layers if isinstance(layer.op, Input))
        return self.caller_shape(next(inputs, self.layers[0]))[0]

    def caller_shape(self, layer: Layer) -> tuple[int, ...]:
        """Return the shape in which the caller hands in an input or gets an output."""
        return self.packing.callers.get(layer.name, layer.shape)

    def without_samples(self) -> "Network":
        """Return it without what accuracy is judged on and by, which stays in this process."""
        return replace(self, samples=(), held_out=(), metric=None)

    def layer_signature(self, layer: Layer) -> str:
        """Identify what a device sees of a layer: its parameters and shapes, not its weights."""
        return digest(
            {
                "op": type(layer.op).__name__,
                "parameters": to_plain(layer.op),
                "inputs": to_plain(self.input_shapes(layer)),
                "output": to_plain(layer.shape),
            }
        )

    @cached_property
    def signature(self) -> str:
        """Identify the whole network: every layer's signature, name and inputs."""
        return digest(
            [[layer.name, self.layer_signature(layer), list(layer.inputs)] for layer in self]
        )


def in_execution_order(network: Network, schedule: Schedule) -> Network:
    """Return the network with its layers in the order in which a schedule lists them.

    Raises:
        ScheduleError: if the schedule runs a layer before one whose output it reads.
    """
    place = {name: number for number, name in enumerate(schedule.layers)}
    for edge in network.edges:
        if place[edge.producer] > place[edge.consumer]:
            raise ScheduleError(
                f"the schedule runs layer {edge.consumer} before {edge.producer}, whose output it "
                "reads; list the layers in the order in which they run"
            )
    ordered = tuple(sorted(network.layers, key=lambda layer: place[layer.name]))
    return network if ordered == network.layers else replace(network, layers=ordered)


_BYTES = 2  # of bfloat16, in which tensors lie on the device at most


def moved_bytes(network: Network, layer: Layer) -> tuple[int, int]:
    """Return what a host layer reads from the device and writes back, in bytes of bfloat16."""
    read = sum(map(math.prod, network.input_shapes(layer)))
    stays = isinstance(layer.op, HostOutput)
    return _BYTES * read, 0 if stays else _BYTES * math.prod(layer.shape)


def operators(layer: Layer) -> tuple[str, ...]:
    """Return the names of the operators that a host layer runs, each once."""
    assert isinstance(layer.op, HostOp)  # noqa: S101 - only asked of host layers
    return tuple(
        dict.fromkeys(step.operator for step in layer.op.steps if step.operator != GETITEM)
    )


def failing_layer(network: Network, rejection: Rejection) -> str | None:
    """Return the layer in whose step a run was rejected, reshards and moves included."""
    if rejection.layer in network.by_name:
        return rejection.layer
    try:
        name = labelled_edge(rejection.layer).consumer
    except ScheduleError:
        return None
    return name if name in network.by_name else None


def network_plain(network: Network) -> dict[str, Any]:
    """Return a network's layers and packing as JSON types: what a database keeps of it."""
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

    It has the signature of what was written, and no weights.

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
