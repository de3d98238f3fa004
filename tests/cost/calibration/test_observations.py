from dataclasses import replace
from pathlib import Path

import pytest

from autosched.cost.calibration.observations import (
    MAX_SAMPLES,
    layer_group,
    observations_of,
    read_observations,
    write_observations,
)
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.profiles.profile import read_profile
from autosched.errors import ProfileError

OFT = "blackhole_oft_excerpt.csv"


def test_slices_of_one_layer_share_a_group(data: Path) -> None:
    """OFT's first convolution runs in slices of different heights."""
    rows = [
        row
        for row in read_profile(data / OFT).rows
        if isinstance(row.features, Conv2dOp) and row.features.window_hw == (7, 7)
    ]
    assert len({row.features for row in rows}) == 3
    assert len({layer_group(row) for row in rows}) == 1


def test_shapes_that_a_cached_program_repeats_are_left_out(data: Path) -> None:
    """A report shows the first run's shapes even where a cached program ran on others."""
    profile = read_profile(data / OFT)
    conv = next(row for row in profile.rows if isinstance(row.features, Conv2dOp))
    times = [1.0, 1.1, 0.2, 0.2, 0.2]
    rows = tuple(replace(conv, measured_ns=conv.measured_ns * time) for time in times)
    (found,) = observations_of(replace(profile, rows=rows))
    assert found.time_ns == pytest.approx(conv.measured_ns * 1.05)


def test_a_sweep_is_thinned_and_weighs_no_more_than_a_network(data: Path) -> None:
    found = observations_of(read_profile(data / "wormhole_matmul_excerpt.csv"))
    assert len(found) <= MAX_SAMPLES
    assert sum(item.weight for item in found) == pytest.approx(40.0)


@pytest.mark.parametrize("name", [OFT, "wormhole_segformer_excerpt.csv"])
def test_what_is_written_is_read(data: Path, tmp_path: Path, name: str) -> None:
    written = observations_of(read_profile(data / name))
    path = tmp_path / "own.jsonl"
    write_observations(written, path)
    read = read_observations(path)
    assert {repr(item) for item in read} == {repr(item) for item in written}


@pytest.mark.parametrize(
    "text",
    ["[1]", "{}", '{"kind":"Conv2dOp","fields":[]}\n["wormhole_b0"]', '{"kind":"No","fields":[]}'],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(text)
    with pytest.raises(ProfileError, match="derive them again"):
        read_observations(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"none\.jsonl: cannot be read"):
        read_observations(tmp_path / "none.jsonl")
