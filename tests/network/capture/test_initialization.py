import pytest
import torch
from torch import nn

import autosched
from autosched.network.capture.initialization import init_unit_variance


def outputs_of(module, *inputs):
    """What every part of a module computes, by name."""
    found = {}
    hooks = [
        part.register_forward_hook(
            lambda _part, _inputs, output, name=name: found.update({name: output.clone()})
        )
        for name, part in module.named_modules()
    ]
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return found


def images(*shape):
    return torch.randn(2, *shape)


def mean_square(values):
    return values.square().mean().item()


@pytest.fixture(autouse=True)
def _same_weights_in_every_test():
    torch.manual_seed(0)


def test_it_is_a_name_of_the_library():
    assert autosched.init_unit_variance is init_unit_variance


def test_every_output_has_unit_variance_and_no_channel_a_mean_of_its_own():
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.ConvTranspose2d(8, 16, 2, stride=2),
        nn.Conv2d(16, 8, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 4, 3),
    )
    x = images(3, 12, 16)
    assert init_unit_variance(module, x) is module
    assert not module.training
    outputs = outputs_of(module, x)
    for index in range(6):
        assert mean_square(outputs[str(index)]) == pytest.approx(1, abs=1e-3)
    for index in (0, 1, 2, 4, 5):
        assert outputs[str(index)].mean((0, 2, 3)).abs().max() < 1e-5


def test_tokens_are_centred_and_vectors_made_by_weights_that_sum_to_zero():
    tokens, vectors = nn.Linear(6, 5), nn.Linear(6, 5)
    one, other = images(10, 6) + 3, images(6) + 3
    init_unit_variance(tokens, one)
    assert tokens(one).mean((0, 1)).abs().max() < 1e-5
    init_unit_variance(vectors, other)
    assert vectors.weight.sum(1).abs().max() < 1e-5
    assert mean_square(tokens(one)) == pytest.approx(1, abs=1e-4)
    assert mean_square(vectors(other)) == pytest.approx(1, abs=1e-4)


def test_a_gate_differs_from_channel_to_channel():
    gate = nn.Sequential(
        nn.Conv2d(3, 64, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(64, 8, 1), nn.SiLU(),
        nn.Conv2d(8, 64, 1), nn.Sigmoid(),
    )  # fmt: skip
    x = images(3, 32, 32)
    untouched = gate(x).std().item()
    assert init_unit_variance(gate, x)(x).std() > 3 * untouched


def test_images_of_one_pixel_are_vectors_that_a_depthwise_convolution_may_still_scale():
    module = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4))
    x = images(4, 1, 1)
    init_unit_variance(module, x)
    assert mean_square(module(x)) == pytest.approx(1, abs=1e-3)


def test_what_a_relu_reads_has_means_about_the_one_asked_for():
    module = nn.Sequential(nn.Conv2d(3, 256, 1), nn.ReLU(inplace=True), nn.Conv2d(256, 8, 1))
    x = images(3, 16, 16)
    for mean in (0.5, 2):
        init_unit_variance(module, x, rectified_mean=mean)
        outputs = outputs_of(module[:1], x)["0"]
        means = outputs.mean((0, 2, 3))
        assert means.min() >= mean - 0.5 - 1e-4
        assert means.max() <= mean + 0.5 + 1e-4
        assert float(means.mean()) == pytest.approx(mean, abs=0.1)
        assert module(x).mean((0, 2, 3)).abs().max() < 1e-5


class Repeated(nn.Module):
    """One layer, called on what it made."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.layer(self.layer(x))


def test_a_layer_called_twice_is_scaled_by_its_first_call():
    module, x = Repeated(), images(4, 8, 8)
    init_unit_variance(module, x)
    assert mean_square(module.layer(x)) == pytest.approx(1, abs=1e-4)


def test_depth_neither_fades_nor_grows():
    layers = [part for _ in range(30) for part in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())]
    module = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *layers)
    init_unit_variance(module, images(3, 16, 16))
    fresh = module(images(3, 16, 16))
    assert 0.2 < mean_square(fresh) < 5


def test_gains_go_by_the_first_pattern_that_matches():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    x = images(3, 8, 8)
    init_unit_variance(module, x, gains={"1": 0.5, "?": 3})
    outputs = outputs_of(module, x)
    squares = [mean_square(outputs[str(index)]) for index in range(3)]
    assert squares == pytest.approx([9, 0.25, 9], rel=1e-3)


def test_a_pattern_without_a_layer_is_an_error():
    with pytest.raises(ValueError, match=r"named '\*\.key'"):
        init_unit_variance(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), images(2), gains={"*.key": 2})


def test_norms_without_parameters_or_statistics_are_possible():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False), nn.ReLU(),
        nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(), nn.Conv2d(4, 4, 1),
    )  # fmt: skip
    x = images(3, 8, 8)
    init_unit_variance(module, x)
    assert mean_square(module(x)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_what_cannot_be_scaled_is_named(value):
    module = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="layer 0 is zero everywhere, or not finite"):
        init_unit_variance(module, torch.full((2, 3, 4, 4), value))
    assert not module[0]._forward_hooks


def test_the_same_seed_gives_the_same_weights():
    def weights():
        torch.manual_seed(5)
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        return init_unit_variance(module, images(3, 9, 9)).state_dict()

    one, other = weights(), weights()
    assert all(torch.equal(one[name], other[name]) for name in one)
