import os
from pathlib import Path

from autosched.file_locks import share_lock, try_lock


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
