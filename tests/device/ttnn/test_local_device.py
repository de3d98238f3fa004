"""What the experiments of ``laboratory.py`` found inside a device."""

from typing import Any

import pytest

from tests.device.test_boards import assert_is
from tests.examples.networks import BOARD

Findings = dict[str, Any]


def test_the_board_has_its_sizes(laboratory: Findings) -> None:
    assert_is(BOARD, laboratory["sizes_of_the_board"])


def test_a_network_can_be_called_outside_the_search(laboratory: Findings) -> None:
    outputs = [[[1, 10], "torch.float32"]]
    found = laboratory["a_network_called_outside_the_search"]
    assert found == {"default": outputs, "sharded": outputs}


def test_images_are_packed_as_the_schedule_says(laboratory: Findings) -> None:
    found = laboratory["images_packed_as_the_schedule_says"]
    assert found == {"uploaded": [[1, 1, 8, 32 * 32]], "output": [2, 8, 30, 30]}


def test_weights_are_prepared_once_per_configuration(laboratory: Findings) -> None:
    found = laboratory["prepared_weights"]
    outcomes, taken, dram_bytes = zip(*found.values(), strict=True)
    assert list(found) == ["first", "again", "other", "back"]
    assert set(outcomes) == {"ok"}
    assert taken == (2, 0, 2, 2)
    # What the latest run did not use is dropped, so the memory in use does not grow.
    assert len(set(dram_bytes)) == 1


def test_weights_in_another_format_are_allocated_as_ttnn_prepares_them(
    laboratory: Findings,
) -> None:
    found = laboratory["weights_in_other_formats"]
    assert found == {"words": ["ok"], "allocated": 5, "prepared": 15, "differing": []}


def test_weights_of_one_layer_in_two_layouts_are_prepared_apart(laboratory: Findings) -> None:
    assert laboratory["one_layer_in_two_layouts"]["counts"] == [1, 0, 1, 1, 0]


def test_rejected_probes_leave_no_memory_behind(laboratory: Findings) -> None:
    found = laboratory["rejections_leave_nothing_behind"]
    assert found["kinds"] == [
        "CIRCULAR_BUFFER_CLASH",
        "CIRCULAR_BUFFER_OVERFLOW",
        "INVALID",
        "L1_OVERFLOW",
    ]
    assert found["l1"] == [0, 0]
    assert found["dram"][1] <= found["dram"][0]
    assert found["large"] == "ok"


def test_a_run_rejected_half_way_leaves_no_memory_behind(laboratory: Findings) -> None:
    found = laboratory["a_run_rejected_half_way_leaves_nothing_behind"]
    assert (found["first"], found["broken"], found["layer"]) == ("ok", "INVALID", "sum")
    assert found["l1"] == [0, 0]
    assert (found["after"], found["sharded"]) == ("ok", "ok")


def test_memory_stays_flat_over_300_probes(laboratory: Findings) -> None:
    found = laboratory["memory_over_many_probes"]
    before, after = found["resident"]
    assert found["probes"] == 300
    assert found["l1"] == [0, 0]
    assert len(set(found["dram"])) == 1
    assert after - before < 16 << 20


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("AttributeError", "AttributeError: no such thing"),
        ("AssertionError", "AssertionError: impossible"),
    ],
)
def test_defects_are_crashes_with_their_text(laboratory: Findings, error: str, words: str) -> None:
    probe, run = laboratory["defects_are_crashes"][error]
    assert probe == ["CRASH", words, ""]
    assert run == ["CRASH", words, "soft"]


def test_an_error_in_words_that_nobody_knows_is_unclassified(laboratory: Findings) -> None:
    probe, run = laboratory["defects_are_crashes"]["RuntimeError"]
    assert (probe[0], run) == ("UNCLASSIFIED", ["UNCLASSIFIED", "RuntimeError: no", "soft"])


@pytest.mark.parametrize("name", ["conv3x3", "block", "pointwise"])
def test_peaks_agree_with_ttnn(laboratory: Findings, name: str) -> None:
    found = laboratory["peaks_against_ttnn"][name]
    # ttnn counts the index tables of the halo in L1_SMALL too, some bytes a core.
    assert 0 <= found["theirs"] - found["ours"] <= 64
    assert found["kept"] == 1000


def test_a_matmul_has_dataflow_buffers_that_only_a_dry_capture_shows(
    laboratory: Findings,
) -> None:
    found = laboratory["peaks_against_ttnn"]["pointwise"]
    assert found["codes"] == ["InterleavedToShardedDeviceOperation", "MatmulDeviceOperation"]
    assert found["lacks"]
    assert found["circular"] == [0, found["dry_dataflow"]]
    assert found["with_dataflow"] == found["ours"] + found["dry_dataflow"]


def test_circular_buffers_and_cores_are_those_of_the_program(laboratory: Findings) -> None:
    found = laboratory["peaks_against_ttnn"]["conv3x3"]
    assert found["codes"][1:] == ["HaloDeviceOperation", "Conv2dDeviceOperation"]
    assert found["cores"] == [49, 49, 56]
    assert found["with_dataflow"] == found["ours"]
    assert 0 < found["circular"][1] < found["circular"][2] < found["ours"]


def test_closing_twice_and_opening_as_another_board(laboratory: Findings) -> None:
    found = laboratory["a_closed_device"]
    assert found["closed"]
    assert found["error"][0] == "BoardError"


def test_the_zeros_of_a_probed_layer_are_made_once(laboratory: Findings) -> None:
    """Making them anew took a seventh of the time of a probe."""
    assert laboratory["zeros_of_probes"] == {"same": True}
