"""Databases to test on: a SQLite file, and a private PostgreSQL server where one is installed."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from autosched.store.database import Store, open_store
from tests.examples.postgresql import NEEDED, running_server, server_directory


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a server of our own, on a free port of the loopback interface."""
    binaries = server_directory()
    if binaries is None:
        pytest.skip(f"needs {NEEDED}")
    with running_server(binaries) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """URL of an empty PostgreSQL database."""
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgresql_server


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
def sqlite_url(sqlite_path: Path) -> str:
    return f"sqlite:///{sqlite_path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """URL of an empty database, of each kind in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """An open store in a file, for what is about files."""
    with open_store(sqlite_url) as opened:
        yield opened
