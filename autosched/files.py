"""Files: written whole or not at all, kept from other users, locked.

What is executed or trusted later is *private*: nobody else may have written it, or can. A cache may
be shared: what lies there under our names is used only if it is this user's (or root's) and no
other user can write it. What cannot be known to be ours is written again. A lock ends with its
process at the latest.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_name(target: Path) -> None:
    """Refuse a name that no file can have, before the work whose result is to be written there.

    Raises:
        OSError: if it is too long, or leads through what is no directory.
    """
    with contextlib.suppress(FileNotFoundError):
        target.lstat()


def replace_file(target: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write a file, in place of an existing one only when the new one is complete.

    A text is written as UTF-8. Who may do what with it is ``mode``, as far as the umask lets.

    Raises:
        OSError: if it cannot be written; whatever was there is there still, and nothing else.
    """
    # Cut, so that the longest name that a file can have is none too long for its draft.
    draft = target.parent / f".{target.name[:32]}.{secrets.token_hex(8)}"
    # Unlike tempfile's, an ordinary file that everybody may read whom the umask lets.
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


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


def try_lock(descriptor: int) -> bool:
    """Lock an open file for ourselves, without waiting; return whether nobody else has it.

    Raises:
        OSError: if the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def share_lock(descriptor: int) -> None:
    """Lock an open file together with others who share it; wait for one who has it alone.

    Raises:
        OSError: if the file system has no locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_SH)
