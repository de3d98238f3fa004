"""The ttnn calls of layers that compute value by value, and of softmax."""

from collections.abc import Callable, Mapping

import ttnn

from autosched.device.ttnn.calls import Call, Tensor, activated, fusing, split_activation
from autosched.device.ttnn.ttnn_types import DATA_TYPES, memory_config, unary
from autosched.network.operators import Binary, Unary
from autosched.schedule.configurations import EltwiseConfig

_BINARY: Mapping[str, Callable[..., Tensor]] = {
    "add": ttnn.add,
    "sub": ttnn.subtract,
    "mul": ttnn.multiply,
    "div": ttnn.divide,
    "maximum": ttnn.maximum,
    "minimum": ttnn.minimum,
}

# ttnn computes these of two tensors of one format alone.
_OF_ONE_FORMAT = ("maximum", "minimum")


def _run_binary(call: Call) -> Tensor:
    config = call.config_of(EltwiseConfig)
    op = call.op(Binary)
    first, second = (_in_tiles(tensor) for tensor in call.inputs)
    batch, shape = call.layer.shape[0], tuple(first.shape)
    per_image = batch > 1 and second.shape[2] != shape[2]
    if per_image:
        # Each image has its own row of the second tensor, to be repeated for all of its pixels.
        first = ttnn.reshape(first, (batch, 1, shape[2] // batch, shape[3]))
        second = ttnn.reshape(second, (batch, 1, 1, shape[3]))
    if op.function in _OF_ONE_FORMAT:
        wanted = DATA_TYPES[config.output_dtype]
        first, second = (_in_format(tensor, wanted) for tensor in (first, second))
    fused, apart = split_activation(op.activation)
    output = _BINARY[op.function](
        first,
        second,
        dtype=DATA_TYPES[config.output_dtype],
        memory_config=memory_config(config.layout),
        activations=[] if fused is None else [unary(fused)],
    )
    output = activated(output, apart)
    return ttnn.reshape(output, shape) if per_image else output


def _in_tiles(tensor: Tensor) -> Tensor:
    """Return a tensor as sums and products want it: of rows alone ttnn makes no block floats."""
    return ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)


def _in_format(tensor: Tensor, dtype: ttnn.DataType) -> Tensor:
    return tensor if tensor.dtype == dtype else ttnn.typecast(tensor, dtype)


def _run_unary(call: Call) -> Tensor:
    config = call.config_of(EltwiseConfig)
    function = unary(call.op(Unary).activation)
    with fusing(function):
        return ttnn.unary_chain(
            call.inputs[0], [function], memory_config=memory_config(config.layout)
        )


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Binary: _run_binary,
    Unary: _run_unary,
}
