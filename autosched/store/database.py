"""Opening the database, and transactions on it.

A transaction that has ended survives the death of the process. On SQLite with
``synchronous=NORMAL`` in write-ahead-log mode a power failure may undo the last ones, but never
damages the file.
"""

import functools
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Executable, create_engine, delete, event, false
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from autosched.errors import StoreError
from autosched.store import database_errors as failures
from autosched.store import models as schema
from autosched.store.address import Address, default_url, named_url, parse_url
from autosched.store.models import Base

LOCK_TIMEOUT_S = 30.0
"""How long a write waits for another process's."""
_CONNECT_TIMEOUT_S = 5
_PAUSE_S = 0.02
_EFFECTIVE = os.access in os.supports_effective_ids
_BEGIN = "autosched_begin"
PLACE = "place"
"""What a session's ``info`` has the database under, as it may be printed."""


class Store:
    """An open database. Threads may share it; a child process opens its own.

    Read and write through the functions of ``probes``, ``studies``, ``trials`` and
    ``calibrations``.

    Attributes:
        url: The database URL, password included, as Optuna's ``RDBStorage`` takes it.
        backup: The copy of a SQLite file that was upgraded when it was opened, None if it was not.
    """

    def __init__(self, address: Address, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._address = address
        self.lock_timeout_s = lock_timeout_s
        self._engine = _create_engine(address, lock_timeout_s)
        self.url = address.url.render_as_string(hide_password=False)
        self.backup: Path | None = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database."""
        return self._address.path

    def describe(self) -> str:
        """Return the file, or the URL without its password."""
        return str(self._address)

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self._address.shown_url

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Begin a transaction that writes nothing.

        Raises:
            StoreError: for everything the database refuses, here and within the block.
        """
        with self.connection("BEGIN") as connection, self._session(connection) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Begin a transaction that is kept when the block ends, and undone when it raises.

        On SQLite it is the only writer from its first statement on.

        Raises:
            StoreError: for everything the database refuses, here and within the block.
        """
        with (
            self.connection("BEGIN IMMEDIATE") as connection,
            self._session(connection, expire_on_commit=False) as session,
        ):
            yield session
            session.flush()

    def _session(self, connection: Connection, *, expire_on_commit: bool = True) -> Session:
        info = {PLACE: self.describe()}
        return Session(connection, expire_on_commit=expire_on_commit, info=info)

    def check_writable(self) -> None:
        """Make sure that the database takes what will be written, before there is anything.

        Raises:
            StoreError: if it is locked for longer than the timeout, or read-only.
        """
        with self.writing() as session:
            # Beginning a transaction is not enough: SQLite begins one on a read-only file, too.
            session.execute(delete(Base.metadata.tables["autosched_study"]).where(false()))

    @contextmanager
    def connection(self, begin: str) -> Iterator[Connection]:
        """Begin a transaction with SQLite's statement ``begin`` ("" for none).

        Raises:
            StoreError: for everything the database refuses, here and within the block.
        """
        try:
            with self._connect() as raw:
                connection = raw.execution_options(**{_BEGIN: begin})
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise failures.explain_database_error(
                error, self.describe(), self._address.path, self.lock_timeout_s
            ) from error

    @contextmanager
    def unbound(self) -> Iterator[Connection]:
        """Open a connection on which each statement stands alone, as what is no transaction asks.

        Raises:
            StoreError: for everything the database refuses, here and within the block.
        """
        try:
            with self._connect() as raw:
                alone = {_BEGIN: ""} if self.path is not None else {}
                level = {} if self.path is not None else {"isolation_level": "AUTOCOMMIT"}
                yield raw.execution_options(**alone, **level)
        except SQLAlchemyError as error:
            raise failures.explain_database_error(
                error, self.describe(), self._address.path, self.lock_timeout_s
            ) from error

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except OperationalError as error:
            if self._address.path is not None:
                raise
            raise failures.unreachable(error, self.describe()) from error


def open_store(url: str | None = None, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Store:
    """Open a database, creating or upgrading its tables where needed.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user@host/database``; None for that of
            ``AUTOSCHED_STORAGE``, or :func:`~autosched.store.address.default_url`.
        lock_timeout_s: How long a write waits for another process's.

    Raises:
        StoreError: if the database cannot be used; the message says why and what to do.
    """
    named = named_url(url)
    address = parse_url(default_url() if named is None else named)
    if address.path is not None:
        _prepare_directory(address, create=named is None)
        _check_complete(address, lock_timeout_s)
    store = Store(address, lock_timeout_s)
    try:
        _prepare(store)
    except BaseException:
        store.close()
        raise
    return store


def insert_missing(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of a table, leaving out those that would break a unique constraint."""
    connection = session.connection()
    connection.execute(_insertion(connection.dialect.name, table), rows)


def insert_or_replace(
    session: Session,
    table: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: tuple[str, ...],
    unless_equal: str,
) -> None:
    """Insert rows of a table; one whose ``key`` is taken replaces the row that has it.

    A row there whose column ``unless_equal`` is the same stays as it is.
    """
    connection = session.connection()
    connection.execute(_replacement(connection.dialect.name, table, key, unless_equal), rows)


@functools.cache
def _insertion(dialect: str, table: type[Base]) -> Executable:
    """Return the statement; building it anew takes a third of the time of storing one row."""
    return _insert(dialect, table).on_conflict_do_nothing()


@functools.cache
def _replacement(
    dialect: str, table: type[Base], key: tuple[str, ...], unless_equal: str
) -> Executable:
    statement = _insert(dialect, table)
    columns = [column.name for column in table.__table__.columns]
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={name: statement.excluded[name] for name in columns if name not in ("id", *key)},
        where=table.__table__.columns[unless_equal] != statement.excluded[unless_equal],
    )


def _insert(dialect: str, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _prepare_directory(address: Address, create: bool) -> None:
    assert address.path is not None  # noqa: S101 - the caller asked for a file
    directory = address.path.parent
    if create:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{directory}, the place of the default database, cannot be created "
                f"({error.strerror}). Name another database"
            ) from error
    if not directory.is_dir():
        raise StoreError(
            f"{address}: there is no directory {directory}. Create it, or name another database"
        )


def _prepare(store: Store) -> None:
    with store.connection("BEGIN") as connection:
        found = schema.current_revision(connection)
        schema.refuse_foreign(connection, store.describe())
        is_sqlite = connection.dialect.name == "sqlite"
    if found == schema.HEAD:
        return
    schema.refuse_newer(found, store.describe())
    if found is not None and store.path is not None:
        store.backup = _kept_before(store.path, found)
    if is_sqlite:
        with store.connection("") as connection:
            write_ahead(connection, store.lock_timeout_s)
    with store.connection("BEGIN IMMEDIATE") as connection:
        schema.upgrade(connection, store.describe())


def _kept_before(path: Path, revision: str) -> Path:
    """Copy a database that is about to be upgraded, to a file that says from which schema.

    Raises:
        StoreError: if it cannot be copied; nothing is changed then.
    """
    target = path.with_name(f"{path.name}.{date.today()}.schema-{revision}")
    try:
        # What another process that upgrades it, too, has copied is of before its upgrade.
        copy_database(path, target, replaces=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{path} has the schema of an earlier version, and cannot be copied to {target.name} "
            f"before it is upgraded ({error}); nothing was changed. Make room beside it, or take "
            "it to where there is some"
        ) from None
    return target


def copy_database(path: Path, target: Path, *, replaces: bool = True) -> None:
    """Copy a SQLite database, whole or not at all, while others use it.

    A file that is there stays, if the copy does not replace it.

    Raises:
        OSError, sqlite3.Error: if it cannot be read, or the copy not be written.
    """
    draft = target.with_name(f".{target.name[:32]}.{secrets.token_hex(8)}")
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(draft)) as copy,
        ):
            source.backup(copy)
            # One file is easier to keep than a database with its log.
            copy.execute("PRAGMA journal_mode=DELETE")
        if replaces:
            os.replace(draft, target)
        else:
            _name_unless_taken(draft, target)
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            _beside(draft, ending).unlink(missing_ok=True)


def _name_unless_taken(draft: Path, target: Path) -> None:
    try:
        os.link(draft, target)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not target.exists():
            os.replace(draft, target)


def write_ahead(connection: Connection, timeout_s: float) -> None:
    """Have SQLite write ahead, which is kept in the file: Optuna's connections do so, too.

    Where several processes ask for it at once SQLite lets all but one fail, and at once: it does
    not wait as it does for a lock.

    Raises:
        OperationalError: if it still fails when the time is up.
    """
    deadline = time.monotonic() + timeout_s
    while not _writes_ahead(connection, may_fail=time.monotonic() < deadline):
        time.sleep(_PAUSE_S)


def _writes_ahead(connection: Connection, *, may_fail: bool) -> bool:
    try:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    except OperationalError as error:
        if may_fail and "locked" in str(error.orig):
            return False
        raise
    return True


def _create_engine(address: Address, lock_timeout_s: float) -> Engine:
    if address.path is None:
        engine = create_engine(
            address.url, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S}, pool_pre_ping=True
        )
        _configure_postgresql(engine, lock_timeout_s)
    elif _is_read_only(address.path):
        engine = create_engine(
            address.url, creator=functools.partial(_open_read_only, address.path, lock_timeout_s)
        )
        _configure_sqlite(engine)
    else:
        engine = create_engine(address.url, connect_args={"timeout": lock_timeout_s})
        _configure_sqlite(engine)
    return engine


def _is_read_only(path: Path) -> bool:
    """Whether a file is there beside which SQLite cannot have the files that it locks with."""
    return path.is_file() and not os.access(path.parent, os.W_OK, effective_ids=_EFFECTIVE)


def _open_read_only(path: Path, timeout_s: float) -> sqlite3.Connection:
    """Open a file without any new file beside it; what another user writes is seen."""
    options = "mode=ro" if _is_in_use(path) else "mode=ro&immutable=1"
    return sqlite3.connect(
        f"file:{quote(str(path))}?{options}", uri=True, check_same_thread=False, timeout=timeout_s
    )


def _is_in_use(path: Path) -> bool:
    """Whether the files are there that SQLite needs beside one that another user has open."""
    return all(_beside(path, suffix).is_file() for suffix in ("-wal", "-shm"))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _check_complete(address: Address, lock_timeout_s: float) -> None:
    """Refuse a read-only file whose newest rows are in the file beside it, and cannot be read.

    Raises:
        StoreError: with the way out.
    """
    if address.path is None or not _is_read_only(address.path):
        return
    log = _beside(address.path, "-wal")
    if _is_in_use(address.path):
        is_complete = _can_read(address.path, lock_timeout_s)
    else:
        is_complete = not (log.is_file() and log.stat().st_size)
    if not is_complete:
        raise StoreError(
            f"{address} is in a read-only directory, and its newest changes are in {log.name} "
            "still. Copy both files to a directory that you may write, and name the copy"
        )


def _can_read(path: Path, timeout_s: float) -> bool:
    try:
        with closing(_open_read_only(path, timeout_s)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return True


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        # The driver would begin transactions late and commit before CREATE TABLE.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if statement := connection.get_execution_options().get(_BEGIN, "BEGIN"):
            connection.exec_driver_sql(statement)


def _configure_postgresql(engine: Engine, lock_timeout_s: float) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.execute(f"SET lock_timeout = {round(lock_timeout_s * 1000)}")
        connection.commit()


def open_writable(url: str | None) -> Store:
    """Open the database and make sure that it takes what the search will find.

    Raises:
        StoreError: if it cannot be opened, or not be written.
    """
    store = open_store(url)
    try:
        store.check_writable()
    except BaseException:
        store.close()
        raise
    return store
