from dataclasses import replace

import pytest

from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Activation,
    Binary,
    Conv2d,
    Input,
    LayerOp,
    Output,
    Pool2d,
    Softmax,
    Unary,
)
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import DataType
from autosched.space.formats import FormatPin, Formats, parse_formats
from autosched.space.layer_formats import LayerFormats, default_schedule, pins_of
from tests.examples.space_layers import FORMATS, IMAGE, NETWORK

INNER = {"conv2", "sum", "pool", "mean", "flat"}
SCHEDULE = default_schedule(NETWORK, "n150", "0.81.1", Formats())


def test_inner_layers_lie_between_layers_with_weights() -> None:
    by_dtype = {layer.name: FORMATS.output_dtype(layer) for layer in NETWORK}
    inner = {name for name, dtype in by_dtype.items() if dtype is DataType.BFLOAT8_B}
    assert inner == INNER
    assert {by_dtype[name] for name in by_dtype.keys() - INNER} == {DataType.BFLOAT16}


def test_ends_compute_at_higher_fidelity() -> None:
    fidelity = {layer.name: FORMATS.compute(layer).math_fidelity for layer in NETWORK}
    assert {fidelity[name] for name in INNER} == {Fidelity.LOFI}
    assert fidelity["conv1"] is fidelity["fc"] is Fidelity.HIFI2


def test_weights_have_one_format() -> None:
    formats = LayerFormats(NETWORK, Formats(weights=DataType.BFLOAT4_B))
    assert {formats.weights_dtype(layer) for layer in NETWORK} == {DataType.BFLOAT4_B}


def test_pins_decide_the_formats_of_the_layers_they_name_and_the_last_holds() -> None:
    pins = (
        FormatPin("conv*", "weights_dtype", "bfloat4_b"),
        FormatPin("conv2", "weights_dtype", "BFLOAT16"),
        FormatPin("conv2", "output_dtype", "bfloat16"),
        FormatPin("fc", "math_fidelity", "hifi4"),
        FormatPin("conv1", "fp32_dest_acc_en", "true"),
        FormatPin("x", "output_dtype", "bfloat8_b"),
    )
    formats = LayerFormats(NETWORK, Formats(pins=pins))
    layers = NETWORK.by_name
    weights = [formats.weights_dtype(layers[name]) for name in ("conv1", "conv2", "fc")]
    assert weights == [DataType.BFLOAT4_B, DataType.BFLOAT16, DataType.BFLOAT8_B]
    assert formats.output_dtype(layers["conv2"]) is DataType.BFLOAT16
    assert formats.output_dtype(layers["x"]) is DataType.BFLOAT16, "rows have no block floats"
    assert formats.compute(layers["fc"]).math_fidelity is Fidelity.HIFI4
    sums = [formats.compute(layers[name]).fp32_dest_acc_en for name in ("conv1", "conv2")]
    assert sums == [True, False]


def test_the_formats_of_a_schedule_are_pins_of_what_differs() -> None:
    base = Formats(fidelity=Fidelity.HIFI2)
    pins = (
        FormatPin("conv1", "fp32_dest_acc_en", "true"),
        FormatPin("conv2", "output_dtype", "bfloat16"),
        FormatPin("conv2", "weights_dtype", "bfloat4_b"),
        FormatPin("sum", "output_dtype", "bfloat16"),
        FormatPin("y", "output_dtype", "bfloat8_b"),
    )
    schedule = default_schedule(NETWORK, "n150", "0", replace(base, pins=pins))
    found = pins_of(schedule, NETWORK, base)
    assert {*found} >= {*pins[:-1]}
    assert not {"x", "y"} & {pin.pattern for pin in found}, "the caller's formats"
    again = default_schedule(NETWORK, "n150", "0", replace(base, pins=found))
    assert again == schedule
    assert not pins_of(schedule, NETWORK, replace(base, pins=found))


def test_a_network_without_weights_is_all_ends() -> None:
    network = Network(
        "pool",
        (
            Layer("x", Input(), (), IMAGE),
            Layer("pool", Pool2d("max", (2, 2), (2, 2)), ("x",), (1, 64, 8, 8)),
            Layer("y", Output(), ("pool",), (1, 64, 8, 8)),
        ),
    )
    formats = LayerFormats(network, Formats())
    assert {formats.output_dtype(layer) for layer in network} == {DataType.BFLOAT16}


def test_sums_in_float32_hold_for_products_but_where_a_bias_is_added_apart() -> None:
    formats = parse_formats(fp32_accumulation=True)
    assert formats == Formats(fp32_accumulation=True)
    assert str(formats) == f"{Formats()}, sums in float32"
    assert formats.inside == "bfloat8_b weights, bfloat8_b, LoFi, float32 sums"
    configs = default_schedule(NETWORK, "n150", "0", formats).layers.values()
    computed = {
        type(config): config.compute.fp32_dest_acc_en
        for config in configs
        if isinstance(config, Conv2dConfig | MatmulConfig)
    }
    assert computed == {Conv2dConfig: True, MatmulConfig: False}


SOFTMAX = Network(
    "shares",
    (
        Layer("x", Input(), (), (1, 64)),
        Layer("shares", Softmax(1), ("x",), (1, 64)),
        Layer("y", Output(), ("shares",), (1, 64)),
    ),
)


@pytest.mark.parametrize(
    ("formats", "compute"),
    [
        (Formats(), None),
        (Formats(fidelity=Fidelity.HIFI2), None),
        (Formats(fidelity=Fidelity.HIFI4), ComputeConfig(Fidelity.HIFI4, math_approx_mode=False)),
        (
            Formats(fp32_accumulation=True),
            ComputeConfig(Fidelity.HIFI4, math_approx_mode=False, fp32_dest_acc_en=True),
        ),
    ],
)
def test_a_softmax_is_as_precise_as_the_rest_is_asked_to_be(
    formats: Formats, compute: ComputeConfig | None
) -> None:
    layers = default_schedule(SOFTMAX, "n150", "0", formats).layers
    assert {name: getattr(config, "compute", None) for name, config in layers.items()} == {
        "x": None,
        "shares": compute,
        "y": None,
    }


def test_every_layer_of_the_default_schedule_is_configured_in_execution_order() -> None:
    assert list(SCHEDULE.layers) == [layer.name for layer in NETWORK]
    assert not SCHEDULE.reshards
    assert not SCHEDULE.moves
    kinds = {name: type(config) for name, config in SCHEDULE.layers.items()}
    assert kinds == {
        "x": FixedConfig,
        "gate": EltwiseConfig,
        "conv1": Conv2dConfig,
        "conv2": Conv2dConfig,
        "sum": EltwiseConfig,
        "pool": PoolConfig,
        "mean": PoolConfig,
        "flat": FixedConfig,
        "fc": MatmulConfig,
        "soft": FixedConfig,
        "y": FixedConfig,
    }


def test_the_default_schedules_provenance_is_the_networks() -> None:
    provenance = SCHEDULE.provenance
    assert provenance.network_signature == NETWORK.signature
    assert (provenance.network, provenance.batch) == ("every kind", 1)
    assert (provenance.board, provenance.ttnn_version) == ("n150", "0.81.1")
    assert provenance.latency_us is None


def test_ttnn_decides_everything_but_the_formats() -> None:
    config = SCHEDULE.layers["conv2"]
    assert isinstance(config, Conv2dConfig)
    assert (config.shard_layout, config.core_grid, config.act_block_h_override) == (None, (), 0)
    assert (config.slicing, config.output_memory) == ("auto", "dram")
    assert config.output_dtype is DataType.BFLOAT8_B
    assert config.compute.math_fidelity is Fidelity.LOFI


def test_nothing_of_the_default_schedule_frees_a_tensor_that_may_be_read_again() -> None:
    assert not SCHEDULE.frees


def ragged(first: LayerOp, *, kernel: int = 3) -> DataType:
    """The format of a convolution of 24 channels inside a network, after some layer."""
    shape, padding = (1, 24, 16, 16), (kernel // 2,) * 4
    stem = Layer("stem", Conv2d(3, 24, (3, 3), padding=(1, 1, 1, 1)), ("x",), shape)
    before = Layer("before", first, ("stem",) * (2 if isinstance(first, Binary) else 1), shape)
    wide, op = (1, 32, 16, 16), Conv2d(24, 32, (kernel, kernel), padding=padding)
    layer = Layer("conv", op, ("before",), wide)
    last = Layer("last", Conv2d(32, 32, (1, 1)), ("conv",), wide)
    ends = Layer("x", Input(), (), (1, 3, 16, 16)), Layer("y", Output(), ("last",), wide)
    network = Network("ragged", (ends[0], stem, before, layer, last, ends[1]))
    return LayerFormats(network, Formats()).output_dtype(layer)


@pytest.mark.parametrize(
    "first",
    [
        Conv2d(24, 24, (1, 1), activation=Activation("relu")),
        Binary("add", Activation("hardswish")),
        Unary(Activation("silu")),
    ],
)
def test_channels_that_fill_up_a_tile_hold_zeros_after_most_layers(first: LayerOp) -> None:
    assert ragged(first) is DataType.BFLOAT8_B


@pytest.mark.parametrize(
    "first",
    [
        Conv2d(24, 24, (1, 1), activation=Activation("sigmoid")),
        Binary("div"),
        Pool2d("max", (3, 3), (1, 1), (1, 1, 1, 1)),
    ],
)
def test_a_convolution_that_may_read_something_there_leaves_bfloat16(first: LayerOp) -> None:
    assert ragged(first) is DataType.BFLOAT16
    assert ragged(first, kernel=1) is DataType.BFLOAT8_B  # a matmul


@pytest.mark.parametrize(
    ("function", "channels", "dtype"),
    [
        ("recip", 8, DataType.BFLOAT16),
        ("log", 40, DataType.BFLOAT16),
        ("recip", 64, DataType.BFLOAT8_B),
        ("relu", 8, DataType.BFLOAT8_B),
    ],
)
def test_a_function_without_a_value_at_zero_reads_no_block_floats_beside_what_fills_up_a_tile(
    function: str, channels: int, dtype: DataType
) -> None:
    shape = (1, channels, 8, 8)
    pointwise = Conv2d(channels, channels, (1, 1))
    network = Network(
        "poles",
        (
            Layer("x", Input(), (), shape),
            Layer("first", pointwise, ("x",), shape),
            Layer("middle", pointwise, ("first",), shape),
            Layer("sign", Unary(Activation("neg")), ("middle",), shape),
            Layer("pole", Unary(Activation(function)), ("sign",), shape),
            Layer("last", pointwise, ("pole",), shape),
            Layer("y", Output(), ("last",), shape),
        ),
    )
    formats = LayerFormats(network, Formats())
    assert {formats.left_in_dram(network.by_name[name]).dtype for name in ("middle", "pole")} == {
        dtype
    }
