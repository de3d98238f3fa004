"""Trained weights that come inside packages of PyPI: the files beside this one read them."""

import importlib.util
from pathlib import Path

import torch


def weights(package: str, file: str, pinned: str) -> dict[str, torch.Tensor]:
    """Return the weights in a file of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            f"the trained weights are part of a package that is not installed: pip install "
            f"--no-deps {pinned}"
        )
    return torch.load(Path(found.origin).parent / file, map_location="cpu", weights_only=True)
