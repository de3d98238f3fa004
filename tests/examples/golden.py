"""Recorded outputs of ttnn's kernels, executed on the simulator; and the inputs they belong to.

``tests/numerics/golden/`` has one manifest of cases and the outputs as bit patterns. Inputs are
made from a seed, by integers and exact steps only, so that every machine makes the same.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

Case = dict[str, Any]

PLACE = Path(__file__).parents[1] / "numerics" / "golden"
CASES: list[Case] = json.loads((PLACE / "manifest.json").read_text())["cases"]


def inputs_of(case: Case) -> dict[str, torch.Tensor]:
    """A case's inputs by name, float32 that holds bfloat16 values; their digests are checked."""
    found = {name: _values(spec) for name, spec in case["inputs"].items()}
    for name, spec in case["inputs"].items():
        if "sha256" in spec:
            digest = hashlib.sha256(found[name].contiguous().numpy().tobytes()).hexdigest()
            assert digest.startswith(spec["sha256"]), (case["id"], name)
    return found


def output_of(case: Case) -> torch.Tensor:
    """What the device computed, in float32 and PyTorch's order of dimensions."""
    with np.load(PLACE / case["output"]["file"]) as archive:
        stored = archive[case["id"]]
    if stored.dtype == np.uint16:  # the upper halves of float32 words
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    return torch.from_numpy(stored.copy())


def _values(spec: dict[str, Any]) -> torch.Tensor:
    """Sums of four 16-bit integers, centred and scaled by powers of 2, rounded to bfloat16."""
    generator = torch.Generator().manual_seed(spec["seed"])
    parts = torch.randint(0, 1 << 16, (4, *spec["shape"]), generator=generator)
    centred = (parts.sum(0) - 131070).float() / 2.0**15
    return (centred * 2.0 ** spec["log2_scale"]).bfloat16().float()
