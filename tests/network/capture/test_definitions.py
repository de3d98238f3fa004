import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.capture.compositions import COMPOSITIONS
from autosched.network.operators import ConcatRows, Conv2d
from tests.network.modules import Function, kinds

IMAGE = (2, 8, 6, 6)

DEFINED = {
    "root mean square norm": lambda x: F.rms_norm(x, (6,)),
    "loss": lambda x: F.mse_loss(x, x.mean(1, keepdim=True).expand(-1, 8, -1, -1)),
    "cosine": lambda x: F.cosine_similarity(x, x.flip(1)),
    "distance": lambda x: F.pairwise_distance(x, 2 * x),
    "joined": lambda x: torch.hstack([x, 2 * x]),
    "shaped like another": lambda x: x.flatten(2).reshape_as(x),
    "threshold": lambda x: F.threshold(x, 0.1, -1.0),
    "logit": lambda x: torch.logit(torch.sigmoid(x)),
    "batch norm of the batch": lambda x: F.batch_norm(x, None, None, training=True),
    "group norm of vectors": lambda x: F.group_norm(x[:, :, 0, 0], 4),
    "scaled elu": lambda x: torch.ops.aten.elu(x, 1.0, 2.0),
    "numbers that are not zero": lambda x: torch.norm(x.relu(), p=0, dim=1),
    "softmax of the batch": lambda x: F.softmax(x, 0),
    "product and sum": lambda x: torch.baddbmm(x[:, 0], x[:, 1], x[:, 2], beta=0.5, alpha=2),
}


def shape_kept(function):
    return lambda x: function(x).reshape(1, -1)


@pytest.mark.parametrize("function", DEFINED.values(), ids=DEFINED)
def test_an_operator_is_what_pytorch_makes_it_of(lowered, function):
    lowered(Function(shape_kept(function)), torch.randn(IMAGE))


def test_what_has_no_layers_is_refused_by_its_own_name():
    module = Function(lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=True))
    with pytest.raises(UnsupportedOperatorError, match="1 operator cannot") as caught:
        capture(module.eval(), (torch.randn(IMAGE),))
    assert "aten.grid_sampler.default" in str(caught.value)
    assert "modules.py:18" in str(caught.value)


def test_that_a_network_has_too_many_layers_is_said(monkeypatch):
    lowering = "autosched.network.capture.program_lowering._MOST_DRAFTS"
    monkeypatch.setattr(lowering, 150)
    module = nn.Sequential(Recurrent(), Recurrent()).eval()
    with pytest.raises(UnsupportedOperatorError, match="1 operator cannot") as caught:
        capture(module, (torch.randn(1, 6, 4),))
    assert "layers; give a part of the network" in str(caught.value)
    assert "256" not in str(caught.value)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = nn.GRU(4, 4, batch_first=True)

    def forward(self, x):
        return self.steps(x)[0]


class Modes(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(8, 4, 3), nn.Conv2d(4, 2, 3)

    def forward(self, x):
        with torch.enable_grad():
            x = self.one(x)
        with torch.autocast("cpu", enabled=False), torch.no_grad():
            return self.two(x.float())


def test_what_runs_in_another_mode_is_where_it_was(lowered):
    assert kinds(lowered(Modes(), torch.randn(IMAGE))) == [Conv2d, Conv2d]


def test_another_format_is_refused_with_advice():
    def cast(x, part):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return part(x).float()

    module = Function(cast, nn.Conv2d(8, 4, 3)).eval()
    with pytest.raises(UnsupportedOperatorError, match=r"leave torch\.autocast out"):
        capture(module, (torch.randn(IMAGE),))


def test_short_memory_is_no_reason_to_refuse_an_operator(lowered, monkeypatch):
    def starved(*_):
        raise MemoryError

    monkeypatch.setitem(COMPOSITIONS, "cumsum", starved)
    with pytest.raises(MemoryError):
        lowered(Function(lambda x: x.cumsum(1)), torch.randn(2, 3, 4))


def test_what_repeats_an_operator_is_traced_once(lowered, monkeypatch):
    traced = []

    def counted(function):
        traced.append(function)
        return make_fx(function)

    monkeypatch.setattr("autosched.network.capture.definitions.make_fx", counted)
    lowered(
        Function(lambda x: F.rms_norm(F.rms_norm(F.rms_norm(x, (6,)), (6,)), (6,), eps=1e-3)),
        torch.randn(2, 5, 6),
    )
    assert len(traced) == 2


class Boxes(nn.Module):
    """Heads of a detector: each flattens its boxes, which are seen in rows once they are joined."""

    def __init__(self, read):
        super().__init__()
        self.heads, self.read = nn.ModuleList(nn.Conv2d(8, n * 4, 3) for n in (2, 3)), read

    def forward(self, x):
        maps = (head(x).permute(0, 2, 3, 1) for head in self.heads)
        joined = torch.cat([item.flatten(1) for item in maps], 1)
        return self.read(joined)


def test_boxes_are_joined_in_the_rows_that_they_are_read_in(lowered):
    network = lowered(Boxes(lambda boxes: boxes.view(2, -1, 4).softmax(-1)), torch.randn(IMAGE))
    joined = next(layer for layer in network if isinstance(layer.op, ConcatRows))
    assert 4 in joined.shape[1:]
    assert not any(layer.shape == (2, 320) for layer in network)


@pytest.mark.parametrize(
    "read",
    [
        lambda boxes: boxes,
        lambda boxes: boxes.view(2, 4, 80).sum(1) * 2,
        lambda boxes: (boxes.view(2, -1, 4), boxes * 2),
        lambda boxes: (boxes.view(2, -1, 4), boxes.view(2, -1, 8)),
    ],
)
def test_what_is_read_otherwise_too_is_joined_as_it_is(lowered, read):
    network = lowered(Boxes(read), torch.randn(IMAGE))
    assert any(layer.shape == (2, 320) for layer in network)
