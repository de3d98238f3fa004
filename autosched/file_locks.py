"""Locks of open files, which end with the process at the latest."""

import fcntl


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
