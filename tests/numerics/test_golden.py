"""What ttnn's kernels computed, beside PyTorch's truth as the project has it."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch

from autosched.network.graph import Layer, Weights
from autosched.network.operators import (
    Activation,
    Binary,
    Conv2d,
    GlobalAvgPool2d,
    LayerNorm,
    LayerOp,
    Linear,
    Pool2d,
    Softmax,
    Unary,
    Upsample,
)
from autosched.network.reference import evaluate_layer
from autosched.numerics.comparison import agreement
from tests.examples.golden import CASES, Case, inputs_of, output_of

EXACT = ("max_pool2d", "upsample", "relu")
COARSE = "bfloat4_b"


def convolution(case: Case) -> Conv2d:
    outer, inner = case["inputs"]["w"]["shape"][:2]
    return Conv2d(
        inner * case["groups"],
        outer,
        (case["kernel"],) * 2,
        (case["stride"],) * 2,
        (case["padding"],) * 4,
        groups=case["groups"],
        has_bias="bias" in case["inputs"],
        activation=fused(case),
    )


def fused(case: Case) -> Activation | None:
    return Activation(case["activation"]) if case.get("activation") else None


def pool(case: Case) -> Pool2d:
    return Pool2d(
        case["op"][:3],
        (case["kernel"],) * 2,
        (case["stride"],) * 2,
        (case["padding"],) * 4,
        count_include_pad=case.get("count_include_pad", True),
    )


OPERATORS: dict[str, Callable[[Case], LayerOp]] = {
    "conv2d": convolution,
    "matmul": lambda case: Linear(*case["inputs"]["b"]["shape"], activation=fused(case)),
    **dict.fromkeys(("add", "sub", "mul"), lambda case: Binary(case["op"], fused(case))),
    "max_pool2d": pool,
    "avg_pool2d": pool,
    "global_avg_pool2d": lambda _case: GlobalAvgPool2d(),
    "upsample": lambda case: Upsample("nearest", (case["scale"],) * 2),
    "softmax": lambda _case: Softmax(3),
    "layer_norm": lambda _case: LayerNorm(1e-5),
}
"""The operator of a case by its name; any other one is a function of one tensor."""


def operator(case: Case) -> LayerOp:
    return OPERATORS.get(case["op"], lambda case: Unary(Activation(case["op"])))(case)


def truth_of(case: Case) -> torch.Tensor:
    """PyTorch's result of a case in float32."""
    inputs, weights = inputs_of(case), None
    if case["op"] == "typecast":
        return inputs["a"]
    if case["op"] == "matmul":
        bias = inputs.get("bias")
        weights = Weights(inputs["b"].T, None if bias is None else bias.flatten())
        sources = [inputs["a"].reshape(-1, inputs["a"].shape[-1])]
    elif case["op"] == "conv2d":
        weights, sources = Weights(inputs["w"], inputs.get("bias")), [inputs["x"]]
    elif case["op"] == "layer_norm":
        weights = Weights(inputs["weight"].flatten(), inputs["bias"].flatten())
        sources = [inputs["a"].flatten(0, 2)]
    else:
        sources = list(inputs.values())
    shape = tuple(case["output"]["shape"])
    result = evaluate_layer(Layer(case["id"], operator(case), ("x",), shape), sources, weights)
    return result.reshape(shape)


def formats(case: Case) -> set[str]:
    return {value for key, value in case.items() if key.endswith("_dtype")}


@pytest.mark.parametrize("name", sorted({case["op"] for case in CASES}))
def test_kernels_agree_with_the_truth(name: str):
    for case in CASES:
        if case["op"] != name:
            continue
        found = agreement(output_of(case), truth_of(case))
        least = 0.97 if COARSE in formats(case) else 0.999
        assert found.concordance > least, (case["id"], found)
        assert found.pcc == pytest.approx(case["pcc"], abs=2e-6), case["id"]
        if name in EXACT:
            assert found.largest_error == 0.0, case["id"]


def test_both_architectures_are_there():
    boards = Counter(case["board"] for case in CASES)
    assert boards["n150"] > 100
    assert boards["p150"] > 50
