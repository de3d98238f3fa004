import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Concat, ConcatRows, Permute, Reshape
from tests.network.modules import Function, kinds, ops

IMAGE = (2, 4, 12, 12)


def test_concatenation_along_channels_and_features(lowered):
    images = [torch.randn(2, channels, 6, 6) for channels in (3, 5, 8)]
    network = lowered(Function(lambda *x: torch.cat(x, -3)), *images)
    assert ops(network) == [Concat()]
    assert network.layers[3].shape == (2, 16, 6, 6)
    vectors = [torch.randn(2, 3), torch.randn(2, 4)]
    assert ops(lowered(Function(lambda *x: torch.cat(x, 1)), *vectors)) == [Concat()]


def test_concatenation_of_one_tensor_is_nothing(lowered):
    assert ops(lowered(Function(lambda x: torch.cat([x], 1)), torch.randn(IMAGE))) == []


def test_what_is_joined_may_be_empty(lowered):
    def joined(x):
        nothing = F.relu(x[:, :, :0].transpose(1, 2)).transpose(1, 2)
        return torch.cat([nothing, x, x.new_zeros(0)], 2), x + nothing.sum(2, keepdim=True)

    lowered(Function(joined), torch.randn(2, 6, 9))
    lowered(Function(lambda x: torch.cat([x.split([4, 0], 1)[1], x], 1)), torch.randn(IMAGE))


def test_concatenations_of_a_growing_list_nest(lowered):
    def dense(x):
        parts = [x]
        for _ in range(3):
            parts.append(F.relu(torch.cat(parts, 1)[:, :4]))
        return torch.cat(parts, 1)

    network = lowered(Function(dense), torch.randn(IMAGE))
    concats = [layer for layer in network if isinstance(layer.op, Concat)]
    assert [len(layer.inputs) for layer in concats] == [2, 2, 2]
    assert concats[2].inputs[0] == concats[1].name
    assert concats[1].inputs[0] == concats[0].name


@pytest.mark.parametrize(
    "joined",
    [
        lambda *maps: torch.cat([x.flatten(2) for x in maps], 2),
        lambda *maps: torch.cat([x.flatten(2).transpose(1, 2) for x in maps], 1),
        lambda *maps: torch.cat([x.flatten(2)[:, None] for x in maps], -1),
    ],
)
def test_positions_are_joined_as_rows(lowered, joined):
    maps = [torch.randn(2, 4, 8, 8), torch.randn(2, 4, 4, 4), torch.randn(2, 4, 2, 3)]
    network = lowered(Function(lambda *x: F.relu(joined(*x)).sum(1)), *maps)
    assert kinds(network)[:4] == [Reshape, Reshape, Reshape, ConcatRows]
    assert network.layers[6].shape == (2, 4, 86, 1)


def boxes(values: torch.Tensor) -> torch.Tensor:
    """Four coordinates in a row, of so many boxes at each pixel as the channels are for."""
    return values.permute(0, 2, 3, 1).reshape(len(values), -1, 4)


def test_as_many_boxes_of_each_pixel_are_joined_before_they_are_rows(lowered):
    maps = [torch.randn(2, 12, *sides) for sides in ((8, 8), (4, 5), (1, 1))]
    network = lowered(Function(lambda *x: torch.cat([boxes(item) for item in x], 1)), *maps)
    assert kinds(network) == [Reshape, Reshape, ConcatRows, Permute]
    assert network.by_name["cat"].shape == (2, 12, 85, 1)


def test_other_numbers_of_boxes_are_rows_before_they_are_joined(lowered):
    maps = [torch.randn(2, 4 * count, 8, 2) for count in (1, 1, 3, 2)]
    network = lowered(Function(lambda *x: torch.cat([boxes(item) for item in x], 1).relu()), *maps)
    assert kinds(network).count(ConcatRows) == 2
    assert network.by_name["cat"].shape == (2, 4, 7 * 16, 1)


@pytest.mark.parametrize(
    "maps",
    [
        [torch.randn(2, 12, 1, 1), torch.randn(2, 8, 1, 1)],
        [torch.randn(2, 8, 4, 4), torch.randn(2, 16)],
    ],
)
def test_boxes_of_single_pixels_are_joined_as_channels(lowered, maps):
    def forward(*maps: torch.Tensor) -> torch.Tensor:
        rows = [boxes(item) if item.dim() == 4 else item.view(2, -1, 4) for item in maps]
        return torch.cat(rows, 1)

    assert ConcatRows not in kinds(lowered(Function(forward), *maps))


def test_what_is_joined_is_cut_in_channels_again(lowered):
    """The end of a YOLOv8: boxes and classes of all positions."""

    def forward(*maps):
        boxes, classes = torch.cat([x.flatten(2) for x in maps], 2).split((4, 3), 1)
        return torch.cat((boxes * 8, classes.sigmoid()), 1)

    network = lowered(Function(forward), torch.randn(2, 7, 8, 8), torch.randn(2, 7, 4, 4))
    assert Permute not in kinds(network)


def test_images_are_joined_below_each_other(lowered):
    module = Function(lambda x, y: torch.cat([x, y], 2))
    assert ops(lowered(module, torch.randn(2, 4, 5, 6), torch.randn(2, 4, 2, 6))) == [ConcatRows()]


STACKED = {
    "channels": (lambda x: torch.stack([x, x.relu()], 1).flatten(1, 2), (2, 8, 6, 7)),
    "inner channels": (lambda x: torch.stack([x, x.relu()], 2).flatten(1, 2), (2, 8, 6, 7)),
    "last": (lambda x: torch.stack([x, x.relu()], -1), (2, 8, 6, 7)),
    "first": (lambda x: torch.stack([x, x.relu()]).transpose(0, 1), (2, 8, 6, 7)),
    "tokens": (lambda x: torch.stack([x, x.relu()], 1), (2, 5, 8)),
    "vectors": (lambda x: torch.stack([x, x.relu()], 1), (2, 8)),
    "a constant": (lambda x: torch.stack([x, torch.ones(2, 8)], 1), (2, 8)),
    "other orders": (lambda x: torch.stack([x.mT.reshape(x.shape), x], 2), (2, 8, 6, 7)),
    "one": (lambda x: torch.stack([x], 1), (2, 8, 6, 7)),
}


@pytest.mark.parametrize(("function", "shape"), STACKED.values(), ids=STACKED)
def test_a_stack_is_a_concatenation_of_channels(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))
