import stat
from pathlib import Path

import pytest

from autosched.errors import ScheduleError
from autosched.export import saving
from autosched.export.config_module import render_schedule
from autosched.export.saving import save_schedule
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

    monkeypatch.setattr(saving.os, "fsync", full_disk)
    with pytest.raises(ScheduleError, match="No space left on device"):
        save_schedule(small_schedule(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
