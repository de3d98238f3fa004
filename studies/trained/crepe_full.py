"""CREPE, its full model, with trained weights: the pitch of eight frames of a voice.

Architecture, weights and inputs: as ``crepe_tiny.py`` beside it says.
"""

import torch
from crepe_tiny import FRAMES, crepe, voice

model = crepe("full", (1024, 128, 128, 128, 256, 512), 2048)
example_inputs = voice(0, 110.0, 440.0)


def calibration_inputs() -> torch.Tensor:
    return voice(1, 520.0, 90.0, 3 * FRAMES)
