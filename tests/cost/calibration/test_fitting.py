from dataclasses import replace
from pathlib import Path

import pytest

from autosched.cost.calibration.fitting import layer_group, samples_of
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.profiles.profile import read_profile


def test_slices_of_one_layer_share_a_group(data: Path) -> None:
    """OFT's first convolution runs in slices of different heights."""
    rows = [
        row
        for row in read_profile(data / "blackhole_oft_excerpt.csv").rows
        if isinstance(row.features, Conv2dOp) and row.features.window_hw == (7, 7)
    ]
    assert len({row.features for row in rows}) == 3
    assert len({layer_group(row) for row in rows}) == 1


def test_samples_are_distinct_and_in_cycles(data: Path) -> None:
    profile = read_profile(data / "blackhole_oft_excerpt.csv")
    families = samples_of([profile, profile], "blackhole")
    once = samples_of([profile], "blackhole")
    assert len(families["conv2d"]) == 2 * len(once["conv2d"])
    conv = next(sample for sample in once["conv2d"] if ":6 " in sample.label)
    assert conv.cycles == 121675 * 1.35


def test_shapes_that_a_cached_program_repeats_are_left_out(data: Path) -> None:
    """A report shows the first run's shapes even where a cached program ran on others."""
    profile = read_profile(data / "blackhole_oft_excerpt.csv")
    conv = next(row for row in profile.rows if isinstance(row.features, Conv2dOp))
    times = [1.0, 1.1, 0.2, 0.2, 0.2]
    rows = tuple(replace(conv, measured_ns=conv.measured_ns * time) for time in times)
    (sample,) = samples_of([replace(profile, rows=rows)], "blackhole")["conv2d"]
    assert sample.cycles == pytest.approx(conv.measured_ns * 1.05 * 1.35)


def test_other_architectures_are_left_out(data: Path) -> None:
    profile = read_profile(data / "blackhole_oft_excerpt.csv")
    assert "conv2d" not in samples_of([profile], "wormhole_b0")
    assert len(samples_of([profile], "wormhole_b0")["pool"]) == 4
