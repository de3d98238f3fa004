"""A database URL, checked before anything is opened."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from autosched.errors import StoreError
from autosched.passwords import check_unambiguous, hide_passwords

_LONGEST_TIMEOUT_S = 86400.0
_EXAMPLES = "sqlite:////path/to/file.sqlite3 or postgresql://user@host/database"


@dataclass(frozen=True)
class Address:
    """A database that autosched can use: the normalised URL, and the file for SQLite."""

    url: URL
    path: Path | None

    def __str__(self) -> str:
        """Return the file, or the URL without its password."""
        return str(self.path or self.shown_url)

    @property
    def shown_url(self) -> str:
        """The URL as it may be printed: without its password, wherever that stands in it."""
        return shown(self.url)


def shown(url: URL) -> str:
    """Return a URL without its password."""
    return hide_passwords(url.render_as_string(hide_password=True))


def parse_url(text: str) -> Address:
    """Check a database URL.

    Raises:
        StoreError: if it is no URL, is ambiguous, has an unsupported scheme or option, names an
            in-memory database, or needs a driver that is not installed.
    """
    check_unambiguous(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError(_malformed(text)) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_address(url)
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return _postgresql_address(url)
    raise StoreError(
        f"{shown(url)}: databases of kind {url.drivername!r} are not supported; use {_EXAMPLES}"
    )


def file_url(path: Path | str) -> str:
    """Return the URL of a SQLite file; in a path, no character has a meaning of its own.

    Raises:
        StoreError: if the path is no text, so that no URL can have it.
    """
    try:
        return URL.create("sqlite", database=str(path)).render_as_string()
    except UnicodeEncodeError:
        raise StoreError(
            f"{str(path)!r}: the name of a database must be UTF-8; rename it"
        ) from None


def _malformed(text: str) -> str:
    if "://" in text or "@" in text:
        # The text may hold a password, so it is not repeated.
        return f"the database URL cannot be read; write it as {_EXAMPLES}"
    if not text.strip():
        return f"{text!r} is no database URL; write it as {_EXAMPLES}, or leave it out"
    return f"{text!r} is not a database URL; for a file write {file_url(text)}"


def _sqlite_address(url: URL) -> Address:
    name = url.database or ""
    if url.host:
        raise StoreError(
            f"{shown(url)}: a file needs three slashes, an absolute path four: sqlite:///{url.host}/{name}"
        )
    if name in ("", ":memory:") or name.startswith("file:"):
        raise StoreError(
            f"{shown(url)}: name a file, as in sqlite:///autosched.sqlite3; a database in memory "
            "would forget everything and cannot be shared with Optuna"
        )
    _check_options(url)
    path = Path(name).expanduser().absolute()
    return Address(url.set(drivername="sqlite", database=str(path)), path)


def _check_options(url: URL) -> None:
    """Refuse what SQLite's driver would refuse only when the file is opened."""
    for name, value in url.query.items():
        if name != "timeout":
            raise StoreError(
                f"sqlite:///{url.database}: a file takes the option timeout alone, not {name!r}; "
                "write a question mark of the file's name as %3F"
            )
        if not isinstance(value, str) or not _is_duration(value):
            raise StoreError(
                f"sqlite:///{url.database}: timeout is {value!r}; write seconds, as in ?timeout=30"
            )


def _is_duration(text: str) -> bool:
    try:
        return 0 <= float(text) <= _LONGEST_TIMEOUT_S
    except ValueError:
        return False


def _postgresql_address(url: URL) -> Address:
    if importlib.util.find_spec("psycopg") is None:
        raise StoreError(
            f"{shown(url)}: PostgreSQL needs the psycopg driver; run "
            "`pip install 'autosched[postgresql]'`"
        )
    return Address(url.set(drivername="postgresql+psycopg"), None)


PACKAGE = Path(__file__).resolve().parents[1]


def named_url(url: str | None) -> str | None:
    """Return the URL that the user named, in a call or in ``AUTOSCHED_STORAGE``, or None."""
    return os.environ.get("AUTOSCHED_STORAGE") or None if url is None else url


def default_url() -> str:
    """Return the URL of the SQLite file that is used where the user names no database.

    It lies in ``db/`` of a source checkout, otherwise in the user's data directory
    (``$XDG_DATA_HOME/autosched``, by default ``~/.local/share/autosched``).
    """
    return file_url((checkout_directory() or _user_directory()) / "autosched.sqlite3")


def checkout_directory() -> Path | None:
    """Return ``db/`` of the checkout that this package is part of, None of an installed one."""
    directory = PACKAGE.parent / "db"
    return directory if (directory / "env.py").is_file() else None


def _user_directory() -> Path:
    data_home = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The XDG specification has relative paths ignored.
    base = data_home if data_home.is_absolute() else Path.home() / ".local" / "share"
    return base / "autosched"
