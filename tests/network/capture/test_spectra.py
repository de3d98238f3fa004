import pytest
import torch
from torch import nn

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from tests.network.modules import Function

SERIES = (2, 96)


def mel(x):
    """A spectrogram as an audio front end takes it: reshaped, as power, by bands."""
    window = torch.hann_window(24)
    found = torch.stft(x, 32, 8, 24, window=window, center=True, return_complex=True)
    found = found.reshape(x.shape[:-1] + found.shape[-2:])
    bands = torch.linspace(0, 1, 17 * 5).view(17, 5)
    return torch.log(found.abs().pow(2).transpose(1, 2) @ bands + 0.1)


def parts(x):
    found = torch.fft.rfft(x.view(2, 8, 12), dim=1)
    return found.real + found.imag


def correlated(x):
    """A correlation by its spectrum, with what it is compared to computed in between."""
    first = torch.fft.rfft2(x.view(2, 2, 6, 8))
    second = torch.fft.rfft2(torch.tanh(x).view(2, 2, 6, 8)).roll(1, 1)
    found = first * torch.conj(second) + first - second * 0.5
    return torch.fft.irfft2(found, s=(6, 8)), first.abs()


def apart(x):
    """The second transform is of what the first one's length gives."""
    first = torch.fft.rfft(x)
    second = torch.fft.rfft(torch.cat([first.abs(), first.abs()], 1)[:, : x.shape[1]])
    return torch.fft.irfft(second)


def late(x):
    """What the second transform reads is computed after the first one."""
    first = torch.fft.rfft(x)
    second = torch.fft.rfft(torch.sigmoid(x) - 0.5)
    return torch.fft.irfft(first * second)


def squared(x):
    found = torch.fft.rfft(x)
    return torch.fft.irfft(found * found)


def entangled(x):
    """The second transform cannot be made before the first one is read."""
    first = torch.fft.rfft(x)
    second = torch.fft.rfft(torch.cat([first.abs(), first.abs()], 1)[:, : x.shape[1]])
    return torch.fft.irfft(first * second)


class Filtered(nn.Module):
    """A learned filter of frequencies, as in GFNet: its numbers are stored as pairs."""

    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(6, 5, 3, 2))

    def forward(self, x):
        found = torch.fft.rfft2(x, dim=(1, 2), norm="ortho")
        found = found * torch.view_as_complex(self.filter)
        return torch.fft.irfft2(found, s=(6, 8), dim=(1, 2), norm="ortho")


class Mixed(nn.Module):
    """Both parts as channels of a convolution, as in fast Fourier convolutions."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(6, 6, 1)

    def forward(self, x):
        found = torch.fft.rfftn(x, dim=(-2, -1), norm="ortho")
        found = torch.stack((found.real, found.imag), dim=-1).permute(0, 1, 4, 2, 3)
        found = self.mix(found.reshape(x.shape[0], -1, *found.shape[3:])).relu()
        found = found.view(x.shape[0], -1, 2, *found.shape[2:]).permute(0, 1, 3, 4, 2)
        found = torch.complex(found[..., 0], found[..., 1])
        return torch.fft.irfftn(found, s=x.shape[-2:], dim=(-2, -1), norm="ortho")


class Weighted(nn.Module):
    """Multiplied by complex numbers that are no parameter, by real ones and by a number."""

    def __init__(self):
        super().__init__()
        self.turn = torch.randn(49, dtype=torch.complex64)
        self.weight = nn.Parameter(torch.rand(49, 1))

    def forward(self, x):
        found = self.turn * torch.fft.rfft(x) * 0.5
        return torch.fft.irfft(found * self.weight.view(1, 49))


def test_filters_of_frequencies(lowered):
    lowered(Filtered(), torch.randn(2, 6, 8, 3))


@pytest.mark.parametrize("sizes", [None, (6, 8)])
def test_an_image_s_transform_is_of_its_rows_and_columns_alone(lowered, sizes):
    lowered(
        Function(lambda x: torch.fft.irfft2(torch.fft.rfft2(x, sizes), sizes)),
        torch.randn(2, 3, 6, 8),
    )
    lowered(Function(lambda x: torch.fft.rfft2(x, sizes).abs()), torch.randn(2, 3, 6, 8))


@pytest.mark.parametrize("width", [8, 7])
def test_parts_may_be_channels_in_between(lowered, width):
    lowered(Mixed(), torch.randn(2, 3, 6, width))


def test_factors_of_all_kinds(lowered):
    lowered(Weighted(), torch.randn(SERIES))


FUNCTIONS = {
    "there and back": lambda x: torch.fft.irfft(torch.fft.rfft(x)),
    "back in other scales": lambda x: torch.fft.irfft2(
        torch.fft.rfft2(x.view(3, 8, 8), norm="forward"), norm="forward"
    ),
    "all dimensions": lambda x: torch.fft.rfftn(x.view(4, 6, 8)).real,
    "mel": mel,
    "pairs": lambda x: torch.view_as_real(
        torch.stft(x, 32, normalized=True, center=False, return_complex=True)
    ),
    "length": lambda x: torch.fft.rfft(x).abs(),
    "parts": parts,
    "all waves": lambda x: torch.fft.fft(x).abs(),
    "all waves of images": lambda x: torch.view_as_real(torch.fft.fft2(x.view(2, 2, 6, 8))),
    "mixed tokens": lambda x: torch.fft.fft(torch.fft.fft(x.view(2, 12, 8)), dim=1).real,
    "all waves there and back": lambda x: (
        torch.fft.ifftn(
            torch.fft.fft2(x.view(2, 12, 8), norm="ortho") * 2, dim=(1, 2), norm="ortho"
        ).real
    ),
    "two spectra": lambda x: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(x.tanh())),
    "one spectrum twice": squared,
    "one made after the other": late,
    "correlated": correlated,
    "of two inputs made apart": apart,
    "scaled": lambda x: torch.fft.rfft(x, norm="ortho").transpose(0, 1).real,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_complex_numbers_are_pairs_until_they_are_read(lowered, function):
    lowered(Function(function), torch.randn(SERIES))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.fft.irfft(torch.fft.rfft(x), n=64),
        lambda x: torch.fft.irfft(torch.fft.rfft(x) / torch.fft.rfft(x.flip(1))),
        entangled,
        lambda x: torch.stft(x, 32, center=False, onesided=False, return_complex=True).abs(),
        lambda x: torch.fft.rfft(x, n=64).abs(),
        lambda x: torch.fft.fft(x, n=64).abs(),
    ],
)
def test_other_transforms_are_refused(function):
    module: nn.Module = Function(function).eval()
    with pytest.raises(UnsupportedOperatorError, match=r"its result is torch\.complex64"):
        capture(module, (torch.randn(SERIES),))
