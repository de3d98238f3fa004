import io

from rich.console import Console

from autosched.network.graph import Layer, Network
from autosched.network.operators import HostOp, HostStep, HostView, Input, Output
from autosched.report.layer_rows import host_rows, warn_of_host_layers

SHAPE = (1, 64, 8, 8)
VIEW = HostView(SHAPE, (0, 1, 2, 3), SHAPE)
STEPS = (HostStep("aten.cumsum.default", '[[{"input":0},1],{}]'),)


def network(host: bool) -> Network:
    layers = [Layer("x", Input(), (), SHAPE)]
    if host:
        reason = "there is no layer for this operator"
        op = HostOp(STEPS, (VIEW,))
        layers.append(Layer("sum", op, ("x",), SHAPE, "net.py:12", reason))
    layers.append(Layer("y", Output(), (layers[-1].name,), SHAPE))
    return Network("net", tuple(layers))


def warned(of: Network) -> str:
    file = io.StringIO()
    warn_of_host_layers(Console(file=file, width=200), of)
    return file.getvalue()


def test_the_warning_names_the_layer_why_and_what_moves() -> None:
    text = warned(network(host=True))
    assert "1 layer on the host, moving 8 KiB from the device and 8 KiB back" in text
    assert "sum (aten.cumsum.default) at net.py:12: there is no layer for this operator" in text
    assert "not what the host computes" in text


def test_without_host_layers_there_is_nothing_to_say() -> None:
    assert warned(network(host=False)) == ""
    assert host_rows(network(host=False)) == []


def test_rows_are_plain() -> None:
    assert host_rows(network(host=True)) == [
        {
            "layer": "sum",
            "operators": ["aten.cumsum.default"],
            "source": "net.py:12",
            "reason": "there is no layer for this operator",
            "read_bytes": 8192,
            "written_bytes": 8192,
        }
    ]
