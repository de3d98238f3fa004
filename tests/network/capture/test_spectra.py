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


FUNCTIONS = {
    "mel": mel,
    "pairs": lambda x: torch.view_as_real(
        torch.stft(x, 32, normalized=True, center=False, return_complex=True)
    ),
    "length": lambda x: torch.fft.rfft(x).abs(),
    "parts": parts,
    "scaled": lambda x: torch.fft.rfft(x, norm="ortho").transpose(0, 1).real,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_complex_numbers_are_pairs_until_they_are_read(lowered, function):
    lowered(Function(function), torch.randn(SERIES))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.fft.irfft(torch.fft.rfft(x)),
        lambda x: torch.stft(x, 32, center=False, onesided=False, return_complex=True).abs(),
        lambda x: torch.fft.rfft(x, n=64).abs(),
    ],
)
def test_other_transforms_are_refused(function):
    module: nn.Module = Function(function).eval()
    with pytest.raises(UnsupportedOperatorError, match=r"its result is torch\.complex64"):
        capture(module, (torch.randn(SERIES),))
