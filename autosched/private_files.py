"""Files that are executed or trusted later: nobody else may have written them, or can.

A cache may be shared: what lies there under our names is used only if it is this user's (or root's)
and no other user can write it. What cannot be known to be ours is written again.
"""

import hashlib
import os
import secrets
import stat
from pathlib import Path

from autosched.whole_files import replace_file

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ForeignFileError(OSError):
    """A directory that another user owns, whatever is in it."""


def private_directory(path: Path) -> Path:
    """Make a directory that no other user can write into, and return it.

    One of ours that others could write into is closed to them. Its parents are as they are: who
    can write there can only put another directory in place of it, which is then not ours.

    Raises:
        ForeignFileError: if there is one that belongs to another user, or that others can write
            into and we cannot close.
        OSError: if it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    for place in (path, path.resolve()):
        owner = place.lstat().st_uid
        if owner not in (os.geteuid(), 0):
            raise ForeignFileError(
                None, f"it belongs to another user (uid {owner}), who could put programs there"
            )
    found = path.stat()
    if found.st_mode & _OTHERS_WRITE:
        if found.st_uid != os.geteuid():
            raise ForeignFileError(None, "other users can put programs there")
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS_WRITE)
    return path


def write_private(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file whole or not at all, unless it is there already, ours, and the same.

    Raises:
        OSError: if it cannot be written.
    """
    if is_private(path) and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content, mode)


def is_private(path: Path) -> bool:
    """Return whether a file of this user's (or root's) is there that nobody else can write."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    is_ours = found.st_uid in (os.geteuid(), 0)
    return stat.S_ISREG(found.st_mode) and is_ours and not found.st_mode & _OTHERS_WRITE


def link(place: Path, target: Path) -> None:
    """Have ``place`` be a symbolic link to ``target``, in place of whatever other link is there.

    Raises:
        OSError: if it cannot be made.
    """
    if place.is_symlink() and Path(os.readlink(place)) == target:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{secrets.token_hex(8)}")
    try:
        draft.symlink_to(target)
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
