"""Optuna's tables in our database, opened by one process at a time.

Optuna creates what is missing without a lock: of a dozen processes that meet an empty database most
fail. One that does not use autosched (optuna-dashboard) may still be creating, so it is retried.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from autosched.files import try_lock
from autosched.store.address import Address, parse_url

# Any number that other users of a PostgreSQL server are unlikely to lock.
_CREATION_LOCK = 0x6F707475
_ATTEMPTS = 5
_PAUSE_S = 0.05
_RACES = ("already exists", "duplicate", "UNIQUE constraint", "no such table", "does not exist")


@contextmanager
def opened_optuna(url: str, timeout_s: float) -> Iterator[RDBStorage]:
    """Open Optuna's tables, creating those that are missing; no other process of ours is inside.

    ``timeout_s`` is how long is waited for other processes; then it goes on without them.

    Raises:
        SQLAlchemyError, OptunaError, RuntimeError: whatever Optuna raises.
    """
    address = parse_url(url)
    with _alone(address, timeout_s):
        yield _opened(address, timeout_s)


def _opened(address: Address, timeout_s: float) -> RDBStorage:
    url = address.url.render_as_string(hide_password=False)
    # SQLite waits for other writers as long as our own connections do.
    options: dict[str, Any] = (
        {} if address.path is None else {"connect_args": {"timeout": timeout_s}}
    )
    left = _ATTEMPTS
    while True:
        left -= 1
        try:
            return RDBStorage(url, engine_kwargs=options)
        except (SQLAlchemyError, StorageInternalError) as error:
            if not left or not _is_race(error):
                raise
        time.sleep(_PAUSE_S * (_ATTEMPTS - left))


def _is_race(error: Exception) -> bool:
    """Tell what another process's creation does to ours from all else that may be wrong."""
    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
    if not isinstance(cause, IntegrityError | OperationalError | ProgrammingError):
        return False
    return any(sign in str(cause.orig) for sign in _RACES)


def _alone(address: Address, timeout_s: float) -> AbstractContextManager[None]:
    if address.path is None:
        return _server_locked(address, timeout_s)
    return _directory_locked(address.path.parent, timeout_s)


@contextmanager
def _server_locked(address: Address, timeout_s: float) -> Iterator[None]:
    engine = create_engine(address.url, poolclass=NullPool)
    try:
        with engine.connect() as connection, connection.begin():
            connection.execute(text(f"SET LOCAL lock_timeout = {round(timeout_s * 1000)}"))
            with suppress(OperationalError), connection.begin_nested():
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATION_LOCK}
                )
            yield
    finally:
        engine.dispose()


@contextmanager
def _directory_locked(directory: Path, timeout_s: float) -> Iterator[None]:
    """Lock the directory of a file: SQLite's own lock is Optuna's, and no other file is left there.

    The file itself must not be opened beside SQLite, whose locks would end when it is closed.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        _lock(handle, time.monotonic() + timeout_s)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, deadline: float) -> None:
    # A file system without locks raises another error: it goes on without.
    with suppress(OSError):
        while not try_lock(handle) and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
