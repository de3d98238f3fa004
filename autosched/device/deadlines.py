"""How long a healthy device may take to answer: by the work there is, on a busy machine."""

import math
from collections.abc import Sequence

from autosched.device.interface import ProbeRequest, Request, ReshardRequest
from autosched.network.graph import Network
from autosched.network.multiplications import multiplications
from autosched.network.operators import Shape

_ANSWER_DEADLINE_S = 120.0
# A new kernel compiles for about a second on a card, and a layer has up to ten of them: those of
# a halo and a move, of reshards, and its own readers, writers and computations.
_COMPILE_S_A_LAYER = 10.0
# ttnn's host code takes seconds for millions of positions, and lists all of them again for every
# slice of an image. A 3x3 convolution of 3 channels in its default configuration took 0.6, 8.5 and
# 79.5 s for 512, 2,048 and 4,096 pixels a side on a busy machine (ttnn 0.81.1): 1.1 s a million and
# 0.2 s a million squared; three times that is left for a busier one.
_HOST_S_A_MILLION = 3.5
_HOST_S_A_MILLION_SQUARED = 0.7
# Kernels are compiled within the first. ResNet-18's 1.8 billion multiplications took 20 s each on a
# busy machine; three times that is left for a busier one.
_SIMULATED_LAYER_S = 900.0
_SIMULATED_S_A_BILLION = 60.0


def answer_deadline_s(kind: str, asked: Network | Request | None) -> float:
    """Return the seconds in which the mock device or a card has run something for the first time.

    That is a whole network, a layer or reshard, or nothing that takes host code.
    """
    sizes = [_positions(shapes) / 1e6 for shapes in _layers(asked)]
    host_s = sum(_HOST_S_A_MILLION * size + _HOST_S_A_MILLION_SQUARED * size**2 for size in sizes)
    compile_s = 0.0 if kind == "mock" else _COMPILE_S_A_LAYER * max(1, len(sizes))
    return _ANSWER_DEADLINE_S + host_s + compile_s


def simulated_deadline_s(asked: Network | Request | None) -> float:
    """Return the seconds in which the simulator has executed the largest layer of what is asked.

    A kernel that does not end is told from a slow one by nothing else.
    """
    if isinstance(asked, Network):
        products = max(
            (multiplications(layer.op, asked.input_shapes(layer), layer.shape) for layer in asked),
            default=0,
        )
    elif isinstance(asked, ProbeRequest):
        products = multiplications(asked.op, asked.input_shapes, asked.shape)
    else:
        products = 0
    return _SIMULATED_LAYER_S + _SIMULATED_S_A_BILLION * products / 1e9


def _layers(asked: Network | Request | None) -> list[tuple[Shape, ...]]:
    """Return PyTorch's shapes of the inputs and output of each layer."""
    match asked:
        case Network():
            return [(*asked.input_shapes(layer), layer.shape) for layer in asked]
        case ProbeRequest():
            return [(*asked.input_shapes, asked.shape)]
        case ReshardRequest():
            return [(asked.shape,)]
        case None:
            return []


def _positions(shapes: Sequence[Shape]) -> int:
    """Return the rows of channels of the largest tensor, all images together."""
    return max(math.prod(shape) // max(1, _columns(shape)) for shape in shapes)


def _columns(shape: Shape) -> int:
    """Return the channels; a single number, which only the host makes, has one."""
    return shape[1 if len(shape) == 4 else -1] if shape else 1
