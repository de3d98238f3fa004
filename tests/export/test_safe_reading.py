"""A module read as data is the schedule that running it gives, or is refused and does nothing."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.loading import load_schedule
from autosched.export.saving import save_schedule
from autosched.schedule.schedule import Schedule
from tests.examples.schedules import schedules, small_schedule

ROOT = Path(__file__).parents[2]
EXPORTED = sorted(
    path
    for room in ("studies", "tests")
    for path in (ROOT / room).rglob("*.py")
    if "\nLAYERS = {" in path.read_text()
)


def test_there_are_exports_to_read() -> None:
    assert len(EXPORTED) >= 3


@pytest.mark.parametrize("path", EXPORTED, ids=lambda path: path.stem)
def test_every_export_in_the_tree_is_the_same_read_both_ways(path: Path) -> None:
    safe, run = load_schedule(path, safe=True), load_schedule(path)
    assert safe == run
    assert list(safe.layers) == list(run.layers)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schedule=schedules())
def test_any_legal_schedule_comes_back_equal(tmp_path: Path, schedule: Schedule) -> None:
    back = load_schedule(save_schedule(schedule, tmp_path / "random.py"), safe=True)
    assert back == schedule
    assert list(back.layers) == list(schedule.layers)


def test_an_export_from_before_folding_and_sliced_pools_is_read(tmp_path: Path) -> None:
    later = ("    fold_input: bool", "    dram_slice_config: ttnn")
    lines = render_schedule(small_schedule()).splitlines(keepends=True)
    path = tmp_path / "old.py"
    path.write_text("".join(line for line in lines if not line.startswith(later)))
    assert load_schedule(path, safe=True) == small_schedule()


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = render_schedule(small_schedule())
    assert old in text
    path = tmp_path / "edited.py"
    path.write_text(text.replace(old, new, 1))
    return path


def test_an_edited_value_counts(tmp_path: Path) -> None:
    path = edited(tmp_path, "cores((0, 0, 7, 7))", "cores((0, 0, 3, 7))")
    assert load_schedule(path, safe=True) == load_schedule(path) != small_schedule()


WRITES = '__import__("pathlib").Path("witness").touch()'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("import ttnn\n", f"import ttnn\n{WRITES}\n", "is no value of a schedule"),
        ("import ttnn\n", "import ttnn, os\n", "is no value of a schedule"),
        ("import ttnn\n", "import ttnn\nttnn = 1\n", "another meaning"),
        ("import ttnn\n", "import ttnn\ncores = 1\n", "another meaning"),
        ("act_block_h_override=64", f"act_block_h_override={WRITES} or 64", "no value"),
        ("act_block_h_override=64", "act_block_h_override=60 + 4", "60 . 4 is no value"),
        ("act_block_h_override=64", f"act_block_h_override={WRITES}", "is no call"),
        ("act_block_h_override=64", "act_block_h_override=ttnn.open_device(0)", "is no call"),
        ("act_block_h_override=64", 'act_block_h_override=f"{1}"', "is no value"),
        ("act_block_h_override=64", "act_block_h_override=LAYERS", "above it"),
        ("act_block_h_override=64", "act_block_h_override=Conv2d", "above it"),
        ("act_block_h_override=64", "act_block_h_override=-True", "is no number"),
        ("act_block_h_override=64", "**{}", "has no name"),
        ("act_block_h_override=64", 'act_block_h_override="64"', "does not take these values"),
        ("cores((0, 0, 7, 7))", "cores(*[(0, 0, 7, 7)])", "is no value"),
        ("ttnn.BufferType.L1):", f"ttnn.BufferType.L1, x={WRITES}):", "not the definition"),
        ("    return ttnn.CoreRangeSet(", f"    {WRITES}\n    return ttnn.CoreRangeSet(",
         "not the definition"),
        ("class Pool(NamedTuple):", f"@print\nclass Pool(NamedTuple):\n    x = {WRITES}\n",
         "not the definition"),
        ("dtype: ttnn.DataType = ttnn.bfloat16", "dtype: ttnn.DataType = ttnn.bfloat8_b",
         "not the definition"),
        ('"x": Fixed(method="permute")', '**{"x": Fixed(method="permute")}', "no name in quotes"),
        ('"x": Fixed(method="permute")', '"x": Fixed(Placement())', "without their names"),
        ("LAYERS = {", "LAYERS = OTHER = {", "is no value of a schedule"),
        ('"network": "tiny"', '"network": ttnn.__file__', "none of ttnn's words"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused_with_its_line_and_does_nothing(
    old: str, new: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = edited(tmp_path, old, new)
    with pytest.raises(ScheduleError, match=rf"edited\.py:\d+: .*{words}"):
        load_schedule(path, safe=True)
    assert not Path("witness").exists()


def test_what_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = edited(tmp_path, "act_block_h_override=64", "act_block_h_override=" + "-" * 3000 + "1")
    with pytest.raises(ScheduleError, match=r"edited\.py"):
        load_schedule(path, safe=True)


def test_json_is_never_executed(tmp_path: Path) -> None:
    path = save_schedule(small_schedule(), tmp_path / "tiny.json")
    assert load_schedule(path, safe=True) == small_schedule()
