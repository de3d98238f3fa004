"""In which order of elements images come in and are handed back.

PyTorch's is (N, C, H, W); on the device the channels of a pixel lie together, so that turning an
image takes device time at both ends. A next model, or a step on the host, often takes what the
device has.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

from autosched.errors import NetworkFileError
from autosched.network.graph import Layer, Network
from autosched.network.left_layouts import is_image
from autosched.network.operators import (
    DEVICE,
    NHWC,
    ActivatedOutput,
    DeviceInput,
    DeviceOutput,
    Input,
    Output,
    Unary,
)
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.schedule import Schedule

NCHW = "nchw"
ORDERS = {
    NCHW: "as PyTorch has them, (N, C, H, W)",
    NHWC: "rows of channels in DRAM, (1, 1, N*H*W, C)",
    DEVICE: "wherever and in what format the layers beside them have them",
}
"""What may be asked of a network's images, with what it means."""


@dataclass(frozen=True)
class Ends:
    """The order of a network's inputs and that of its outputs, one of :data:`ORDERS` each."""

    inputs: str = NCHW
    outputs: str = NCHW

    @classmethod
    def parse(cls, text: str, where: str = "--io") -> "Ends":
        """Read "nhwc", which is said of both ends, or "nchw,device", of inputs and outputs.

        Raises:
            NetworkFileError: for another word; the message begins with ``where``.
        """
        words = [word.strip().lower() for word in text.split(",")]
        if len(words) > len(("inputs", "outputs")) or any(word not in ORDERS for word in words):
            raise NetworkFileError(
                f"{where} {text!r} is not one of {', '.join(ORDERS)}, nor two of them (inputs, "
                "outputs) with a comma between"
            )
        return cls(words[0], words[-1])

    def __str__(self) -> str:
        return self.inputs if self.inputs == self.outputs else f"{self.inputs},{self.outputs}"


def with_ends(network: Network, ends: Ends) -> Network:
    """Return a network whose images come in and are handed back in other orders.

    Of an image with one channel rows of channels are what PyTorch has; vectors have one order, and
    are handed back where they are if the device's is asked for.
    """
    return _with_orders(
        network, lambda layer: ends.inputs if isinstance(layer.op, Input) else ends.outputs
    )


def ends_of(network: Network) -> Ends:
    """Return the orders in which a network takes its images and hands them back."""
    found = {"inputs": NCHW, "outputs": NCHW}
    for layer in network:
        if isinstance(layer.op, DeviceInput):
            found["inputs"] = layer.op.order
        elif isinstance(layer.op, DeviceOutput):
            found["outputs"] = layer.op.order
    return Ends(**found)


def with_ends_of(network: Network, schedule: Schedule) -> Network:
    """Return a network as a schedule takes its inputs and leaves its outputs."""

    def order(layer: Layer) -> str:
        config = schedule.layers.get(layer.name)
        asked = config.method if isinstance(config, FixedConfig) else ""
        return asked if asked in {NHWC, DEVICE} else NCHW

    return _with_orders(network, order)


def _with_orders(network: Network, order: Callable[[Layer], str]) -> Network:
    layers = tuple(
        chain.from_iterable(
            _in_order(layer, order(layer))
            if type(layer.op) in {Input, Output, ActivatedOutput}
            else (layer,)
            for layer in network
        )
    )
    return network if layers == network.layers else replace(network, layers=layers)


def _in_order(layer: Layer, order: str) -> tuple[Layer, ...]:
    of_images = is_image(layer.shape)
    if order == NCHW or (order == NHWC and not (of_images and layer.shape[1] > 1)):
        return (layer,)
    match layer.op:
        case Input():
            return (replace(layer, op=DeviceInput(order)) if of_images else layer,)
        case ActivatedOutput():
            name = f"{layer.name}.{layer.op.activation.name}"
            activated = replace(layer, name=name, op=Unary(layer.op.activation))
            return activated, replace(layer, op=DeviceOutput(order), inputs=(name,))
        case _:
            return (replace(layer, op=DeviceOutput(order)),)
