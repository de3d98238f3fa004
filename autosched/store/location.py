"""Where the database is, and where its migrations are."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def migrations_directory() -> Path:
    """Return the Alembic environment: beside the package in a wheel, ``db/`` in a checkout."""
    return _checkout_directory() or _PACKAGE / "_db"


def default_url() -> str:
    """Return the URL of the SQLite file that is used where the user names no database.

    It lies in ``db/`` of a source checkout, otherwise in the user's data directory
    (``$XDG_DATA_HOME/autosched``, by default ``~/.local/share/autosched``).
    """
    return f"sqlite:///{(_checkout_directory() or _user_directory()) / 'autosched.sqlite3'}"


def _checkout_directory() -> Path | None:
    directory = _PACKAGE.parent / "db"
    return directory if (directory / "env.py").is_file() else None


def _user_directory() -> Path:
    data_home = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The XDG specification has relative paths ignored.
    base = data_home if data_home.is_absolute() else Path.home() / ".local" / "share"
    return base / "autosched"
