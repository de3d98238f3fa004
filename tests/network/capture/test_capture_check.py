"""A capture is compared with its module; what differs is refused by its first layer."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import UnsupportedOperatorError, WrongCaptureError
from autosched.network.capture.capture import capture, capture_unchecked
from autosched.network.capture.capture_check import (
    LIMIT,
    CaptureCheck,
    check_capture,
    check_packing,
    difference,
    drawn_parameters,
)
from autosched.network.capture.program_capture import CapturedProgram, capture_program
from autosched.network.graph import Layer, Weights
from autosched.network.operators import Attention, Conv2d, HostOutput
from autosched.network.reference import evaluate_network
from autosched.network.rewrites.packed_images import pack_images
from tests.network.modules import Function

IMAGE = (1, 8, 8, 8)


def changed(captured: CapturedProgram, edit: Callable[[Layer], Layer]) -> CapturedProgram:
    layers = tuple(map(edit, captured.network.layers))
    return replace(captured, network=replace(captured.network, layers=layers))


def without_activation(layer: Layer) -> Layer:
    if isinstance(layer.op, Conv2d) and layer.op.activation is not None:
        return replace(layer, op=replace(layer.op, activation=None))
    return layer


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(8, 8, 3, padding=1)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = F.hardswish(self.norm(self.middle(self.stem(images))))
        result: torch.Tensor = self.head(hidden)
        return result


def checked(
    module: nn.Module, captured: CapturedProgram, shape: tuple[int, ...] = IMAGE
) -> CaptureCheck:
    return check_capture(module, (torch.randn(shape),), captured)


def test_what_is_right_is_told_how_right_it_is() -> None:
    module = Net().eval()
    found = checked(module, capture_unchecked(module, (torch.randn(IMAGE),)))
    assert found.difference is not None
    assert found.drawn is not None
    assert max(found.difference, found.drawn) < LIMIT / 100


def test_the_first_layer_that_differs_is_named() -> None:
    module = Net().eval()
    wrong = changed(capture_unchecked(module, (torch.randn(IMAGE),)), without_activation)
    with pytest.raises(
        WrongCaptureError, match=r"first in layer middle \(Conv2d\) at .*--no-check"
    ):
        checked(module, wrong)


def test_a_layer_that_fresh_parameters_hide_is_found_with_drawn_ones() -> None:
    """A layer scale of zero keeps everything before it from the output."""

    class Hidden(Net):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(1, 4, 1, 1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :4] + self.scale * super().forward(images)

    module = Hidden().eval()
    captured = capture_unchecked(module, (torch.randn(IMAGE),))
    gone = changed(captured, without_activation)
    checked(module, captured)
    # Lowering the program again makes a right network of it; the fault is put in there, too.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "autosched.network.capture.capture_check.capture_program",
            lambda *args, **options: changed(capture_program(*args, **options), without_activation),
        )
        with pytest.raises(WrongCaptureError, match=r"with drawn parameters: .* layer middle"):
            checked(module, gone)


def test_parameters_are_put_back() -> None:
    module = Net().eval()
    before = {name: item.clone() for name, item in module.state_dict().items()}
    with drawn_parameters(module):
        after = module.state_dict()
        same = [name for name, item in before.items() if torch.equal(item, after[name])]
        assert same == ["norm.num_batches_tracked"]
        assert float(module.norm.running_var.min()) > 0
    assert all(torch.equal(item, before[name]) for name, item in module.state_dict().items())


def test_what_drawn_parameters_make_no_network_of_is_compared_with_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = Net().eval()
    captured = capture_unchecked(module, (torch.randn(IMAGE),))

    def refuse(*_args: object, **_options: object) -> None:
        raise UnsupportedOperatorError("with these values it has no layer")

    monkeypatch.setattr("autosched.network.capture.capture_check.capture_program", refuse)
    found = checked(module, captured)
    assert found.difference is not None
    assert found.drawn is None


def test_rounding_that_layers_enlarge_is_no_fault() -> None:
    module = Function(lambda images, net: torch.sin(1e5 * net(images)), Net()).eval()
    found = checked(module, capture_unchecked(module, (torch.randn(IMAGE),)))
    assert found.difference is not None
    assert found.difference > LIMIT


def test_values_that_cancel_out_are_no_fault() -> None:
    norm = nn.LayerNorm(16)

    def mean(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
        pixels: torch.Tensor = norm(x).transpose(1, 2).reshape(1, 16, 3, 2)
        return F.relu(pixels.mean(1, keepdim=True))

    module = Function(mean, norm).eval()
    tokens = (torch.randn(1, 6, 16),)
    check_capture(module, tokens, capture_unchecked(module, tokens))


def test_a_module_of_positive_inputs_is_compared_on_its_own() -> None:
    module = Function(lambda x: torch.log(x) * 2).eval()
    inputs = (torch.rand(IMAGE) + 0.5,)
    found = check_capture(module, inputs, capture_unchecked(module, inputs))
    assert found.difference is not None
    assert found.difference < LIMIT


def test_what_would_take_minutes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Net().eval()
    captured = capture_unchecked(module, (torch.randn(IMAGE),))
    monkeypatch.setattr("autosched.network.capture.capture_check._MOST_FOR_DRAWN", 1)
    assert checked(module, captured).drawn is None
    monkeypatch.setattr("autosched.network.capture.capture_check._MOST_MULTIPLICATIONS", 1)
    assert checked(module, captured) == CaptureCheck(None, None)


def test_capture_checks_unless_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise WrongCaptureError("wrong")

    monkeypatch.setattr("autosched.network.capture.capture.check_capture", refuse)
    inputs = (torch.randn(IMAGE),)
    with pytest.raises(WrongCaptureError):
        capture(Net().eval(), inputs)
    assert capture(Net().eval(), inputs, check=False).layers


def test_heads_of_a_wrong_number_are_found() -> None:
    tokens = (1, 6, 16)

    def attend(x: torch.Tensor) -> torch.Tensor:
        split = x.reshape(1, 6, 4, 4).transpose(1, 2)
        return F.scaled_dot_product_attention(split, split, split)

    module = Function(attend).eval()
    captured = capture_unchecked(module, (torch.randn(tokens),))

    def one_head(layer: Layer) -> Layer:
        if isinstance(layer.op, Attention):
            return replace(layer, op=replace(layer.op, heads=1))
        return layer

    with pytest.raises(WrongCaptureError, match=r"\(Attention\)"):
        checked(module, changed(captured, one_head), tokens)


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 0.0),
        ([1.0, 2.0, 3.5], [1.0, 2.0, 3.0], 0.5),
        ([101.0, 102.0, 103.5], [101.0, 102.0, 103.0], 0.5 / 1.03),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 1e-9], [0.0, 0.0], float("inf")),
        ([float("inf"), 1.0], [2.0, 1.0], float("inf")),
        ([float("nan"), 1.0], [float("nan"), 1.0], 0.0),
        ([1.0], [1.0, 1.0], float("inf")),
    ],
)
def test_differences_are_shares_of_the_spread(
    found: list[float], truth: list[float], expected: float
) -> None:
    assert difference(torch.tensor(found), torch.tensor(truth)) == pytest.approx(expected)


def test_values_without_digits_are_rounding():
    assert difference(torch.tensor([0.0, 0.0]), torch.tensor([3e-40, -2e-41])) == 0


class Twins(nn.Module):
    """Channels of a convolution and a batch norm that are the same but for rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6)
        with torch.no_grad():
            scales = torch.tensor([1.0, 3.0, 7.0, 11.0, 13.0, 17.0])
            self.conv.weight.copy_(self.conv.weight[:1] * scales[:, None, None, None])
            self.norm.weight.copy_(1.0 / scales)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(images)).argmax(1)


def test_indices_of_ties_that_rounding_decides_are_no_fault() -> None:
    module, image = Twins().eval(), torch.randn(1, 8, 34, 34)
    captured = capture_unchecked(module, (image,), allow_host=True)
    (found,) = evaluate_network(captured.network, [image])
    assert not torch.equal(found, module(image))
    assert check_capture(module, (image,), captured, allow_host=True).difference == float("inf")


def test_wrong_indices_are_refused_by_their_layer() -> None:
    class Classes(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.argmax(1)

    def of_rows(layer: Layer) -> Layer:
        if not isinstance(layer.op, HostOutput):
            return layer
        (step,) = layer.op.steps
        return replace(layer, op=replace(layer.op, steps=(replace(step, arguments=OF_ROWS),)))

    module, image = Classes().eval(), torch.randn(IMAGE)
    captured = capture_unchecked(module, (image,), allow_host=True)
    with pytest.raises(WrongCaptureError, match=r"argmax \(HostOutput\)"):
        check_capture(module, (image,), changed(captured, of_rows), allow_host=True)


OF_ROWS = '[[{"input":0},2],{}]'


def test_packed_images_are_compared_with_the_network() -> None:
    module = nn.Conv2d(4, 8, 3).eval()
    network = capture_unchecked(module, (torch.randn(2, 4, 8, 8),)).network
    packed = pack_images(network, 2)
    assert check_packing(network, network) is None
    assert check_packing(network, packed) == pytest.approx(0.0, abs=1e-5)
    (name,) = packed.weights
    wrong = Weights(packed.weights[name].weight.flip(0), packed.weights[name].bias)
    with pytest.raises(WrongCaptureError, match="with 2 images packed into channels its outputs"):
        check_packing(network, replace(packed, weights={name: wrong}))
