"""How services on one database tell whether another of them is alive, without a heartbeat.

Each holds a lock as long as it lives: on SQLite a file beside the database, locked by ``flock``, on
PostgreSQL an advisory lock of a connection that is kept open. The system, or the server, lets go of
it when the process ends, however it ends. Who gets the lock of another knows that it is gone.
"""

import hashlib
import os
import re
import secrets
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from sqlalchemy import Connection, text

from autosched.errors import ServiceError, StoreError
from autosched.files import private_directory, try_lock
from autosched.store.database import Store

_NAME = re.compile(r"[\w.-]{1,200}")
# A server notices after a minute and a half that the machine at the other end is gone.
_KEEPALIVE = (
    "tcp_keepalives_idle = 30",
    "tcp_keepalives_interval = 15",
    "tcp_keepalives_count = 4",
)


class Ownership:
    """The name of a service that runs, and the lock that shows it does.

    Attributes:
        name: Of this service alone; it begins with the machine's.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locked = ExitStack()
        self._connection: Connection | None = None
        self._turn = threading.Lock()
        self.name = f"{host_name()}.{os.getpid()}.{secrets.token_hex(6)}"
        self.descriptor: int | None = None
        """The lock's file, for child processes to hold it, too; None on a server."""

    def take(self) -> None:
        """Take the lock.

        Raises:
            ServiceError: if there can be no file for it.
            StoreError: if the database refuses.
        """
        if self._store.path is None:
            with self._turn:
                self._connect()
            return
        try:
            place = _lock_file(self._store.path, self.name)
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try_lock(descriptor)
        except OSError as error:
            raise ServiceError(
                f"{error.filename or 'a lock'}: cannot be written beside the database: "
                f"{error.strerror}. Change the permissions there"
            ) from None
        self.descriptor = descriptor
        self._locked.callback(os.close, descriptor)
        self._locked.callback(place.unlink, missing_ok=True)

    def keep(self) -> None:
        """Take the lock again where its connection was lost; what was taken over meanwhile is.

        Raises:
            StoreError: if the database cannot be reached.
        """
        if self._store.path is not None:
            return
        with self._turn:
            try:
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                    return
            except Exception:
                self._disconnect()
            self._connect()

    def is_gone(self, owner: str) -> bool:
        """Return whether the service of a name has ended.

        Raises:
            StoreError: if the database refuses.
        """
        if owner == self.name:
            return False
        if self._store.path is None:
            with self._store.connection("BEGIN") as connection:
                found = text("SELECT pg_try_advisory_xact_lock(:key)")
                return bool(connection.scalar(found, {"key": _key(owner)}))
        if _NAME.fullmatch(owner) is None:
            return True
        try:
            return _is_free(_lock_file(self._store.path, owner))
        except OSError:  # another user's, who alone can tell
            return False

    def close(self) -> None:
        """Let go of the lock; idempotent."""
        with self._turn:
            self._disconnect()
        self._locked.close()
        self.descriptor = None

    def _connect(self) -> None:
        connection = self._locked.enter_context(self._store.unbound())
        for line in _KEEPALIVE:
            connection.exec_driver_sql(f"SET {line}")
        if not connection.scalar(
            text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(self.name)}
        ):
            raise StoreError(f"{self._store.describe()}: the lock of {self.name} is taken")
        self._connection = connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.invalidate()
            self._connection = None


def host_name() -> str:
    """Return the machine's name, as far as a file may have it."""
    return re.sub(r"[^\w-]", "-", socket.gethostname(), flags=re.ASCII)[:100] or "localhost"


def beside_database(path: Path) -> Path:
    """Return the directory of services beside a SQLite file.

    Raises:
        OSError: if it cannot be made, or belongs to another user.
    """
    return private_directory(path.with_name(f"{path.name}.service"))


def _lock_file(database: Path, owner: str) -> Path:
    return beside_database(database) / f"{owner}.lock"


def _is_free(place: Path) -> bool:
    """Return whether nobody holds a lock's file, and remove it then."""
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        is_free = try_lock(descriptor)
        if is_free:
            place.unlink(missing_ok=True)
        return is_free
    finally:
        os.close(descriptor)


def _key(owner: str) -> int:
    """Return the number that a server knows the lock by: 63 bits of a digest."""
    return int.from_bytes(hashlib.sha256(f"autosched {owner}".encode()).digest()[:8], "big") >> 1
