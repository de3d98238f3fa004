"""Group norms of any channels, on the mock device."""

import pytest
import torch

from autosched.device.interface import ProbeRequest
from autosched.device.ttnn.norms import whole_groups
from autosched.device.worker import WorkerDevice
from autosched.network.operators import GroupNorm
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.outcomes import ProbeOutcome
from autosched.schedule.tensors import DRAM_TILE


@pytest.mark.parametrize(
    ("channels", "groups", "expected"),
    [
        (320, 32, (320, 32)),
        (48, 8, (96, 16)),
        (48, 48, (64, 64)),
        (48, 1, (96, 2)),
        (75, 5, (480, 32)),
    ],
)
def test_groups_of_zeros_fill_up_tiles(
    channels: int, groups: int, expected: tuple[int, int]
) -> None:
    """They change no other group."""
    whole, added = whole_groups(channels, groups)
    assert (whole, added) == expected
    image = torch.randn(2, channels, 3, 5)
    padded = torch.nn.functional.pad(image, (0, 0, 0, 0, 0, whole - channels))
    found = torch.nn.functional.group_norm(padded, added)[:, :channels]
    torch.testing.assert_close(found, torch.nn.functional.group_norm(image, groups))


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((1, 48, 32, 32), 8),
        ((16, 24, 7, 7), 3),  # the pixels of an image end within a tile
        ((2, 2560, 64, 64), 32),  # a core has no room for its rows at once
        ((8, 1280, 32, 32), 8),
    ],
)
def test_a_group_norm_of_any_size_runs(
    worker: WorkerDevice, shape: tuple[int, ...], groups: int
) -> None:
    request = ProbeRequest(GroupNorm(groups, 1e-5), (shape,), shape, FixedConfig(), (DRAM_TILE,))
    outcome = worker.probe(request)
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.output_layout == DRAM_TILE
