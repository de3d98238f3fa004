from pathlib import Path

import pytest

from autosched import whole_files
from autosched.whole_files import check_name, replace_file


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    for text in ("old\n", "new µs\n"):
        replace_file(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["old", None])
def test_a_failure_leaves_what_was_there_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    path = tmp_path / "page.md"
    if before is not None:
        path.write_text(before)

    def full_disk(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        replace_file(path, "new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if before is None else ["old"])


def test_the_longest_name_that_a_file_can_have_will_do(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    check_name(path)
    replace_file(path, "text")
    assert path.read_text() == "text"
    with pytest.raises(OSError, match="File name too long"):
        check_name(tmp_path / ("n" * 256))
