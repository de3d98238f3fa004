import pytest
import torch
from torch import nn

from autosched.network.operators import Unary
from autosched.network.source_places import source_in_text, source_of_error, unique_names
from autosched.schedule.tensors import Edge


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["a", "b"], ["a", "b"]),
        (["relu", "relu", "relu"], ["relu", "relu_2", "relu_3"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        (["a_2", "a", "a", "a_2"], ["a_2", "a", "a_3", "a_2_2"]),
    ],
)
def test_repeated_names_are_numbered(wanted, names):
    assert unique_names(wanted) == names


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        y = self.conv(x)
        y = y + self.conv(y)
        return y + x


class Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Tanh())
        self.layer1 = nn.Sequential(Block(), Block())
        self.odd = nn.ModuleDict({"a b->c#1": nn.Conv2d(4, 4, 1)})

    def forward(self, image):
        image = self.layer1(self.stem(image))
        return torch.sigmoid(self.odd["a b->c#1"](image) * image)


def test_layers_are_called_after_the_users_modules(lowered):
    network = lowered(Tree(), torch.randn(1, 4, 8, 8))
    assert [layer.name for layer in network] == [
        "image",
        "stem.0",
        "stem.2",
        "layer1.0.conv",
        "layer1.0.conv_2",
        "layer1.0.add",
        "layer1.0.add_2",
        "layer1.1.conv",
        "layer1.1.conv_2",
        "layer1.1.add",
        "layer1.1.add_2",
        "odd.a_b__c_1",
        "mul",
        "output",
    ]
    for edge in network.edges:
        assert Edge.parse(str(edge)) == edge


def test_names_and_signature_are_the_same_every_time(lowered):
    first, second = (lowered(Tree(), torch.randn(1, 4, 8, 8)) for _ in range(2))
    assert first.signature == second.signature
    assert first.layers == second.layers


def test_layers_know_their_line_in_the_users_file(lowered):
    network = lowered(Tree(), torch.randn(1, 4, 8, 8))
    line = Block.forward.__code__.co_firstlineno
    assert network.by_name["layer1.1.conv"].source == f"test_source_places.py:{line + 1}"
    assert network.by_name["layer1.1.add_2"].source == f"test_source_places.py:{line + 3}"


def test_a_root_that_is_a_layer_is_called_after_its_operator(lowered):
    network = lowered(nn.Tanh(), torch.randn(2, 3))
    assert [layer.name for layer in network if isinstance(layer.op, Unary)] == ["tanh"]


def test_the_innermost_frame_outside_pytorch_counts():
    inside = f'File "{torch.__file__}", line 5, in forward\n'
    assert source_in_text('File "/a/net.py", line 3, in forward\n' + inside) == "net.py:3"
    assert source_in_text(inside) == ""
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert source_of_error(caught.value).startswith("test_source_places.py:")
    assert source_of_error(caught.value, "/another/file.py").startswith("test_source_places.py:")
    assert source_of_error(ValueError("never raised")) == ""
