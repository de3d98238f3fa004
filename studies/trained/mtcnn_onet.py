"""MTCNN's output network with trained weights: face or not, its box and five landmarks.

Architecture: Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", IEEE Signal Processing Letters 2016. The weights are those that come inside
the PyPI package facenet-pytorch 2.6.0 (MIT licence; of the authors' Caffe model, converted):
``pip install --no-deps facenet-pytorch==2.6.0``, which is only read, not imported. Inputs are drawn
faces of 48x48 pixels: skin, hair, eyes, a nose and a mouth, under light from one side, with noise.
"""

import torch
from packaged_weights import weights
from torch import nn

PINNED = "facenet-pytorch==2.6.0"
FACES = 8


class OutputNetwork(nn.Module):
    """Four convolutions, a linear layer, and three heads: box, landmarks, and how likely a face."""

    def __init__(self) -> None:
        super().__init__()
        widths, kernels = (3, 32, 64, 64, 128), (3, 3, 3, 2)
        for number, kernel in enumerate(kernels, start=1):
            conv = nn.Conv2d(widths[number - 1], widths[number], kernel)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"prelu{number}", nn.PReLU(widths[number]))
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return box, landmarks and the chances of no face and a face, for (count, 3, 48, 48)."""
        for number, window in enumerate((3, 3, 2, 0), start=1):
            image = getattr(self, f"prelu{number}")(getattr(self, f"conv{number}")(image))
            if window:
                image = nn.functional.max_pool2d(image, window, 2, ceil_mode=True)
        found = self.prelu5(self.dense5(image.permute(0, 3, 2, 1).flatten(1)))
        return self.dense6_2(found), self.dense6_3(found), self.dense6_1(found).softmax(1)


def faces(seed: int, side: int = 48, count: int = FACES) -> torch.Tensor:
    """Return drawn faces (count, 3, side, side) of values about -1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([_face(generator, side) for _ in range(count)])


def _face(generator: torch.Generator, side: int) -> torch.Tensor:
    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    line = (torch.arange(side) + 0.5) / side
    rows, columns = line[:, None], line[None]

    def blob(x: float, y: float, wide: float, tall: float) -> torch.Tensor:
        inside = 1 - ((columns - x) / wide) ** 2 - ((rows - y) / tall) ** 2
        return torch.sigmoid(8 * inside)

    x, y, tone = 0.5 + between(-0.03, 0.03), 0.52 + between(-0.03, 0.03), between(0.45, 0.9)
    skin = torch.tensor([1.0, 0.78, 0.65]) * tone
    dark = torch.tensor([0.2, 0.13, 0.1])
    image = torch.tensor([between(0.2, 0.8) for _ in range(3)])[:, None, None].expand(3, side, side)

    def painted(under: torch.Tensor, colour: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        return under + (colour[:, None, None] - under) * where

    image = painted(image, dark, blob(x, y - 0.1, 0.42, 0.48))
    image = painted(image, skin, blob(x, y, 0.36, 0.46))
    for way in (-1, 1):
        image = painted(image, dark, 0.8 * blob(x + way * 0.16, y - 0.17, 0.09, 0.025))
        image = painted(image, torch.ones(3) * 0.9, blob(x + way * 0.16, y - 0.09, 0.075, 0.035))
        image = painted(image, dark, blob(x + way * 0.16, y - 0.09, 0.035, 0.035))
    image = painted(image, skin * 0.75, 0.7 * blob(x + 0.02, y + 0.04, 0.035, 0.1))
    image = painted(image, skin * 0.5, 0.8 * blob(x, y + 0.12, 0.07, 0.02))
    image = painted(image, torch.tensor([0.6, 0.25, 0.25]), blob(x, y + 0.24, 0.14, 0.04))
    light = 1.0 + between(-0.3, 0.3) * (columns - 0.5)
    noise = 0.02 * torch.randn(3, side, side, generator=generator)
    return 2 * (image * light + noise).clamp(0, 1) - 1


model = OutputNetwork()
model.load_state_dict(weights("facenet_pytorch", "data/onet.pt", PINNED))
example_inputs = faces(0)


def calibration_inputs() -> torch.Tensor:
    return faces(1, count=3 * FACES)
