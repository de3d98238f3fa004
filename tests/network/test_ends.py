from dataclasses import replace

import pytest
import torch

from autosched.errors import NetworkFileError
from autosched.network.ends import Ends, ends_of, with_ends, with_ends_of
from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    ActivatedOutput,
    Activation,
    DeviceInput,
    DeviceOutput,
    Input,
    Output,
    Unary,
)
from autosched.network.reference import evaluate_network
from autosched.schedule.schedule import Schedule
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule


def network(channels: int = 3) -> Network:
    shape = (2, channels, 4, 5)
    return Network(
        "ends",
        (
            Layer("x", Input(), (), shape),
            Layer("relu", Unary(Activation("relu")), ("x",), shape),
            Layer("y", Output(), ("relu",), shape),
        ),
    )


def operators(found: Network) -> tuple[object, object]:
    return found.by_name["x"].op, found.by_name["y"].op


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("nhwc", Ends("nhwc", "nhwc")),
        ("nchw,device", Ends("nchw", "device")),
        (" NHWC, nchw", Ends("nhwc", "nchw")),
    ],
)
def test_orders_are_read_and_written(text: str, ends: Ends) -> None:
    assert Ends.parse(text) == ends
    assert Ends.parse(str(ends)) == ends


@pytest.mark.parametrize("text", ["", "hwc", "nchw,nhwc,device", "nhwc,"])
def test_other_words_are_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(NetworkFileError, match=r"--io .* is not one of nchw, nhwc, device"):
        Ends.parse(text)


def test_both_ends_have_their_own_order() -> None:
    found = with_ends(network(), Ends("device", "nhwc"))
    assert operators(found) == (DeviceInput("device"), DeviceOutput("nhwc"))
    assert ends_of(found) == Ends("device", "nhwc")
    assert found.signature != network().signature


def test_pytorchs_order_changes_nothing() -> None:
    assert with_ends(network(), Ends()) == network()


def test_rows_of_one_channel_are_what_pytorch_has() -> None:
    assert operators(with_ends(network(1), Ends("nhwc", "nhwc"))) == (Input(), Output())
    found = operators(with_ends(network(1), Ends("device", "device")))
    assert found == (DeviceInput("device"), DeviceOutput("device"))


def test_a_vector_stays_where_it_is_and_comes_as_ever() -> None:
    vector = Network(
        "vector",
        tuple(replace(layer, shape=(2, 3)) for layer in network()),
    )
    assert operators(with_ends(vector, Ends("nhwc", "nhwc"))) == (Input(), Output())
    found = operators(with_ends(vector, Ends("device", "device")))
    assert found == (Input(), DeviceOutput("device"))


def test_a_function_that_an_output_has_is_a_layer_before_another_order() -> None:
    *layers, last = network()
    function = Activation("tanh")
    own = Network("ends", (*layers, replace(last, op=ActivatedOutput(function))))
    assert with_ends(own, Ends("nhwc", "nchw")).layers[-1].op == ActivatedOutput(function)
    found = with_ends(own, Ends("nchw", "nhwc"))
    assert [layer.op for layer in found.layers[-2:]] == [Unary(function), DeviceOutput("nhwc")]
    drawn = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(evaluate_network(found, [drawn])[0], evaluate_network(own, [drawn])[0])


def test_the_values_are_the_same() -> None:
    drawn = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    (plain,) = evaluate_network(network(), [drawn])
    (found,) = evaluate_network(with_ends(network(), Ends("device", "nhwc")), [drawn])
    assert torch.equal(found, plain)


def test_a_schedule_says_by_itself_what_its_network_takes() -> None:
    def made_for(found: Network) -> Schedule:
        return default_schedule(found, "n150", "0.81.1", Formats())

    wanted = with_ends(network(), Ends("nhwc", "device"))
    assert with_ends_of(network(), made_for(wanted)) == wanted
    assert with_ends_of(network(), made_for(network())) == network()
