import json
from dataclasses import replace
from pathlib import Path

import pytest

from autosched.errors import ScheduleError
from autosched.export.json_form import parse_json, render_json
from autosched.export.loading import load_schedule
from tests.examples.schedules import small_schedule

CASES = [
    ('act_block_h_override": 64', 'act_block_h_override": 48', "act_block_h_override is 48; legal"),
    ('act_block_h_override": 64', 'act_block_h_override": "64"', "expected int, not '64'"),
    ('"shard_layout": "height"', '"shard_layout": "hight"', "conv1'.shard_layout: 'hight' is not"),
    ('"kind": "conv2d"', '"kind": "conv3d"', "unknown kind of configuration 'conv3d'"),
    ('"act_block_w_div"', '"act_block_w_dvi"', "unknown field act_block_w_dvi"),
    ('"conv1":', '"x":', "'x' is given twice"),
    ("812.25", "NaN", "NaN is no number"),
    ("812.25", "-1", "latency_us is -1; legal is a time"),
    ('"layers"', '"layer"', "not a schedule: it needs a provenance and layers"),
    ('"moves"', '"move"', "unknown field move"),
    ("layer1.0.add#1", "layer1.0.add#one", "is no edge"),
    (
        '"avgpool",\n    "conv1"',
        '"avgpool",\n    "conv2"',
        "frees: layer is 'conv2'; legal is the name",
    ),
    (
        '"avgpool",\n    "conv1"',
        '"fc",\n    "conv1"',
        "frees: layer is 'fc'; legal is the name of a",
    ),
    ('"avgpool",\n    "conv1"', '"avgpool",\n    1', "frees: expected str, not 1"),
    (
        '"kind": "conv2d"',
        '"kind": "conv2d", "deallocate_activation": true',
        "layer 'conv1' says itself whether it frees its input; say it in frees alone",
    ),
    ('"x0": 0', '"x0": -1', "grid is .*; legal is first core to last core"),
    ('"provenance": {', '"provenance": {,', "file.json:2: not JSON"),
]


@pytest.mark.parametrize(("old", "new", "words"), CASES)
def test_an_illegal_edit_is_one_message(old: str, new: str, words: str) -> None:
    text = render_json(small_schedule())
    assert old in text
    with pytest.raises(ScheduleError, match=words) as caught:
        parse_json(text.replace(old, new, 1), "file.json")
    assert str(caught.value).startswith("file.json:")


@pytest.mark.parametrize("text", ["[]", "3", '{"provenance": 1, "layers": 2}', "[" * 100_000])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match=r"file.json: "):
        parse_json(text, "file.json")


def test_what_is_freed_is_said_in_order_and_only_where_there_is_something() -> None:
    schedule = small_schedule()
    assert json.loads(render_json(schedule))["frees"] == ["avgpool", "conv1", "layer1.0.conv1"]
    nothing = replace(schedule, frees=frozenset())
    assert "frees" not in json.loads(render_json(nothing))
    assert parse_json(render_json(nothing), "file.json") == nothing


def test_an_edit_counts(tmp_path: Path) -> None:
    plain = json.loads(render_json(small_schedule()))
    plain["layers"]["conv1"]["act_block_h_override"] = 96
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(plain))
    assert load_schedule(path).layers["conv1"].act_block_h_override == 96  # type: ignore[union-attr]
