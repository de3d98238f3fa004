from pathlib import Path

import pytest

from autosched.errors import ScheduleError
from autosched.export.saving import check_target


def test_a_network_file_is_never_overwritten(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text("model = 1\n")
    with pytest.raises(ScheduleError, match="no exported schedule; name another"):
        check_target(net)


@pytest.mark.parametrize("name", ["a.txt", "nowhere/a.py"])
def test_places_that_cannot_take_a_schedule(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScheduleError, match=name):
        check_target(tmp_path / name)


def test_an_older_schedule_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("PROVENANCE = {}\n")
    check_target(tmp_path / "a.py")
    check_target(tmp_path / "new.json")
