import csv
from pathlib import Path

import pytest

from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.matmul import MatmulOp
from autosched.cost.ops.movement import GenericOp, InterleavedToShardedOp
from autosched.cost.profiles.profile import read_profile
from autosched.errors import ProfileError
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import ShardLayout


def _edited(data: Path, target: Path, change: dict[str, str], row: int | None = None) -> Path:
    with (data / "blackhole_oft_excerpt.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, line in enumerate(rows):
        if row is None or number == row:
            line.update(change)
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_a_report_names_its_architecture(data: Path) -> None:
    profile = read_profile(data / "blackhole_oft_excerpt.csv")
    assert profile.arch == "blackhole"
    assert profile.release == "2025-12"
    assert len(profile.rows) == 29


def test_an_unnamed_architecture_shows_in_the_clock(data: Path) -> None:
    assert read_profile(data / "wormhole_segformer_excerpt.csv").arch == "wormhole_b0"


def test_rows_carry_measured_times_and_features(data: Path) -> None:
    profile = read_profile(data / "blackhole_oft_excerpt.csv")
    conv = next(row for row in profile.rows if isinstance(row.features, Conv2dOp))
    assert conv.measured_ns == 121675
    assert isinstance(conv.features, Conv2dOp)
    assert conv.features.window_hw == (7, 7)
    assert conv.features.stick_channels == 8
    assert conv.features.layout is ShardLayout.HEIGHT
    assert conv.features.fidelity is Fidelity.HIFI2


def test_unknown_ops_are_listed_with_their_share(data: Path) -> None:
    (unknown,) = read_profile(data / "blackhole_oft_excerpt.csv").unknown
    assert unknown.code == "GridSampleOperation"
    assert unknown.count == 1
    assert 0.05 < unknown.share < 0.1


def test_flat_sweeps_are_profiles_too(data: Path) -> None:
    profile = read_profile(data / "wormhole_matmul_excerpt.csv")
    assert profile.arch == "wormhole_b0"
    assert all(isinstance(row.features, MatmulOp) for row in profile.rows)


def test_mixed_architectures_are_refused(data: Path, tmp_path: Path) -> None:
    path = _edited(data, tmp_path / "mixed.csv", {"DEVICE ARCH": "wormhole_b0"}, row=3)
    with pytest.raises(ProfileError, match=r"mixed.csv: mixes the architectures blackhole"):
        read_profile(path)


def test_an_unknown_architecture_is_refused(data: Path, tmp_path: Path) -> None:
    path = _edited(data, tmp_path / "gray.csv", {"DEVICE ARCH": "grayskull"})
    with pytest.raises(ProfileError, match="unknown architecture 'grayskull'"):
        read_profile(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("OP CODE,OP TYPE,ATTRIBUTES\nA,tt_dnn_device,x\n")
    with pytest.raises(ProfileError, match=r"lacks the column CORE COUNT, DEVICE KERNEL DURATION"):
        read_profile(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ProfileError, match="not a CSV file"):
        read_profile(binary)
    with pytest.raises(ProfileError, match="cannot be read"):
        read_profile(tmp_path / "absent.csv")


def test_a_report_without_times_is_refused(data: Path, tmp_path: Path) -> None:
    path = _edited(data, tmp_path / "untimed.csv", {"DEVICE KERNEL DURATION [ns]": ""})
    with pytest.raises(ProfileError, match="was it run on a card"):
        read_profile(path)


def test_an_op_with_strange_attributes_is_listed_and_counts_by_its_bytes(
    data: Path, tmp_path: Path
) -> None:
    path = _edited(data, tmp_path / "strange.csv", {"ATTRIBUTES": "{}"}, row=4)
    profile = read_profile(path)
    (row,) = [item for item in profile.rows if item.line == 6]
    assert isinstance(row.features, GenericOp)
    assert row.features.source.total_bytes > 0
    (unknown,) = [item for item in profile.unknown if item.code == "Conv2dDeviceOperation"]
    assert unknown.count == 1
    assert "unreadable attributes" in unknown.reason


def test_ops_without_a_duration_are_counted(data: Path, tmp_path: Path) -> None:
    for text in ("", "nan", "-"):
        path = _edited(data, tmp_path / "part.csv", {"DEVICE KERNEL DURATION [ns]": text}, row=3)
        profile = read_profile(path)
        assert (len(profile.rows), profile.untimed) == (28, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"DEVICE ARCH": "Blackhole"},
        {"CORE COUNT": "20.0"},
        {"OP TYPE": ""},
        {"INPUT_2_LAYOUT": "TILE", "INPUT_2_DATATYPE": "FP8", "INPUT_2_MEMORY": "?"},
    ],
)
def test_other_spellings_are_read(data: Path, tmp_path: Path, change: dict[str, str]) -> None:
    profile = read_profile(_edited(data, tmp_path / "other.csv", change))
    assert len(profile.rows) == 29
    assert [item.code for item in profile.unknown] == ["GridSampleOperation"]


def test_codes_with_namespaces_and_a_byte_order_mark(data: Path, tmp_path: Path) -> None:
    text = (data / "blackhole_oft_excerpt.csv").read_text()
    path = tmp_path / "spaces.csv"
    path.write_text(text.replace("HaloDevice", "ttnn::x::HaloDevice"), encoding="utf-8-sig")
    assert not [item for item in read_profile(path).unknown if "Halo" in item.code]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"CORE COUNT": ""}, "no core count"), ({"INPUT_0_LAYOUT": ""}, "no input tensor")],
)
def test_what_hides_from_the_formulas_is_listed(
    data: Path, tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    path = _edited(data, tmp_path / "gap.csv", change)
    profile = read_profile(path)
    assert all(row.problem for row in profile.rows)
    assert reason in {unknown.reason for unknown in profile.unknown}
    assert sum(unknown.share for unknown in profile.unknown) == pytest.approx(1)


def test_columns_may_come_in_any_order_and_padded(data: Path, tmp_path: Path) -> None:
    with (data / "blackhole_oft_excerpt.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    path = tmp_path / "turned.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f" {name}" for name in (*reversed(rows[0]), "MINE")])
        writer.writerows([*reversed(row), "1"] for row in rows[1:])
    whole = read_profile(data / "blackhole_oft_excerpt.csv")
    assert [row.features for row in read_profile(path).rows] == [row.features for row in whole.rows]


def test_rows_of_several_devices_all_count(data: Path, tmp_path: Path) -> None:
    path = _edited(data, tmp_path / "two.csv", {"DEVICE ID": "7"}, row=3)
    profile = read_profile(path)
    assert (len(profile.rows), profile.devices) == (29, 2)


def test_an_architecture_that_does_not_show_may_be_named(data: Path, tmp_path: Path) -> None:
    hidden = {"DEVICE ARCH": "", "DEVICE FW START CYCLE": "", "DEVICE FW END CYCLE": ""}
    path = _edited(data, tmp_path / "hidden.csv", hidden)
    with pytest.raises(ProfileError, match="--arch wormhole_b0 or blackhole"):
        read_profile(path)
    assert read_profile(path, "blackhole").arch == "blackhole"


def test_a_sweep_with_a_bad_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.csv"
    path.write_text("m_size,k_size,n_size,num_cores,duration\n64,x,64,2,1000\n")
    with pytest.raises(ProfileError, match="a cell is no number"):
        read_profile(path)


def test_long_cells_are_read_and_the_limit_of_other_readers_is_kept(
    data: Path, tmp_path: Path
) -> None:
    limit = csv.field_size_limit()
    text = (data / "blackhole_oft_excerpt.csv").read_text()
    (tmp_path / "long.csv").write_text(text.replace("GridSampleOperation", "C" * 2 * limit, 1))
    assert "C" * limit not in text
    with pytest.raises(csv.Error):
        list(csv.reader((tmp_path / "long.csv").open(newline="")))
    assert len(read_profile(tmp_path / "long.csv").rows) == 29
    assert csv.field_size_limit() == limit


def test_kernels_of_0_81_are_told_by_the_version_alone(data: Path, tmp_path: Path) -> None:
    rows = {"INPUT_0_LAYOUT": "ROW_MAJOR", "INPUT_0_MEMORY": "DEV_0_DRAM_INTERLEAVED"}
    name = _edited(data, tmp_path / "rows.csv", rows)
    waits = [
        [
            row.features.waits
            for row in read_profile(name, ttnn_version=version).rows
            if isinstance(row.features, InterleavedToShardedOp)
        ]
        for version in ("", "0.80.3", "0.81.1")
    ]
    assert all(waits[0])
    assert waits[0]
    assert waits[1] == waits[0]
    assert not any(waits[2])
