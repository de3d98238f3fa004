"""Functions of one and of two tensors on the mock device."""

import pytest

from autosched.device.worker import WorkerDevice
from autosched.network.operators import Activation, Binary, Unary
from autosched.schedule.configurations import EltwiseConfig
from autosched.schedule.tensors import DRAM_TILE, TensorLayout
from tests.device.ttnn.test_images import codes, probed
from tests.examples.layouts import DRAM_8B

IMAGE = (1, 32, 8, 8)


@pytest.mark.parametrize("layout", [DRAM_8B, DRAM_TILE])
@pytest.mark.parametrize("function", ["maximum", "minimum"])
def test_extremes_are_of_two_tensors_of_one_format(
    worker: WorkerDevice, function: str, layout: TensorLayout
) -> None:
    config = EltwiseConfig(layout.dtype, layout)
    outcome = probed(worker, Binary(function), [IMAGE, IMAGE], IMAGE, config, DRAM_8B, DRAM_TILE)
    assert len(outcome.ops) == 2
    assert outcome.output_layout == layout


@pytest.mark.parametrize(
    "name",
    [
        *("neg", "erf", "expm1", "log1p", "exp2", "log2", "log10", "floor", "ceil", "trunc"),
        *("frac", "sign", "tan", "atan", "sinh", "cosh"),
        *("power", "mul_unary_sfpu", "add_unary_sfpu", "celu", "hardshrink", "softshrink"),
    ],
)
def test_functions_of_one_tensor_are_one_op(worker: WorkerDevice, name: str) -> None:
    numbered = {"power", "celu", "hardshrink", "softshrink", "mul_unary_sfpu", "add_unary_sfpu"}
    op = Unary(Activation(name, (0.5,) if name in numbered else ()))
    config = EltwiseConfig(DRAM_TILE.dtype, DRAM_TILE)
    assert len(codes(probed(worker, op, [IMAGE], IMAGE, config, DRAM_TILE))) == 1
