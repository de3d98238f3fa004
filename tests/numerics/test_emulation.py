"""The emulation beside what ttnn's kernels computed."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autosched.device.revisions import source_digest
from autosched.network.capture.capture import capture
from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import (
    Conv2d,
    ConvTranspose2d,
    Input,
    LayerOp,
    Linear,
    Output,
    Pool2d,
)
from autosched.network.reference import evaluate_layer
from autosched.numerics import emulation
from autosched.numerics.comparison import agreement
from autosched.numerics.emulation import (
    emulate_batches,
    emulate_network,
    emulate_outputs,
    emulated,
)
from autosched.numerics.storage import stored
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest
from autosched.schedule.tensors import DataType, ShardLayout, TensorLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from autosched.store.executions import EMULATION_REVISION
from tests.examples.golden import CASES, Case, inputs_of, output_of
from tests.numerics.test_golden import operator, truth_of

GRID_COLUMNS = 8
# What the vector unit approximates is no product: its last bits are not emulated.
APPROXIMATE = ("silu", "gelu")
# Rows of tiles that ttnn dealt to cores in blocks of one inner tile.
UNKNOWN_BLOCKS = tuple(
    f"{arch}_{name}"
    for arch in ("wh", "bh")
    for name in (
        "068_matmul_k256_lofi_b8xb8",
        "069_matmul_k256_hifi2_b16xb8_bias",
        "075_matmul_k256_hifi3_b8xb16_bias",
    )
)
SMALL = 1_000_000
"""Products of a case that is emulated step by step within two seconds."""
IN_OTHER_SHARDS = (
    "wh_115_conv_b_256x128_8x8_k1s1_lofi_b16xb8",
    "wh_127_conv_w_256x128_8x8_k1s1_lofi_b16xb8",
    "wh_302_conv_b_960x160_7x7_k1s1_lofi_b16xb8",
    "wh_303_conv_h_192x32_14x14_k1s1_lofi_b16xb8",
)
NOTHING_LOST = 0.999999
"""A PCC of kernels with all bits of their operands: all that is lost are the engine's last."""


def compute(case: Case) -> ComputeConfig:
    return ComputeConfig(
        Fidelity(case["math_fidelity"]),
        fp32_dest_acc_en=case["fp32_dest_acc_en"],
        packer_l1_acc=case["packer_l1_acc"],
    )


def config_of(case: Case, op: LayerOp) -> LayerConfig:
    dtype = DataType(case["output_dtype"])
    match op:
        case Conv2d():
            return Conv2dConfig(
                shard_layout=ShardLayout(case["shard_layout"].lower()),
                weights_dtype=DataType(case["weights_dtype"]),
                output_dtype=dtype,
                compute=compute(case),
                enable_activation_reuse=case.get("enable_activation_reuse", False),
            )
        case Linear():
            tiles = case["inner_tiles"]
            program = MatmulProgram("mcast_2d", (1, 1), tiles, 1, 1, 1, 1) if tiles else None
            return MatmulConfig(
                weights_dtype=DataType(case["weights_dtype"]),
                output_dtype=dtype,
                compute=compute(case),
                program=program,
            )
        case Pool2d():
            return PoolConfig(output_dtype=dtype)
        case _:
            return EltwiseConfig(dtype, TensorLayout(dtype=dtype))


def weights_of(case: Case) -> Weights | None:
    inputs = inputs_of(case)
    if case["op"] == "conv2d":
        return Weights(inputs["w"], inputs.get("bias"))
    if case["op"] == "matmul":
        bias = inputs.get("bias")
        return Weights(inputs["b"].T, None if bias is None else bias.flatten())
    return None


def test_other_values_have_another_revision() -> None:
    """Where this code changes its values, raise the revision, so that none of before is a claim."""
    room = Path(emulation.__file__).parent
    modules = sorted(room.glob("*.py"))
    found = digest([source_digest(module.read_text()) for module in modules])
    assert (EMULATION_REVISION, found) == (7, "cb715049c035f003")


def test_outputs_come_in_the_shape_in_which_the_caller_gets_them() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 4, 8, 32)
    network = capture(nn.PixelShuffle(2).eval(), (image,), "net")
    schedule = default_schedule(network, "n150", "0.81.1", Formats().most_exact)
    (made,) = emulate_outputs(network, schedule, [image], GRID_COLUMNS).values()
    assert network.layers[-1].shape == (16, 64)
    assert torch.equal(made, stored(nn.PixelShuffle(2)(image), DataType.BFLOAT16))


def emulation_of(case: Case, *, exactly: bool) -> torch.Tensor:
    op, weights, inputs = operator(case), weights_of(case), inputs_of(case)
    names = [name for name in ("x", "a", "b") if name in inputs][: 1 if weights else 2]
    dtype = DataType(case["activations_dtype"])
    sources = [as_stored(inputs[name], dtype, case) for name in names]
    if not op.takes_images:
        sources = [source.reshape(-1, source.shape[-1]) for source in sources]
    layer = Layer(case["id"], op, tuple(names), tuple(case["output"]["shape"]))
    found = emulated(layer, config_of(case, op), sources, weights, columns(case), exactly=exactly)
    return found.reshape(tuple(case["output"]["shape"]))


def columns(case: Case) -> int:
    """The board's columns, or as many as give a core of BLOCK shards the channels it had."""
    held = case.get("core_channels")
    return -(-case["inputs"]["x"]["shape"][1] // held) if held else GRID_COLUMNS


def as_stored(values: torch.Tensor, dtype: DataType, case: Case) -> torch.Tensor:
    if case["op"] in ("conv2d", "max_pool2d"):
        return stored(values.movedim(1, -1), dtype).movedim(-1, 1)
    return stored(values, dtype)


def cases(*names: str) -> list[Case]:
    return [case for case in CASES if case["op"] in names]


def exact_share(case: Case) -> float:
    return float((emulation_of(case, exactly=True) == output_of(case)).double().mean())


def products(case: Case) -> int:
    """How many products a case sums up; groups count as if they were one."""
    shapes = [spec["shape"] for spec in case["inputs"].values()]
    if case["op"] == "matmul":
        return math.prod(shapes[0]) * shapes[1][1]
    return math.prod(case["output"]["shape"]) * shapes[0][1] * case["kernel"] ** 2


def is_exact(case: Case) -> bool:
    """Whether the emulation can be exact: not where ttnn chose blocks that nobody recorded."""
    return case["activation"] not in APPROXIMATE and case["id"] not in UNKNOWN_BLOCKS


def is_small(case: Case) -> bool:
    return products(case) < SMALL or case["id"] in IN_OTHER_SHARDS


PRODUCTS = [case for case in cases("matmul", "conv2d") if is_exact(case)]


@pytest.mark.parametrize(
    "case", [case for case in PRODUCTS if is_small(case)], ids=lambda case: case["id"]
)
def test_products_are_those_of_the_kernels_bit_for_bit(case: Case) -> None:
    assert exact_share(case) == 1.0


@pytest.mark.soak
@pytest.mark.parametrize(
    "case", [case for case in PRODUCTS if not is_small(case)], ids=lambda case: case["id"]
)
def test_large_products_are_too(case: Case) -> None:
    assert exact_share(case) == 1.0


def test_every_way_of_computing_is_among_the_small_ones() -> None:
    small = [case for case in PRODUCTS if is_small(case)]
    kept = ("math_fidelity", "fp32_dest_acc_en", "packer_l1_acc", "weights_dtype", "output_dtype")
    for field in kept:
        assert {case[field] for case in small} == {case[field] for case in PRODUCTS}
    layouts = {case["shard_layout"] for case in small if case["op"] == "conv2d"}
    assert layouts == {"HEIGHT", "BLOCK", "WIDTH"}


@pytest.mark.parametrize("name", ["matmul", "conv2d"])
def test_in_haste_the_error_beside_pytorch_is_that_of_the_kernels(name: str) -> None:
    """Register for register it is not the same, but as precise: within a tenth, 5 % as a rule."""
    ratios = []
    for case in cases(name):
        if case["pcc"] > NOTHING_LOST:
            continue
        truth, kernels = truth_of(case).double(), output_of(case).double()
        found = emulation_of(case, exactly=False).double()
        ratios.append(float((found - truth).norm() / (kernels - truth).norm()))
        assert agreement(found.float(), kernels.float()).pcc > 0.9999, case["id"]
    assert max(ratios) < 1.1
    assert min(ratios) > 0.9
    assert sum(abs(ratio - 1.0) < 0.05 for ratio in ratios) > 0.95 * len(ratios)


@pytest.mark.parametrize(
    "name",
    ["add", "sub", "mul", "max_pool2d", "avg_pool2d", "global_avg_pool2d", "upsample", "relu"],
)
def test_other_layers_agree_with_the_kernels(name: str) -> None:
    for case in cases(name):
        found = agreement(emulation_of(case, exactly=False), output_of(case))
        assert found.concordance > 0.9999, (case["id"], found)
        if name in ("max_pool2d", "upsample", "relu"):
            assert found.largest_error == 0.0, case["id"]


def test_a_transposed_convolution_is_one_of_the_pixels_apart() -> None:
    op = ConvTranspose2d(32, 16, (3, 3), (2, 2), (1, 1), (1, 1), has_bias=False)
    source, weight = torch.randn(1, 32, 5, 5).bfloat16().float(), torch.randn(32, 16, 3, 3)
    layer = Layer("up", op, ("x",), (1, 16, 10, 10))
    precise = ComputeConfig(Fidelity.HIFI4, fp32_dest_acc_en=True)
    config = Conv2dConfig(
        shard_layout=ShardLayout.HEIGHT,
        weights_dtype=DataType.BFLOAT16,
        output_dtype=DataType.BFLOAT16,
        compute=precise,
    )
    weights = Weights(weight.bfloat16().float(), None)
    found = emulated(layer, config, [source], weights, GRID_COLUMNS)
    truth = evaluate_layer(layer, [source], weights)
    assert found.shape == truth.shape
    assert agreement(found, truth).concordance > 0.99999


def test_groups_that_share_a_tile_are_computed_as_one() -> None:
    op = Conv2d(96, 48, (3, 3), padding=(1, 1, 1, 1), groups=3, has_bias=False)
    source, weight = torch.randn(1, 96, 6, 6).bfloat16().float(), torch.randn(48, 32, 3, 3)
    depthwise = Conv2d(96, 96, (3, 3), padding=(1, 1, 1, 1), groups=96, has_bias=False)
    config = Conv2dConfig(output_dtype=DataType.BFLOAT16, weights_dtype=DataType.BFLOAT16,
                          compute=ComputeConfig(Fidelity.HIFI4, fp32_dest_acc_en=True))  # fmt: skip
    for one, kernels in ((op, weight), (depthwise, torch.randn(96, 1, 3, 3))):
        weights = Weights(kernels.bfloat16().float(), None)
        layer = Layer("grouped", one, ("x",), (1, one.out_channels, 6, 6))
        found = emulated(layer, config, [source], weights, GRID_COLUMNS)
        truth = evaluate_layer(layer, [source], weights)
        assert agreement(found, truth).concordance > 0.99999


def test_an_input_is_stored_in_its_format() -> None:
    image = torch.randn(1, 3, 4, 4)
    config = FixedConfig(output=TensorLayout(dtype=DataType.BFLOAT16))
    layer = Layer("x", Input(), (), (1, 3, 4, 4))
    assert torch.equal(emulated(layer, config, [image], None, 8), image.bfloat16().float())


def test_a_network_is_compared_layer_by_layer() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
    ).eval()
    image = torch.randn(1, 3, 16, 16)
    network = capture(module, (image,), "net")
    told: list[str] = []
    found = {}
    for fidelity in (Fidelity.LOFI, Fidelity.HIFI4):
        formats = Formats(
            weights=DataType.BFLOAT16, fidelity=fidelity, end_fidelity=fidelity,
            fp32_accumulation=True,
        )  # fmt: skip
        schedule = default_schedule(network, "n150", "0", formats)
        execution = emulate_network(
            network, schedule, [image], GRID_COLUMNS, lambda layer: told.append(layer.name)
        )
        (found[fidelity],) = (output.pcc for output in execution.outputs.values())
        assert [layer.name for layer in execution.layers] == [
            layer.name for layer in network if not isinstance(layer.op, Output)
        ]
        assert min(layer.alone.concordance for layer in execution.layers) > 0.98
    assert told == [layer.name for layer in network] * 2
    assert 0.97 < found[Fidelity.LOFI] < found[Fidelity.HIFI4]
    assert found[Fidelity.HIFI4] > 0.9999


@pytest.fixture(scope="module")
def small() -> tuple[Network, Schedule]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 1)).eval()
    network = capture(net, (torch.randn(1, 32, 16, 16),), "net")
    return network, default_schedule(network, "n150", "0.81.1", Formats())


def test_batches_come_in_order_as_if_computed_one_by_one(small: tuple[Network, Schedule]) -> None:
    network, schedule = small
    batches = [[torch.randn(1, 32, 16, 16)] for _ in range(5)]
    threads = torch.get_num_threads()
    found = list(emulate_batches(network, schedule, batches, GRID_COLUMNS))
    assert torch.get_num_threads() == threads
    for made, batch in zip(found, batches, strict=True):
        alone = emulate_outputs(network, schedule, batch, GRID_COLUMNS)
        assert all(torch.equal(made[name], alone[name]) for name in alone)


def test_batches_that_nobody_asks_for_are_given_up(
    small: tuple[Network, Schedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, schedule = small
    seen: list[Layer] = []

    def counted(layer: Layer, *rest: Any) -> torch.Tensor:
        seen.append(layer)
        return emulated(layer, *rest)

    monkeypatch.setattr(emulation, "emulated", counted)
    batches = [[torch.randn(1, 32, 16, 16)] for _ in range(200)]
    waiting = emulate_batches(network, schedule, batches, GRID_COLUMNS)
    next(waiting)
    waiting.close()
    assert len(seen) < 100 * (len(network.layers) - 1)
