"""Databases to test on: a SQLite file, and a private PostgreSQL server where one is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from autosched.store.database import Store, open_store

_NOBODY = 65534


def _server_directory() -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (versions[-1] if versions else None)
    return Path(found).resolve().parent if found else None


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a server of our own, on a free port of the loopback interface."""
    binaries = _server_directory()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries (Debian package postgresql)")
    # The server refuses to run as root.
    user = _NOBODY if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="autosched-pg-") as text, socket.socket() as probe:
        directory = Path(text)
        if user is not None:
            os.chown(directory, user, -1)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        data = directory / "data"
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} "
            "-c fsync=off -c shared_buffers=16MB"
        )
        log = directory / "log"

        def run(program: str, *arguments: str) -> None:
            command = [str(binaries / program), "-D", str(data), *arguments]
            subprocess.run(command, check=True, user=user, capture_output=True, cwd=directory)

        run("initdb", "-U", "autosched", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-w", "-l", str(log), "-o", options, "start")
        try:
            yield f"postgresql://autosched:secret@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


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
