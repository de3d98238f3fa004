"""A service of this process, whose searches are real processes of small programs of the test's."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from autosched.service.app import create_app
from autosched.service.asking import AllowedNetworks
from autosched.service.bounds import BoundKeeper
from autosched.service.guard import Access
from autosched.service.ownership import host_name
from autosched.service.queue import Queue, Service
from autosched.service.submissions import Submission, add_submission, find_submission, now
from autosched.store.database import Store, open_store
from tests.examples.postgresql import NEEDED, running_server, server_directory

with warnings.catch_warnings():
    # Starlette's newest client wants a successor of httpx, older ones do not know it.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

EXECUTING = (sys.executable, "-c", "import sys, runpy; runpy.run_path(sys.argv[2])")
"""In place of autosched's command line: it executes the network file alone."""
DONE = 'print(\'{"stopped": "trials run", "trials": 0}\')\n'
PATIENCE_S = 60.0


def awaited(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return found


@dataclass
class Place:
    """Where a test's services work: a database, and a directory of programs that they run."""

    url: str
    nets: Path
    directory: Path

    def program(self, name: str, text: str) -> Path:
        path = self.nets / f"{name}.py"
        path.write_text(text)
        return path

    def queue(self, store: Store, *boards: str, **options: Any) -> Queue:
        networks = AllowedNetworks.below([str(self.nets)])
        command = options.pop("command", EXECUTING)
        options.setdefault("grace_s", 20.0)
        return Queue(store, networks, self.directory, boards or ("n150",), command, **options)

    def submitted(
        self, store: Store, name: str, text: str = DONE, board: str = "n150", **options: Any
    ) -> int:
        path = self.program(name, text)
        new = Submission(str(path), board, "", options, host_name(), now())
        return add_submission(store, new, name).id


def state_of(store: Store, number: int) -> str:
    found = find_submission(store, number)
    assert found is not None
    return str(found.status)


def ended(store: Store, number: int) -> Submission:
    """Wait for a submission to end."""

    def looked() -> Submission | None:
        found = find_submission(store, number)
        return found if found is not None and found.has_ended else None

    found = awaited(looked)
    assert isinstance(found, Submission)
    return found


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    binaries = server_directory()
    if binaries is None:
        pytest.skip(f"needs {NEEDED}")
    with running_server(binaries) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgresql_server


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "nets").mkdir()
    (tmp_path / "service").mkdir(mode=0o700)
    url = f"sqlite:///{tmp_path}/store.sqlite3"
    return Place(url, tmp_path / "nets", tmp_path / "service")


@pytest.fixture(params=["sqlite", "postgresql"])
def either_place(request: pytest.FixtureRequest, place: Place) -> Place:
    """The same on each kind of database in turn."""
    if request.param == "postgresql":
        place.url = str(request.getfixturevalue("postgresql_url"))
    return place


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place.url) as opened:
        yield opened


def service_in(place: Place, store: Store, access: Access, *boards: str, **more: Any) -> Service:
    uploads = more.pop("uploads", None)
    networks = AllowedNetworks.below([str(place.nets)], uploads)
    queue = place.queue(store, *boards, **more)
    return Service(store, networks, queue, BoundKeeper(store.url), access, "0")


HERE = "http://127.0.0.1"


@pytest.fixture
def service(place: Place, store: Store) -> Service:
    return service_in(place, store, Access())


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """Asks a service whose queue runs."""
    app = create_app(service, say=lambda _: None, complain=pytest.fail)
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def idle(service: Service) -> TestClient:
    """Asks a service whose queue was never started: what is submitted waits."""
    app = create_app(service, say=lambda _: None, complain=pytest.fail)
    return TestClient(app, base_url=HERE, raise_server_exceptions=False)
