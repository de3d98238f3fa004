"""How many products a layer sums up: what the matrix engine, or a simulator of it, has to do."""

import math
from collections.abc import Sequence

from autosched.network.graph import Network
from autosched.network.operators import (
    Attention,
    Conv2d,
    ConvTranspose2d,
    LayerOp,
    Linear,
    Matmul,
    Shape,
)


def multiplications(op: LayerOp, input_shapes: Sequence[Shape], shape: Shape) -> int:
    """Return the products of a layer by PyTorch's shapes; its elements where it has no sums."""
    match op:
        case Conv2d():
            return math.prod(shape) * op.in_channels // op.groups * math.prod(op.kernel)
        case ConvTranspose2d():
            spread = op.out_channels // op.groups * math.prod(op.kernel)
            return math.prod(input_shapes[0]) * spread
        case Linear():
            return math.prod(shape) * op.in_features
        case Matmul():
            return math.prod(shape) * input_shapes[0][-1]
        case Attention():
            tokens = math.prod(input_shapes[1][2:])
            return 2 * math.prod(shape) * tokens
        case _:
            return math.prod(shape)


def heaviest_layers(network: Network, most: int) -> list[str]:
    """Return the convolutions and linear layers with most products, one of those that are alike."""
    alike: dict[str, str] = {}
    work: dict[str, int] = {}
    for layer in network:
        if isinstance(layer.op, Conv2d | ConvTranspose2d | Linear):
            name = alike.setdefault(network.layer_signature(layer), layer.name)
            products = multiplications(layer.op, network.input_shapes(layer), layer.shape)
            work[name] = work.get(name, 0) + products
    return sorted(work, key=lambda name: -work[name])[:most]
