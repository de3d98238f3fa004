import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.loading import load_schedule, parse_json
from autosched.export.saving import render_json
from autosched.schedule.configurations import Conv2dConfig, Fidelity, MatmulConfig, MatmulProgram
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import CoreRange, DataType, Edge
from tests.examples.schedules import small_schedule

Edit = Callable[[str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Write the small schedule's module with one place changed, and return its path."""

    def write(old: str, new: str) -> Path:
        text = render_schedule(small_schedule())
        assert old in text
        path = tmp_path / "edited.py"
        path.write_text(text.replace(old, new, 1))
        return path

    return write


def conv1(schedule: Schedule) -> Conv2dConfig:
    config = schedule.layers["conv1"]
    assert isinstance(config, Conv2dConfig)
    return config


def test_an_edit_of_a_block_height_counts(edit: Edit) -> None:
    back = load_schedule(edit("act_block_h_override=64", "act_block_h_override=96"))
    assert conv1(back).act_block_h_override == 96


def test_an_edit_of_a_shared_compute_config_counts_for_all_its_layers(edit: Edit) -> None:
    back = load_schedule(edit("MathFidelity.LoFi", "MathFidelity.HiFi3"))
    fidelities = {
        config.compute.math_fidelity
        for config in back.layers.values()
        if isinstance(config, Conv2dConfig | MatmulConfig)
    }
    assert fidelities == {Fidelity.HIFI3, Fidelity.HIFI2}


def test_an_edit_of_cores_and_formats_counts(edit: Edit) -> None:
    back = load_schedule(edit("cores((0, 0, 7, 7))", "cores((0, 0, 3, 7))"))
    assert back.layers["layer1.0.add"].layout.grid == (CoreRange(0, 0, 3, 7),)  # type: ignore[union-attr]
    back = load_schedule(edit("weights_dtype=ttnn.bfloat8_b", "weights_dtype=ttnn.bfloat4_b"))
    assert conv1(back).weights_dtype is DataType.BFLOAT4_B


def test_a_reshard_can_be_taken_out(edit: Edit) -> None:
    line = '    "maxpool -> layer1.0.add#1": Placement(memory_config=ttnn.L1_MEMORY_CONFIG),\n'
    back = load_schedule(edit(line, ""))
    assert list(back.reshards) == [Edge("maxpool", "layer1.0.conv1")]


ILLEGAL = [
    (
        "act_block_h_override=64",
        "act_block_h_override=48",
        "layer 'conv1': act_block_h_override is 48; legal is 0 or a multiple of 32",
    ),
    (
        "act_block_h_override=64",
        'act_block_h_override="64"',
        "layer 'conv1': act_block_h_override cannot be '64'; legal is 0 or a multiple of 32",
    ),
    ("act_block_h_override=64", "act_block=64", "ttnn.Conv2dConfig has no field act_block; it has"),
    (
        "TensorMemoryLayout.HEIGHT_SHARDED",
        "TensorMemoryLayout.HIGHT",
        "layer 'conv1': shard_layout cannot be ttnn.TensorMemoryLayout.HIGHT",
    ),
    (
        "shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED",
        'shard_layout="height"',
        "legal is ttnn.TensorMemoryLayout.HEIGHT_SHARDED, ttnn.TensorMemoryLayout.WIDTH_SHARDED",
    ),
    (
        "shard_layout=ttnn.TensorMemoryLayout.HEIGHT_SHARDED",
        "shard_layout=ttnn.TensorMemoryLayout.INTERLEAVED",
        "layer 'conv1': shard_layout is 'interleaved'; legal is height, width or block",
    ),
    (
        "weights_dtype=ttnn.bfloat8_b",
        "weights_dtype=ttnn.bfloat9",
        "weights_dtype cannot be ttnn.bfloat9",
    ),
    (
        "weights_dtype=ttnn.bfloat8_b",
        "weights_dtype=ttnn.uint32",
        "layer 'conv1': weights_dtype is 'uint32'; legal is bfloat16, bfloat8_b, bfloat4_b",
    ),
    (
        "weights_dtype=ttnn.bfloat8_b,\n",
        "\n",
        "layer 'conv1'.weights_dtype: None is not one of bfloat16",
    ),
    (
        "math_fidelity=ttnn.MathFidelity.LoFi, ",
        "",
        "layer 'conv1'.compute.math_fidelity: 'Invalid' is not one of LoFi, HiFi2, HiFi3, HiFi4",
    ),
    (
        "MathFidelity.LoFi",
        "MathFidelity.Low",
        "LOFI: math_fidelity cannot be ttnn.MathFidelity.Low",
    ),
    ("compute_config=LOFI", "compute_config=LOFY", "layer 'conv1': compute_config cannot be LOFY"),
    (
        "enable_act_double_buffer=True",
        "enable_act_double_buffer=1",
        "enable_act_double_buffer cannot be 1; legal is True or False",
    ),
    ("reshard_if_not_optimal=True", "reshard_if_not_optimal=False", "legal is True"),
    (
        "enable_act_double_buffer=True",
        "enable_act_double_buffer=True, override_output_sharding_config=True",
        "layer 'conv1': override_output_sharding_config is not a schedule's to choose",
    ),
    ("dtype=ttnn.bfloat16", "dtipe=ttnn.bfloat16", "layer 'conv1': .*'dtipe'"),
    ("cores((0, 0, 7, 7))", "cores((0, 3, 7, 1))", "layer 'layer1.0.add': Invalid core range"),
    ("(0, 7, 3, 7)", "(0, 6, 3, 7)", "layer 'layer1.0.conv1': .*overlap"),
    ("(64, 64)", "(64,)", "layer 'layer1.0.add': sharded.* has unfit arguments"),
    ("(64, 64)", "(0, 64)", "layout.shard_shape is .*; legal is .rows, columns., each 1 or more"),
    ("deallocate_input=False", "deallocate_input=0", "layer 'maxpool'.deallocate_input: expected"),
    ("slice_config=None", "slice_config=3", "layer 'layer1.0.conv1': slice_config: expected"),
    (
        "ttnn.L1_WIDTH_SHARDED_MEMORY_CONFIG",
        "ttnn.L1_WEIGHT",
        "layer 'fc': memory_config cannot be ttnn.L1_WEIGHT",
    ),
    ("CoreGrid(x=8, y=4)", "CoreGrid(x=8, y=0)", "layer 'fc': core_grid is"),
    ("CoreGrid(x=8, y=4)", "CoreGrid(x=8)", "layer 'fc': ttnn.CoreGrid.* has unfit arguments"),
    ('Fixed(method="permute")', "5", "layer 'x': 5 is no layer configuration .Conv2d, Matmul"),
    ('"conv1": Conv2d', '"x": Conv2d', "LAYERS: 'x' twice"),
    ('"conv1": Conv2d', "7: Conv2d", "LAYERS: 7 is no name"),
    ("maxpool -> layer1.0.conv1", "mxpool -> layer1.0.conv1", "producer is 'mxpool'; legal is the"),
    ("maxpool -> layer1.0.conv1", "maxpool to conv1", "is no edge; write 'producer -> consumer'"),
    ("layer1.0.add#1", "layer1.0.add#one", "is no edge"),
    ('"batch": 1,', '"batch": "1",', "PROVENANCE.batch: expected int, not '1'"),
    ('"batch": 1,', '"batch": 0,', "PROVENANCE: batch is 0; legal is 1 or more"),
    (
        '"batch": 1,',
        '"batch": 1, "pack_images": 2,',
        "PROVENANCE: pack_images is 2; legal is a num",
    ),
    ('"board": "n150",', "", "PROVENANCE: .*missing.*'board'"),
    ('"board":', '"bord":', "PROVENANCE: unknown field bord"),
    ('"estimated"', '"guessed"', "PROVENANCE.latency_kind: 'guessed' is not one of measured, est"),
    ('"latency_kind": "estimated",', "", "PROVENANCE: latency_kind is 'None'"),
    ("PROVENANCE =", "ORIGIN =", "PROVENANCE missing"),
    ("LAYERS = {", "LAYERS = [{", "not Python"),
    ("import ttnn\n", "import ttnn\nraise SystemExit(3)\n", "line 23: SystemExit: 3"),
    ("import ttnn\n", "import no_such_package\n", "ModuleNotFoundError"),
    ("method: str", "way: str", "layer 'x': .*'method'"),
]


@pytest.mark.parametrize(("old", "new", "words"), ILLEGAL)
def test_an_illegal_edit_is_one_message(edit: Edit, old: str, new: str, words: str) -> None:
    path = edit(old, new)
    with pytest.raises(ScheduleError, match=words) as caught:
        load_schedule(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert "\n" not in message


def test_the_line_of_an_illegal_value_is_named(edit: Edit) -> None:
    path = edit("act_block_h_override=64", 'act_block_h_override="64"')
    lines = path.read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if '="64"' in line]
    with pytest.raises(ScheduleError, match=f"line {number}: layer 'conv1'"):
        load_schedule(path)


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"none.py: no such file. Write one with autosched exp"):
        load_schedule(tmp_path / "none.py")


def test_a_folder_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match="cannot be read"):
        load_schedule(tmp_path)
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScheduleError, match="not text"):
        load_schedule(tmp_path / "binary.py")


def test_another_module_is_refused_before_it_runs(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    path = tmp_path / "net.py"
    path.write_text(f"open({str(witness)!r}, 'w').close()\nmodel = None\n")
    with pytest.raises(ScheduleError, match="not a schedule that autosched exported"):
        load_schedule(path)
    assert not witness.exists()


ILLEGAL_JSON = [
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


@pytest.mark.parametrize(("old", "new", "words"), ILLEGAL_JSON)
def test_an_illegal_edit_of_json_is_one_message(old: str, new: str, words: str) -> None:
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


def test_an_edit_of_json_counts(tmp_path: Path) -> None:
    plain = json.loads(render_json(small_schedule()))
    plain["layers"]["conv1"]["act_block_h_override"] = 96
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(plain))
    assert load_schedule(path).layers["conv1"].act_block_h_override == 96  # type: ignore[union-attr]


@pytest.mark.parametrize("words", ["raise BaseException('all')", "import os; os._exit(3)"])
def test_a_module_that_would_end_the_process_is_refused(edit: Edit, words: str) -> None:
    path = edit("import ttnn\n", f"import ttnn\n{words}\n")
    line = path.read_text().splitlines().index(words) + 1
    with pytest.raises(ScheduleError, match=f"line {line}: "):
        load_schedule(path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("fuse_batch=False", "fuse_batch is False; legal is True"),
        ("fuse_batch=True, out_block_h=1", "out_block_h is 1; legal is 2"),
        ("fuse_batch=True, untilize_out=True", "untilize_out is True; legal is False"),
    ],
)
def test_a_program_is_not_edited_where_the_edit_would_be_lost(
    tmp_path: Path, edit: str, words: str
) -> None:
    program = MatmulProgram("mcast_in0", (4, 1), 2, 1, 1, 2, 1)
    layers = {"fc": MatmulConfig(program=program)}
    text = render_schedule(Schedule(small_schedule().provenance, layers))
    path = tmp_path / "edited.py"
    path.write_text(text)
    assert load_schedule(path).layers == layers
    path.write_text(text.replace("fuse_batch=True", edit))
    with pytest.raises(ScheduleError, match=words):
        load_schedule(path)
