import os
from pathlib import Path

import pytest

from autosched import files
from autosched.files import (
    ForeignFileError,
    check_name,
    is_private,
    link,
    private_directory,
    replace_file,
    share_lock,
    try_lock,
    write_private,
)

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
SOMEBODY = 65534


def test_a_new_directory_is_ours_alone(tmp_path: Path) -> None:
    path = private_directory(tmp_path / "parent" / "ours")
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert private_directory(tmp_path).stat().st_mode & 0o777 == 0o755


@ROOT_ONLY
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, SOMEBODY, SOMEBODY)
    pointing = tmp_path / "pointing"
    pointing.symlink_to(theirs)
    for path in (theirs, pointing):
        with pytest.raises(ForeignFileError) as caught:
            private_directory(path)
        assert f"uid {SOMEBODY}" in caught.value.strerror


def test_a_file_that_others_could_have_written_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"ours")
    before = path.stat().st_ino
    write_private(path, b"ours")
    assert path.stat().st_ino == before
    path.chmod(0o666)
    assert not is_private(path)
    write_private(path, b"ours")
    assert is_private(path)
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_bytes(b"ours")
    path.symlink_to(victim)
    assert not is_private(path)
    write_private(path, b"new")
    assert victim.read_bytes() == b"ours"
    assert is_private(path)


def test_a_link_is_made_once(tmp_path: Path) -> None:
    place = tmp_path / "sub" / "link"
    for target in (tmp_path, tmp_path, Path("/")):
        link(place, target)
        assert place.readlink() == target
    assert [item.name for item in place.parent.iterdir()] == ["link"]


def test_what_cannot_be_put_in_place_leaves_no_draft(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(IsADirectoryError):
        write_private(place, b"new")
    with pytest.raises(IsADirectoryError):
        link(place, tmp_path)
    assert list(tmp_path.iterdir()) == [place]


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

    monkeypatch.setattr(files.os, "fsync", full_disk)
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


def test_one_has_it_or_several_share_it(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.touch()
    one, two, three = (os.open(file, os.O_RDWR) for _ in range(3))
    assert try_lock(one)
    assert not try_lock(two)
    share_lock(one)
    share_lock(two)
    assert not try_lock(three)
    for descriptor in (one, two):
        os.close(descriptor)
    assert try_lock(three)
    os.close(three)
