"""What a host layer does and moves, in words and numbers; loads no torch."""

import math

from autosched.network.graph import HostOp, Layer, Network

GETITEM = "getitem"
"""The step that takes one of several results."""

_BYTES = 2  # of bfloat16, in which tensors lie on the device at most


def moved_bytes(network: Network, layer: Layer) -> tuple[int, int]:
    """Return what a host layer reads from the device and writes back, in bytes of bfloat16."""
    read = sum(map(math.prod, network.input_shapes(layer)))
    return _BYTES * read, _BYTES * math.prod(layer.shape)


def operators(layer: Layer) -> tuple[str, ...]:
    """Return the names of the operators that a host layer runs, each once."""
    assert isinstance(layer.op, HostOp)  # noqa: S101 - only asked of host layers
    return tuple(
        dict.fromkeys(step.operator for step in layer.op.steps if step.operator != GETITEM)
    )
