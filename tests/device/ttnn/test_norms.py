"""Group norms of any channels, on the mock device."""

from dataclasses import replace

import pytest
import torch

from autosched.device.interface import ProbeRequest
from autosched.device.ttnn.norms import whole_groups
from autosched.device.worker import WorkerDevice
from autosched.network.operators import GroupNorm
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection
from autosched.schedule.tensors import DRAM_TILE, DataType, ShardLayout, TensorLayout
from tests.examples.layouts import DRAM_8B, ONE_ROW, WHOLE_GRID, block, height, shards


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


SHAPE = (1, 256, 64, 64)
GROUPS = GroupNorm(32, 1e-5)


def normalised(
    worker: WorkerDevice, method: str, layout: TensorLayout, shape: tuple[int, ...] = SHAPE
) -> ProbeOutcome | Rejection:
    output = replace(layout, dtype=DataType.BFLOAT16)
    config = FixedConfig(output=output, method=method)
    return worker.probe(ProbeRequest(GROUPS, (shape,), shape, config, (layout,)))


@pytest.mark.parametrize(
    ("method", "layout"),
    [
        ("", height(64, 256, WHOLE_GRID)),
        ("", block(512, 32, WHOLE_GRID)),
        ("composed", height(64, 256, WHOLE_GRID)),
        ("composed", block(512, 32, WHOLE_GRID)),
        ("composed", shards(ShardLayout.WIDTH, 4096, 32, ONE_ROW)),
        ("composed", DRAM_8B),
    ],
    ids=["own height", "own block", "height", "block", "width", "dram"],
)
def test_a_group_norm_stays_where_its_input_is(
    worker: WorkerDevice, method: str, layout: TensorLayout
) -> None:
    outcome = normalised(worker, method, layout)
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.output_layout == replace(layout, dtype=DataType.BFLOAT16)
    own = [op for op in outcome.ops if op.code.startswith("GroupNorm")]
    assert len(own) == (not method)


@pytest.mark.parametrize("method", ["", "composed"])
def test_images_of_a_batch_are_normalised_each(worker: WorkerDevice, method: str) -> None:
    shape = (4, 256, 32, 32)
    outcome = normalised(worker, method, height(64, 256, WHOLE_GRID), shape)
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.output_layout == height(64, 256, WHOLE_GRID, dtype=DataType.BFLOAT16)


def test_shards_with_parts_of_groups_are_refused(worker: WorkerDevice) -> None:
    shape = (1, 320, 32, 32)
    outcome = normalised(worker, "", block(128, 64, (replace(WHOLE_GRID[0], x1=4),)), shape)
    assert isinstance(outcome, Rejection)
    assert "whole tiles and groups" in outcome.message


def test_it_says_over_how_many_columns_of_cores_channels_are_dealt(worker: WorkerDevice) -> None:
    """A capture of ttnn 0.81.1 does not; 320 channels in 32 groups go to two."""
    outcome = normalised(worker, "", DRAM_TILE, (1, 320, 64, 64))
    assert isinstance(outcome, ProbeOutcome), outcome
    (own,) = (op for op in outcome.ops if op.code.startswith("GroupNorm"))
    assert own.attributes.endswith("; columns=2")
