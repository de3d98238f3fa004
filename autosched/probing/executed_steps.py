"""What of a schedule is executed alone: its layers and changes of layout, each with its kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autosched.device.interface import ProbeRequest, Request, ReshardRequest
from autosched.evidence.kinds import kind_of, reshard_kind
from autosched.network.graph import Layer, Network
from autosched.network.operators import Constant, DeviceInput, HostOp, Input, Output
from autosched.network.read_layouts import read_layouts, uploaded
from autosched.probing.probe_book import reshard_signature
from autosched.schedule.configurations import FixedConfig, LayerConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest
from autosched.schedule.tensors import TensorLayout
from autosched.store.executions import ExecutedConfig


@dataclass(frozen=True)
class ExecutedStep:
    """A layer or change of layout of a schedule, in the layouts that it has there.

    ``place`` is its layer or edge, ``config`` what identifies it as its probe is identified, and
    ``kind`` is "" where the device computes nothing.
    """

    place: str
    request: Request
    config: ExecutedConfig
    kind: str


def executed_steps(
    network: Network, schedule: Schedule, left: Mapping[str, TensorLayout]
) -> Iterator[ExecutedStep]:
    """Yield every layer of a schedule whose layers leave ``left``, then every change of layout."""
    read = read_layouts(network, schedule, left)
    for layer in network:
        config = schedule.layers[layer.name]
        request = layer_request(network, layer, config, read.inputs[layer.name])
        inputs = request.input_layouts or ()
        yield ExecutedStep(
            layer.name,
            request,
            layer_config(network, layer, config, inputs),
            kind_of_request(request, inputs, left[layer.name]),
        )
    for change in read.changes:
        shape, source, target = change.producer.shape, change.source, change.target
        yield ExecutedStep(
            change.label,
            ReshardRequest(shape, source, target),
            reshard_config(shape, source, target),
            reshard_kind(source, target),
        )


def layer_request(
    network: Network, layer: Layer, config: LayerConfig, layouts: tuple[TensorLayout, ...]
) -> ProbeRequest:
    """Return a layer in a configuration and the layouts that it reads; inputs are uploaded."""
    is_input = isinstance(layer.op, Input)
    shapes = (layer.shape,) if is_input else network.input_shapes(layer)
    inputs = (uploaded(layer.op, config),) if is_input else layouts
    return ProbeRequest(layer.op, shapes, layer.shape, config, inputs)


def layer_config(
    network: Network, layer: Layer, config: LayerConfig, inputs: Sequence[TensorLayout]
) -> ExecutedConfig:
    """Return what identifies a layer in a configuration and the layouts that it reads."""
    return network.layer_signature(layer), digest(config), digest(tuple(inputs))


def reshard_config(
    shape: tuple[int, ...], source: TensorLayout, target: TensorLayout
) -> ExecutedConfig:
    """Return what identifies a change of layout, as its probe does."""
    config = FixedConfig(output=target, method="reshard")
    return reshard_signature(shape), digest(config), digest((source,))


def kind_of_request(
    request: Request, inputs: tuple[TensorLayout, ...], output: TensorLayout
) -> str:
    """Return the kind of what is asked (:mod:`autosched.evidence.kinds`), by its layouts.

    It is "" for a layer that computes nothing on the device.
    """
    if isinstance(request, ReshardRequest):
        return reshard_kind(request.source, request.target)
    if isinstance(request.op, Constant | DeviceInput | HostOp | Output):
        return ""
    return kind_of(request.op, request.input_shapes, request.config, inputs, output)
