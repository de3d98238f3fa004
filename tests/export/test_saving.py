import stat
from pathlib import Path

import pytest

from autosched import files
from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.saving import (
    TEXT_MARK,
    check_target,
    format_of,
    save_schedule,
    save_text,
)
from tests.examples.schedules import small_schedule


def test_the_file_has_the_rendered_text_and_ordinary_rights(tmp_path: Path) -> None:
    path = save_schedule(small_schedule(), tmp_path / "tiny.py")
    assert path.read_text() == render_schedule(small_schedule())
    twin = tmp_path / "twin"
    twin.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(twin.stat().st_mode)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"exported as .py or .json"):
        save_schedule(small_schedule(), tmp_path / "tiny.txt")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"nowhere/tiny.py: cannot be written: No such file"):
        save_schedule(small_schedule(), tmp_path / "nowhere" / "tiny.py")


def test_a_failure_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.py"
    path.write_text("old")

    def full_disk(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(ScheduleError, match="No space left on device"):
        save_schedule(small_schedule(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_file_is_never_overwritten(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text("model = 1\n")
    with pytest.raises(ScheduleError, match="no exported schedule; name another"):
        check_target(net)


@pytest.mark.parametrize("name", ["a.txt", "nowhere/a.py"])
def test_places_that_cannot_take_a_schedule(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScheduleError, match=name):
        check_target(tmp_path / name)


@pytest.mark.parametrize("name", ["a.py", "a.json"])
def test_a_schedule_as_it_was_exported_may_be_replaced(tmp_path: Path, name: str) -> None:
    schedule = small_schedule().with_unexecuted(())
    check_target(save_schedule(schedule, tmp_path / name))
    check_target(tmp_path / "new.json")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("a.py", "cores((0, 0, 7, 6), ", "cores((0, 0, 7, 5), "),
        ("a.py", "import ttnn\n", "import ttnn\n\n# tuned by hand\n"),
        ("a.py", "PROVENANCE = {", "PROVENANCE = {{"),
        ("a.json", '"act_block_h_override": 64', '"act_block_h_override": 32'),
    ],
)
def test_an_edited_schedule_is_replaced_by_force_alone(
    tmp_path: Path, name: str, old: str, new: str
) -> None:
    path = save_schedule(small_schedule().with_unexecuted(()), tmp_path / name)
    text = path.read_text()
    assert old in text, text
    path.write_text(text.replace(old, new))
    with pytest.raises(ScheduleError, match=rf"{name}: .* was edited .* --force"):
        check_target(path)
    check_target(path, force=True)


@pytest.mark.parametrize(
    ("named", "path", "expected"),
    [
        (None, None, "module"),
        (None, "a.json", "json"),
        (None, "a.py", "module"),
        ("tt-mlir", None, "tt-mlir"),
        ("tt-mlir", "a.txt", "tt-mlir"),
    ],
)
def test_the_format_is_that_of_the_ending(
    named: str | None, path: str | None, expected: str
) -> None:
    assert format_of(named, path) == expected


def test_formats_and_endings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ScheduleError, match="one of module, json, model, ttcnn, tt-mlir"):
        format_of("onnx", None)
    with pytest.raises(ScheduleError, match=r"tt-mlir is exported as .txt"):
        format_of("tt-mlir", "a.py")


def test_a_text_replaces_an_export_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    text = f"# {TEXT_MARK}: something\n"
    save_text(text, path)
    save_text(text, path)
    path.write_text(text + "more\n")
    with pytest.raises(ScheduleError, match="was edited"):
        save_text(text, path)
    save_text(text, path, force=True)
    assert path.read_text() == text
    path.write_text("mine\n")
    with pytest.raises(ScheduleError, match="no export of ours"):
        save_text(text, path, force=True)
