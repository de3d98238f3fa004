"""Files that are written whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path


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
