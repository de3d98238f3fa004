import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.network.capture.compositions import COMPOSITIONS, MOST_STEPS
from tests.network.modules import Function, scrambled

IMAGE, SERIES, TOKENS = (2, 8, 6, 6), (2, 8, 12), (2, 5, 8)


def written(x):
    y = x.clone()
    y[:, 1] = y[:, 1] * 2 + 1
    y[..., 2:4] = y[..., 0:2] ** 2
    y[:, :, ::3] = 0.5
    return y


def shifted(x):
    y = torch.zeros_like(x)
    y[:, :, 1:] = x[:, :, :-1]
    return y


def masked(x):
    y = x.clone()
    y[x > 0.5] = 0.0
    return y


FUNCTIONS = {
    "written parts": (written, IMAGE),
    "shift": (shifted, IMAGE),
    "written by a mask": (masked, IMAGE),
    "two tensors compared": (lambda x: (x > x.mean(1, keepdim=True)).float() * x, IMAGE),
    "peaks": (lambda x: x * (F.max_pool2d(x, 3, 1, 1) == x).float(), IMAGE),
    "any": (lambda x: x * (x > 1).any(1, keepdim=True), IMAGE),
    "all": (lambda x: x * (x > -1).all(1, keepdim=True), IMAGE),
    "clamped by tensors": (lambda x: torch.clamp(x, x.mean(1, keepdim=True), x.amax()), IMAGE),
    "norm over an image": (lambda x: F.layer_norm(x, x.shape[1:]), IMAGE),
    "variance and mean": (lambda x: sum(torch.var_mean(x, 1)), IMAGE),
    "deviation and mean": (lambda x: sum(torch.std_mean(x, (2, 3), keepdim=True)), IMAGE),
    "logarithms of shares": (lambda x: F.log_softmax(300 * x, 1), IMAGE),
    "logarithms of shares of features": (lambda x: F.log_softmax(300 * x, -1), TOKENS),
    "logarithm of powers": (lambda x: torch.logsumexp(300 * x, 1), IMAGE),
    "logarithm of all powers": (lambda x: x.logsumexp((1, 2), keepdim=True), TOKENS),
    "distances": (lambda x: torch.cdist(x, 2 * x + 1), TOKENS),
    "sums up to each": (lambda x: x.cumsum(1), TOKENS),
    "every second channel": (lambda x: x[:, 1::2] * x[:, ::2], IMAGE),
    "places in two dimensions": (
        lambda x: x[:, :, torch.tensor([0, 3, 5]), torch.tensor([1, 1, -1])],
        IMAGE,
    ),
    "a table of places": (lambda x: x[:, torch.tensor([[0, 3], [4, -1]])], TOKENS),
    "cut by padding": (lambda x: F.pad(x, (0, 0, 1, -1)), TOKENS),
}


@pytest.mark.parametrize(
    ("function", "shape"),
    FUNCTIONS.values(),
    ids=FUNCTIONS,
)
def test_what_an_operator_is_made_of_computes_the_same(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


def test_a_norm_over_several_dimensions_keeps_its_scales(lowered):
    lowered(scrambled(nn.LayerNorm([8, 6, 6])), torch.randn(IMAGE))


class Attention(nn.Module):
    def forward(self, x, mask):
        queries = x.unflatten(2, (4, 2)).transpose(1, 2)
        grouped = F.scaled_dot_product_attention(
            queries, queries[:, :2], queries[:, :2], enable_gqa=True
        )
        windows = queries[:, :, None].expand(-1, -1, 3, -1, -1) + mask[:, None, None, :, None]
        return (
            grouped,
            F.scaled_dot_product_attention(queries, queries, queries, mask[:, None, None] > 0),
            F.scaled_dot_product_attention(queries, queries, queries, mask[:, None, None]),
            F.scaled_dot_product_attention(windows, windows, windows),
        )


def test_attention_with_computed_masks_shared_heads_and_windows(lowered):
    mask = torch.tensor([[1.0, 1, 0, 1, 0], [1, 1, 1, 1, 0]])
    lowered(Attention(), torch.randn(TOKENS), mask)


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.part = kind(8, 6, **options)

    def forward(self, x):
        result, state = self.part(x)
        return result, *(state if isinstance(state, tuple) else (state,))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize(
    "options", [{"batch_first": True}, {"num_layers": 2, "bidirectional": True, "bias": False}]
)
def test_recurrent_layers_are_their_steps(lowered, kind, options):
    lowered(scrambled(Recurrent(kind, **options)), torch.randn(3, 4, 8))


def test_long_series_are_not_unrolled():
    with pytest.raises(NotImplementedError):
        COMPOSITIONS["gru"](
            torch.zeros(MOST_STEPS + 1, 1, 2),
            torch.zeros(1, 1, 2),
            [torch.zeros(6, 2)] * 2,
            False,
            1,
            0.0,
            False,
            False,
        )
