import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Constant, Conv2d, Gather, Matmul, Upsample
from autosched.network.rules import resizing as resizing_rules


class Resize(nn.Module):
    """A resize between two convolutions."""

    def __init__(self, resize):
        super().__init__()
        self.before, self.after = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        self.resize = resize

    def forward(self, x):
        return self.after(self.resize(self.before(x)))


def kinds(network):
    return {type(layer.op) for layer in network}


RESIZES = {
    "align_corners": nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "fraction": nn.Upsample(scale_factor=1.5, mode="bilinear"),
    "fraction nearest": nn.Upsample(scale_factor=(1.5, 0.7)),
    "fraction exact": nn.Upsample(scale_factor=0.6, mode="nearest-exact"),
    "size": nn.Upsample(size=(11, 7), mode="bilinear"),
    "smaller": nn.Upsample(scale_factor=0.5, mode="bilinear", align_corners=False),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "bicubic corners": nn.Upsample(size=(5, 13), mode="bicubic", align_corners=True),
    # 20 rows of 8 are no doubling: PyTorch maps them by 2.55, the factor it was given.
    "own factor": nn.Upsample(scale_factor=2.05, mode="bilinear"),
    "reflected": nn.ReflectionPad2d((1, 2, 3, 0)),
    "replicated": nn.ReplicationPad2d(2),
    "circular": lambda x: F.pad(x, (3, 2, 1, 0), mode="circular"),
    "average": nn.AdaptiveAvgPool2d((3, 5)),
    "average larger": nn.AdaptiveAvgPool2d((7, 11)),
}


@pytest.mark.parametrize("resize", RESIZES.values(), ids=RESIZES)
@pytest.mark.parametrize("batch", [1, 2])
def test_a_small_image_is_multiplied_by_one_matrix(lowered, resize, batch):
    network = lowered(Resize(resize), torch.randn(batch, 3, 10, 12))
    assert {Constant, Matmul} <= kinds(network)
    assert Upsample not in kinds(network)


TAKEN = ("fraction nearest", "fraction exact", "reflected", "replicated", "circular")


@pytest.mark.parametrize("resize", RESIZES.values(), ids=RESIZES)
def test_a_large_image_is_multiplied_by_rows_and_columns(lowered, resize, monkeypatch):
    monkeypatch.setattr(resizing_rules, "_MAX_ELEMENTS", 100)
    network = lowered(Resize(resize), torch.randn(2, 3, 10, 12))
    assert Matmul not in kinds(network)
    taken = resize in [RESIZES[name] for name in TAKEN]
    assert sum(isinstance(layer.op, Conv2d) for layer in network) == (2 if taken else 4)
    assert (Gather in kinds(network)) is taken


def test_a_taken_row_is_one_and_whole():
    taken = resizing_rules._taken
    assert taken(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])) == (1, 0, 1)
    assert taken(torch.tensor([[0.0, 1.0], [0.5, 0.5]])) == ()
    assert taken(torch.tensor([[1.0, 1e-3]])) == ()
    assert taken(torch.tensor([[0.0, 0.0]])) == ()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased(lowered, mode):
    def shrink(x):
        return F.interpolate(x, size=(4, 5), mode=mode, antialias=True)

    class Shrink(nn.Module):
        def forward(self, x):
            return shrink(x)

    lowered(Resize(Shrink()), torch.randn(1, 3, 10, 12))


@pytest.mark.parametrize("align", [False, True])
def test_what_ttnn_has_is_left_to_it(lowered, align):
    module = Resize(nn.Upsample(scale_factor=(2, 3), mode="bilinear", align_corners=align))
    assert (Upsample in kinds(lowered(module, torch.randn(1, 3, 6, 6)))) is not align


def test_a_single_pixel_is_repeated(lowered):
    module = Resize(nn.Upsample(size=(4, 6), mode="bilinear", align_corners=True))
    network = lowered(module, torch.randn(1, 3, 3, 3))
    assert network.by_name["resize"].op == Upsample("nearest", (4, 6))


def test_the_same_size_is_nothing(lowered):
    network = lowered(Resize(nn.Upsample(size=(8, 8), mode="bilinear")), torch.randn(1, 3, 10, 10))
    assert "resize" not in network.by_name


class Series(nn.Module):
    def __init__(self, resize):
        super().__init__()
        self.before, self.resize = nn.Conv1d(4, 8, 3), resize

    def forward(self, x):
        return self.resize(self.before(x))


@pytest.mark.parametrize(
    "resize",
    [
        nn.Upsample(scale_factor=1.5, mode="linear"),
        nn.Upsample(scale_factor=2),
        nn.AdaptiveAvgPool1d(4),
        nn.ReflectionPad1d(3),
        nn.AdaptiveAvgPool1d(1),
    ],
)
def test_series(lowered, resize):
    lowered(Series(resize), torch.randn(2, 4, 13))
