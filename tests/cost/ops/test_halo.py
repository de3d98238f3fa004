from dataclasses import replace
from pathlib import Path

from autosched.cost.ops.halo import HaloOp, Window, read_window
from autosched.cost.profiles.profile import read_profile
from tests.cost.records import Captures, record_of


def _window(batch: int = 1, cores: int = 8, stride: int = 1, tiled: bool = False) -> Window:
    return Window(batch, (32, 32), (3, 3), (stride, stride), (1, 1, 1, 1), (1, 1), cores, tiled)


def test_output_size() -> None:
    assert _window().output_hw == (32, 32)
    assert _window(stride=2).output_hw == (16, 16)


def test_border_is_two_rows_and_the_padding() -> None:
    # 4 rows of 32 a core; after the gather 6 rows of 34.
    assert _window().border_sticks(128, 6 * 34) == 6 * 34 - 128


def test_shards_out_of_step_with_the_output_move_more() -> None:
    even = _window(batch=2, cores=16).border_sticks(128, 6 * 34)
    # Shards of 160 positions: later cores find less and less of what they need in their own.
    assert _window(batch=2, cores=16).border_sticks(160, 6 * 34) > even


def test_one_core_only_pads() -> None:
    assert _window(cores=1).border_sticks(1024, 34 * 34) == 34 * 34 - 1024


def test_all_spellings_of_a_window_read_alike() -> None:
    captured = read_window(
        "SlidingWindowConfig(1, 0, {56, 56}, {3, 3}, {1, 1}, array(1, 1, 1, 1), {0, 0}, {1, 1}, "
        "std::nullopt, 1, 1, 49, 1, <CoreRangeSet>, 1, 0, 0, 0, PaddingMode::Zeros)",
        True,
    )
    profiled = read_window(
        "SlidingWindowConfig(batch_size=1; input_hw=(56;56); window_hw=(3;3); stride_hw=(1;1); "
        "padding=((1; 1); (1; 1)); output_padding = (0; 0); dilation_hw=(1;1); num_cores_nhw=49)",
        True,
    )
    oldest = read_window(
        "SlidingWindowConfig(batch_size=1; input_hw=(56;56); window_hw=(3;3); stride_hw=(1;1); "
        "pad_hw=(1;1); dilation_hw=(1;1); num_cores_nhw=49)",
        True,
    )
    assert captured == profiled == oldest


def test_a_capture_and_a_profile_of_one_halo_agree(captures: Captures, data: Path) -> None:
    profile = read_profile(data / "wormhole_segformer_excerpt.csv")
    halos = [row.features for row in profile.rows if isinstance(row.features, HaloOp)]
    captured = record_of(captures["segformer"], HaloOp)
    same = [halo for halo in halos if halo.out_sticks == captured.out_sticks]
    # The network gave row-major tensors in; the capture starts from tiles.
    assert [replace(halo, legacy=False, from_tiles=True) for halo in same] == [captured]


def test_a_last_core_with_little_to_compute_has_no_larger_border() -> None:
    """80,656 positions on 64 cores of 1,280: the last one computes 16."""
    window = Window(1, (284, 284), (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 64, True)
    assert window.border_sticks(1280, 2456) == 2456 - 1280
