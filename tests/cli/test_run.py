import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import autosched
from autosched.export.saving import save_schedule
from autosched.schedule.configurations import Conv2dConfig, Fidelity
from autosched.schedule.tensors import DRAM_TILE, DataType, Edge, ShardLayout, TensorLayout
from tests.cli.conftest import Invoke, Studied


def test_json_is_one_object_with_what_scripts_rely_on(studied: Studied) -> None:
    result = studied.done.json
    assert result["study"] == "tiny-n150"
    assert result["latency_kind"] == "estimated"
    assert 0 < result["latency_us"] <= result["default_latency_us"]
    assert result["trials"] == 3
    assert result["trial"] in (0, 1, 2)
    assert all(isinstance(number, int) for number in result["rejected"].values())
    assert result["wall_s"] > 0
    assert result["gap"] == pytest.approx(result["latency_us"] / result["bound_us"] - 1)
    assert result["schedule_path"] == str(studied.schedule)
    assert (result["board"], result["device"], result["batch"]) == ("n150", "mock", 1)
    assert result["stopped"] == "trials run"


def test_everything_else_goes_to_standard_error(studied: Studied) -> None:
    err = studied.done.err
    assert "a network file may print" in err
    assert f"Database: {studied.url.removeprefix('sqlite:///')}" in err
    assert "mock n150" in err
    assert "compared in PyTorch: outputs " in err
    assert "accuracy is not judged, so the search leaves the formats alone" in err
    assert "faster than ttnn's default (estimated)" in err
    assert "Edges that reshard" in err
    assert "autosched show tiny-n150 --layers" in err
    assert "autosched resume tiny-n150" in err
    assert "\x1b" not in err


def test_no_line_of_the_tables_is_wider_than_the_terminal(studied: Studied) -> None:
    tables = [line for line in studied.done.err.splitlines() if line.startswith(("─", "input "))]
    assert tables
    assert max(map(len, tables)) <= 80


def test_the_exported_schedule_reads_back(studied: Studied) -> None:
    schedule = autosched.load_schedule(studied.schedule)
    assert schedule.provenance.study == "tiny-n150"
    assert schedule.provenance.latency_us == pytest.approx(studied.done.json["latency_us"])


def test_running_again_goes_on(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), copy)
    done = invoke(
        *("run", str(studied.net), "--trials", "1", "--no-check"),
        *("--storage", f"sqlite:///{copy}"),
    )
    assert done.code == 0, done.err
    assert "not compared with the module: --no-check" in done.out
    assert "tiny-n150 goes on after 3 trials; sampler joint, effort quick" in done.out
    assert "0 probes run" in done.out
    assert "4 trials in the study" in done.out


def test_a_study_keeps_its_formats(studied: Studied, invoke: Invoke) -> None:
    arguments = ("run", str(studied.net), "--storage", studied.url)
    done = invoke(*arguments, "--weights", "bfloat16")
    assert done.code == 2
    assert "other formats" in done.err
    assert "--study NAME" in done.err


@pytest.fixture
def other_tiny(studied: Studied, tmp_path: Path) -> Path:
    other = tmp_path / "tiny.py"
    other.write_text(studied.net.read_text().replace("32, 32, 3", "32, 64, 3"))
    return other


def test_a_study_is_not_gone_on_with_by_another_network(
    studied: Studied, invoke: Invoke, other_tiny: Path
) -> None:
    named = ("--study", studied.name, "--storage", studied.url)
    done = invoke("run", str(studied.net), "--batch", "2", *named)
    assert done.code == 2
    assert "another batch (1, not 2)" in done.err
    done = invoke("run", str(other_tiny), *named)
    assert done.code == 2
    assert "another network (its layers have other parameters, shapes or inputs)" in done.err


def test_other_batches_and_networks_of_a_name_have_studies_of_their_own(
    studied: Studied, invoke: Invoke, other_tiny: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), copy)
    brief = ("--timeout", "0.1s", "--storage", f"sqlite:///{copy}")
    done = invoke("run", str(studied.net), "--batch", "2", *brief)
    assert done.code == 0, done.err
    assert "Study: tiny-b2-n150 is new" in done.out
    done = invoke("run", str(other_tiny), *brief)
    assert done.code == 0, done.err
    assert "Study tiny-n150 is of another network of this name (its layers have" in done.out
    assert "Study: tiny-n150-2 is new" in done.out


def test_the_time_limit_ends_the_probing(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brief.sqlite3"
    done = invoke("run", str(studied.net), "--timeout", "0.1s", "--storage", url)
    assert done.code == 0, done.err
    assert "The search ended: time up, before the bound was proven" in done.out
    assert "0 trials in the study" in done.out, "not even a device has started by then"
    assert "autosched export" not in done.out, "there is nothing to export"
    assert "autosched resume tiny-n150" in done.out


def test_a_search_starts_from_a_schedule(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), copy)
    arguments = ("run", str(studied.net), "--storage", f"sqlite:///{copy}", "--study", "started")
    done = invoke(*arguments, "--trials", "2", "--start", str(studied.schedule), "--safe")
    assert f"Reading schedule {studied.schedule} (as data)" in done.out
    assert done.code == 0, done.err
    assert "Trial 1, the schedule given: " in done.out
    assert "2 trials in the study" in done.out


def test_layers_of_a_schedule_may_be_kept(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    copy = f"sqlite:///{tmp_path}/copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), tmp_path / "copy.sqlite3")
    default = tmp_path / "default.py"
    assert invoke("export", "tiny-n150", "--trial", "0", "-o", str(default), "--storage", copy)
    words = ("run", str(studied.net), "--storage", copy, "--effort", "quick", "--safe")
    kept = ("--start", str(default), "--freeze", "2", "--study", "kept", "--trials", "3")
    done = invoke(*words, *kept)
    assert done.code == 0, done.err
    changes = invoke("diff", str(default), "kept", "--safe", "--storage", copy, "--json").json
    by_name = {item["name"]: item["change"] for item in changes["layers"]}
    assert by_name["2"] == ""
    assert by_name["0"]
    done = invoke(*words, "--freeze", "2")
    assert done.code == 2
    assert "name it with --start" in done.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("n150", "p150"), "made for board p150"),
        (('signature": "', 'signature": "other'), "made for network"),
        (("{", "[", 1), "other.json"),
    ],
    ids=["board", "network", "damaged"],
)
def test_a_schedule_of_something_else_is_no_start(
    studied: Studied, invoke: Invoke, tmp_path: Path, change: tuple[Any, ...], words: str
) -> None:
    other = tmp_path / "other.py"
    other.write_text(studied.schedule.read_text())
    json = tmp_path / "other.json"
    schedule = autosched.load_schedule(other)
    save_schedule(schedule, json)
    json.write_text(json.read_text().replace(*change))
    done = invoke("run", str(studied.net), "--storage", studied.url, "--start", str(json))
    assert done.code == 2, done.out
    assert words in done.err


def test_a_start_in_other_formats_is_refused(studied: Studied, invoke: Invoke) -> None:
    """The search leaves formats alone, and would win by them. Nothing is stored."""
    done = invoke(
        "run", str(studied.net), "--storage", studied.url, "--study", "other",
        "--weights", "bfloat4_b", "--start", str(studied.schedule),
    )  # fmt: skip
    assert done.code == 2
    assert "weights in bfloat8_b, and this search has bfloat4_b" in done.err
    assert "other" not in invoke("list", "--storage", studied.url).out


@pytest.mark.parametrize(
    ("reshards", "moves", "words"),
    [
        ({Edge("0", "0"): DRAM_TILE}, {}, "reshard '0 -> 0' is of no edge"),
        ({}, {Edge("2", "0"): DRAM_TILE}, "move '2 -> 0' is before its tensor is there"),
    ],
    ids=["reshard", "move"],
)
def test_an_edge_that_is_none_is_named(
    studied: Studied,
    invoke: Invoke,
    reshards: dict[Edge, TensorLayout],
    moves: dict[Edge, TensorLayout],
    words: str,
) -> None:
    schedule = replace(autosched.load_schedule(studied.schedule), reshards=reshards, moves=moves)
    save_schedule(schedule, "edited.json")
    for command in (
        ("check", "edited.json", "--net", str(studied.net)),
        ("run", str(studied.net), "--storage", studied.url, "--start", "edited.json"),
    ):
        done = invoke(*command)
        assert done.code == 2
        assert words in done.err


def test_the_user_pins_and_forbids(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), copy)
    url = f"sqlite:///{copy}"
    rules = ("--pin", "0:shard_layout=block", "--forbid", "2:enable_act_double_buffer=true")
    done = invoke("run", str(studied.net), "--storage", url, "--study", "pinned", "--trials", "2",
                  *rules, "--export", "pinned.json")  # fmt: skip
    assert done.code == 0, done.err
    assert "Restriction: --pin '0:shard_layout=block'" in done.out
    found = autosched.load_schedule("pinned.json").layers["0"]
    assert isinstance(found, Conv2dConfig)
    assert found.shard_layout is ShardLayout.BLOCK
    assert done.out.count("Best: ") == 1
    other = invoke("run", str(studied.net), "--storage", url, "--study", "pinned",
                   "--pin", "0:shard_layout=height")  # fmt: skip
    assert other.code == 2
    assert "searched with other restrictions (--pin '0:shard_layout=block'" in other.err
    again = invoke("resume", "pinned", "--storage", url, "--trials", "0")
    assert "Restriction: --pin '0:shard_layout=block'" in again.out


def test_layers_get_the_formats_of_a_schedule(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), copy)
    common = ("run", str(studied.net), "--storage", f"sqlite:///{copy}", "--trials", "1")
    first = invoke(*common, "--study", "mixed", "--pin", "0:output_dtype=bfloat16",
                   "--pin", "2:math_fidelity=HiFi4", "--export", "mixed.json")  # fmt: skip
    assert first.code == 0, first.err
    again = invoke(*common, "--study", "again", "--formats-of", "mixed.json",
                   "--export", "again.json")  # fmt: skip
    assert again.code == 0, again.err
    assert "Reading schedule mixed.json (as data)" in again.out
    assert "Restriction: --pin '2:math_fidelity=hifi4'" in again.out
    mixed, same = (autosched.load_schedule(f"{name}.json").layers for name in ("mixed", "again"))
    for layers in (mixed, same):
        assert isinstance(layers["0"], Conv2dConfig)
        assert isinstance(layers["2"], Conv2dConfig)
        assert layers["0"].output_dtype is DataType.BFLOAT16
        assert layers["2"].compute.math_fidelity is Fidelity.HIFI4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--min-pcc", "2"), "--min-pcc 2.0: it is more than 0 and less than 1"),
        (("--formats", "free"), "--formats 'free' is not one of fixed, search"),
    ],
)
def test_a_wrong_floor_is_refused(
    studied: Studied, invoke: Invoke, options: tuple[str, str], words: str
) -> None:
    done = invoke("run", str(studied.net), "--storage", studied.url, *options)
    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("0:weights_dtype=float8", "weights_dtype 'float8' is not one of bfloat16"),
        ("conv1", "expected LAYERS:FIELD=VALUE"),
        ("conv1:memory=l1", "no such layer among 4, such as"),
    ],
)
def test_a_wrong_restriction_is_refused(
    studied: Studied, invoke: Invoke, rule: str, words: str
) -> None:
    done = invoke(
        "run", str(studied.net), "--storage", studied.url, "--study", "new", "--pin", rule
    )
    assert done.code == 2
    assert words in done.err
    assert "'new'" in invoke("show", "new", "--storage", studied.url).err


def test_ttnns_default_is_among_the_choices_that_the_bound_is_of(
    invoke: Invoke, tmp_path: Path
) -> None:
    """An activation of the input runs on rows by default, in tiles among the search's own."""
    Path("relu.py").write_text(
        "from torch import nn\n\nmodel = nn.ReLU()\ninput_shape = (1, 8, 16, 16)\n"
    )
    url = f"sqlite:///{tmp_path}/relu.sqlite3"
    done = invoke(
        "run", "relu.py", "--effort", "quick", "--trials", "2", "--storage", url, "--json"
    )
    assert done.code == 0, done.err
    assert done.json["bound_us"] <= done.json["latency_us"] * (1 + 1e-9)
    assert 0 <= done.json["gap"] < 0.01


def test_a_name_that_is_too_long_is_refused_before_anything_is_opened(
    tiny: Path, invoke: Invoke, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    done = invoke("run", str(tiny), "--study", "x" * 256, "--storage", url, "--device", "mock")
    assert done.code == 2
    assert "has 256 characters; name it with at most 255" in done.err
    assert "Device:" not in done.out


def test_images_may_come_and_stay_as_the_device_has_them(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    copy, file = tmp_path / "copy.sqlite3", tmp_path / "kept.py"
    shutil.copy(studied.url.removeprefix("sqlite:///"), copy)
    storage = ("--storage", f"sqlite:///{copy}")
    asked = ("--io", "device", "--trials", "3", "--effort", "quick", "--device", "mock")
    done = invoke("run", str(studied.net), *asked, *storage, "--export", str(file), "--json")
    assert done.code == 0, done.err
    assert "images come wherever" in done.err
    assert done.json["study"] == "tiny-n150-2"
    assert 0 < done.json["latency_us"] < studied.done.json["latency_us"]
    chosen = list(autosched.load_schedule(file).layers.values())
    assert [item.method for item in (chosen[0], chosen[-1])] == ["device", "device"]  # type: ignore[union-attr]
    again = invoke("check", str(file), "--net", str(studied.net), *storage, "--json")
    assert again.code == 0, again.err
    assert again.json["latency_us"] == pytest.approx(done.json["latency_us"])
    resumed = invoke("resume", "tiny-n150-2", "--trials", "1", *storage, "--json")
    assert resumed.code == 0, resumed.err


def test_an_unknown_order_of_images_is_refused(studied: Studied, invoke: Invoke) -> None:
    done = invoke("run", str(studied.net), "--io", "chw", "--storage", studied.url)
    assert done.code == 2
    assert "--io 'chw' is not one of nchw, nhwc, device" in done.err


NARROW = """\
from torch import nn

model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
input_shape = (1, 4, 192, 192)
"""


def test_images_of_a_batch_are_packed_where_that_is_faster(invoke: Invoke, tmp_path: Path) -> None:
    """Whoever comes later packs as many by itself: the study says so, and the schedule."""
    net, schedule = tmp_path / "narrow.py", tmp_path / "found.json"
    net.write_text(NARROW)
    storage = ("--storage", f"sqlite:///{tmp_path}/narrow.sqlite3")
    searched = ("run", str(net), "--batch", "2", "--device", "mock", "--effort", "quick")
    done = invoke(*searched, "--trials", "2", *storage, "--export", str(schedule), "--json")
    assert done.code == 0, done.err
    assert "packed into channels, estimated: none " in done.err
    assert "2 are packed: " in done.err
    assert "Images: 2 of 2 packed into channels; outputs " in done.err
    assert done.json["study"] == "narrow-b2-n150"
    assert done.json["pack_images"] == 2
    assert autosched.load_schedule(schedule).provenance.pack_images == 2
    checked = invoke("check", str(schedule), "--net", str(net), "--device", "mock", "--json")
    assert checked.code == 0, checked.err
    assert checked.json["latency_us"] == pytest.approx(done.json["latency_us"])
    assert checked.json["batch"] == 2
    shown = invoke("show", "narrow-b2-n150", *storage)
    assert "narrow, batch 2 (2 packed)" in shown.err + shown.out
    again = invoke("resume", "narrow-b2-n150", "--trials", "0", *storage)
    assert again.code == 0, again.err
    assert "Images: 2 of 2 packed into channels" in again.err + again.out
    apart = invoke(*searched, "--pack-images", "1", "--study", "narrow-b2-n150", *storage)
    assert "has 2 images packed together, not 1" in apart.err


@pytest.mark.parametrize(
    ("images", "words"),
    [("x", "--pack-images 'x' is neither auto"), ("3", "the number has to divide the batch, 2")],
)
def test_images_that_cannot_be_packed_are_refused(
    invoke: Invoke, tmp_path: Path, images: str, words: str
) -> None:
    net = tmp_path / "narrow.py"
    net.write_text(NARROW)
    done = invoke(
        *("run", str(net), "--batch", "2", "--device", "mock", "--pack-images", images),
        *("--storage", f"sqlite:///{tmp_path}/narrow.sqlite3"),
    )
    assert done.code == 2
    assert words in done.err


def test_a_strict_search_asks_the_database_alone(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), copy)
    words = ("run", str(studied.net), "--strict", "--study", "strict", "--no-check")
    words = (*words, "--effort", "quick", "--trials", "2")
    done = invoke(*words, "--storage", f"sqlite:///{copy}")
    assert done.code == 0, done.err
    assert "Probed: 0 probes run" in done.out
    empty = invoke(*words, "--storage", f"sqlite:///{tmp_path}/empty.sqlite3")
    assert empty.code == 2
    assert "--strict: " in empty.err
    assert "Without --strict the device is asked" in empty.err
