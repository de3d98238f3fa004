import pytest

from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Input, Output, Pool2d
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType
from autosched.space.formats import Formats, LayerFormats, parse_formats
from tests.examples.space_layers import FORMATS, IMAGE, NETWORK

INNER = {"conv2", "sum", "pool", "mean", "flat"}


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


def test_the_default_is_said_in_words() -> None:
    assert parse_formats() == Formats()
    assert str(Formats()) == (
        "weights bfloat8_b, activations bfloat8_b (bfloat16 at both ends), "
        "LoFi (HiFi2 at both ends)"
    )


def test_a_named_fidelity_holds_at_the_ends_too() -> None:
    formats = parse_formats("bfloat4_b", "BFLOAT16", "hifi3")
    assert formats == Formats(
        weights=DataType.BFLOAT4_B,
        activations=DataType.BFLOAT16,
        fidelity=Fidelity.HIFI3,
        end_fidelity=Fidelity.HIFI3,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("float32",), "--weights 'float32' is not one of bfloat16, bfloat8_b, bfloat4_b"),
        (("", "bfloat4_b"), "--activations 'bfloat4_b' is not one of bfloat16, bfloat8_b"),
        (("", "", "high"), "--fidelity 'high' is not one of LoFi, HiFi2, HiFi3, HiFi4"),
    ],
)
def test_an_illegal_format_is_refused_with_the_legal_ones(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SearchError, match=message):
        parse_formats(*words)
