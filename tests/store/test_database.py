import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from autosched.errors import StoreError
from autosched.store import studies, trials
from autosched.store.address import file_url
from autosched.store.database import Store, open_store, write_ahead
from autosched.store.merging import open_other
from tests.examples import records as examples

_NOBODY = 65534


def test_a_store_opens_again_with_what_it_held(url: str) -> None:
    with open_store(url) as store:
        studies.add_study(store, examples.study())
    with open_store(url) as store:
        assert studies.get_study(store, "resnet").batch == 16


def test_an_exception_undoes_the_transaction(store: Store) -> None:
    with contextlib.suppress(RuntimeError), store.writing() as session:
        session.execute(text("DROP TABLE autosched_calibration"))
        raise RuntimeError
    with store.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM autosched_calibration")) == 0


def test_sqlite_is_described_by_its_file(sqlite_url: str, sqlite_path: Path) -> None:
    with open_store(sqlite_url) as store:
        assert store.describe() == str(sqlite_path)
        assert store.url == sqlite_url


def test_postgresql_is_described_without_its_password(postgresql_url: str) -> None:
    with open_store(postgresql_url) as store:
        assert "secret" in store.url
        assert "secret" not in store.describe()
        assert store.url.startswith("postgresql+psycopg://")


def test_sqlite_writes_ahead_and_waits_for_others(sqlite_url: str) -> None:
    with open_store(sqlite_url) as store, store.reading() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 1
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        assert session.scalar(text("PRAGMA busy_timeout")) == 30_000


def test_the_database_of_the_environment_counts_in_python(
    sqlite_url: str, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_STORAGE", sqlite_url)
    with open_store() as store:
        assert store.describe() == str(sqlite_path)


class BusyConnection:
    """As SQLite answers while others switch the same database."""

    def __init__(self, times: int, words: str = "database is locked") -> None:
        self.left, self.words = times, words

    def exec_driver_sql(self, statement: str) -> None:
        if self.left:
            self.left -= 1
            raise OperationalError(statement, None, sqlite3.OperationalError(self.words))


def test_several_may_switch_to_writing_ahead_at_once() -> None:
    busy = BusyConnection(3)
    write_ahead(busy, 30.0)
    assert busy.left == 0
    with pytest.raises(OperationalError, match="database is locked"):
        write_ahead(BusyConnection(10**9), 0.1)
    broken = BusyConnection(2, "disk I/O error")
    with pytest.raises(OperationalError, match="disk I/O error"):
        write_ahead(broken, 30.0)
    assert broken.left == 1


def test_importing_the_package_is_light() -> None:
    script = "import sys, autosched.store; print('sqlalchemy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_current_database_opens_without_alembic(sqlite_url: str) -> None:
    open_store(sqlite_url).close()
    script = (
        "import sys\nfrom autosched.store.database import open_store\n"
        f"open_store({sqlite_url!r}).close()\nprint('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_file_that_is_no_database_is_left_alone(sqlite_url: str, sqlite_path: Path) -> None:
    sqlite_path.write_text("name,latency\n" * 100)
    with pytest.raises(StoreError, match=r"store\.sqlite3 is not a SQLite database"):
        open_store(sqlite_url)
    assert sqlite_path.read_text() == "name,latency\n" * 100


def test_another_programs_database_is_left_alone(sqlite_url: str, sqlite_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.execute("CREATE TABLE places (url TEXT)")
    before = sqlite_path.read_bytes()
    with pytest.raises(StoreError, match=r"another program's database .* tables places"):
        open_store(sqlite_url)
    assert sqlite_path.read_bytes() == before


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no directory .*/typo\."):
        open_store(f"sqlite:///{tmp_path}/typo/a.sqlite3")


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_lock_that_is_held_names_its_holder(sqlite_url: str, sqlite_path: Path) -> None:
    with open_store(sqlite_url, lock_timeout_s=0.1) as store:
        study = studies.add_study(store, examples.study())
        holder = textwrap.dedent(f"""
            import sqlite3
            connection = sqlite3.connect({str(sqlite_path)!r}, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            print("held", flush=True)
            input()
        """)
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", holder]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            with pytest.raises(StoreError, match=r"locked.* 0\.1 s") as caught:
                trials.add_trial(store, study, examples.trial())
            assert studies.get_study(store, "resnet") == study
            process.communicate("")
        assert f"process {process.pid} (" in str(caught.value)
        assert trials.add_trial(store, study, examples.trial()).number == 0


def test_a_postgresql_lock_that_is_held_times_out(postgresql_url: str) -> None:
    with open_store(postgresql_url, lock_timeout_s=0.1) as store:
        study = studies.add_study(store, examples.study())
        with psycopg.connect(postgresql_url) as holder:
            holder.execute("SELECT * FROM autosched_study FOR UPDATE")
            with pytest.raises(StoreError, match=r"is locked: .* 0\.1 s"):
                trials.add_trial(store, study, examples.trial())


def test_a_full_disk_keeps_what_is_there(sqlite_url: str) -> None:
    with open_store(sqlite_url) as store:
        study = studies.add_study(store, examples.study())
        trials.add_trial(store, study, examples.trial())
        with store.reading() as session:
            # The pool hands out this connection again.
            session.execute(text("PRAGMA max_page_count = 1"))
        larger = replace(examples.trial(), schedule=examples.schedule(5000))
        with pytest.raises(StoreError, match="disk is full"):
            trials.add_trial(store, study, larger)
    with open_store(sqlite_url) as store:
        assert [trial.number for trial in trials.list_trials(store, study)] == [0]
        assert trials.add_trial(store, study, larger).number == 1


@contextmanager
def unprivileged() -> Iterator[None]:
    """Give up root's right to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that users other than the one who runs the tests can reach."""
    directory = Path(tempfile.mkdtemp(prefix="autosched-"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def test_a_read_only_directory_is_named(public_directory: Path) -> None:
    public_directory.chmod(0o555)
    with unprivileged(), pytest.raises(StoreError, match=r"a\.sqlite3 cannot be opened: .*read-on"):
        open_store(f"sqlite:///{public_directory}/a.sqlite3")


def test_a_read_only_file_is_named(public_directory: Path) -> None:
    url = f"sqlite:///{public_directory}/a.sqlite3"
    with open_store(url) as store:
        study = studies.add_study(store, examples.study())
    (public_directory / "a.sqlite3").chmod(0o444)
    public_directory.chmod(0o777)
    with unprivileged(), open_store(url) as store:
        assert studies.get_study(store, "resnet") == study
        with pytest.raises(StoreError, match=r"a\.sqlite3 cannot be written: .*permissions"):
            store.check_writable()
        with pytest.raises(StoreError, match=r"a\.sqlite3 cannot be written: .*permissions"):
            trials.add_trial(store, study, examples.trial())


def test_a_database_in_a_read_only_directory_is_read(public_directory: Path) -> None:
    path = public_directory / "a ?%41#.sqlite3"
    with open_store(file_url(path)) as store:
        study = studies.add_study(store, examples.study())
    public_directory.chmod(0o555)
    path.chmod(0o644)
    with unprivileged():
        with open_store(file_url(path)) as store:
            assert studies.get_study(store, "resnet") == study
            with pytest.raises(StoreError, match=r"sqlite3 cannot be written: .*permissions"):
                store.check_writable()
        with open_other(str(path)) as store:
            assert studies.get_study(store, "resnet") == study
    assert os.listdir(public_directory) == [path.name]


@pytest.mark.parametrize("has_index", [False, True])
def test_what_is_not_in_the_file_itself_yet_is_told(
    public_directory: Path, tmp_path: Path, has_index: bool
) -> None:
    """Read without its log, the file would lack its newest rows without a word."""
    path = public_directory / "a.sqlite3"
    with open_store(file_url(tmp_path / path.name)) as store:
        studies.add_study(store, examples.study())
        for suffix in ("", "-wal", "-shm"):
            name = path.name + suffix
            shutil.copyfile(tmp_path / name, public_directory / name)
    index = public_directory / "a.sqlite3-shm"
    if has_index:
        index.chmod(0)
    else:
        index.unlink()
    public_directory.chmod(0o555)
    with unprivileged(), pytest.raises(StoreError, match=r"a\.sqlite3-wal still\. Copy both"):
        open_store(file_url(path))


def test_a_database_that_its_owner_has_open_is_read_by_others(public_directory: Path) -> None:
    path = public_directory / "a.sqlite3"
    with open_store(file_url(path)) as owner:
        study = studies.add_study(owner, examples.study())
        for file in public_directory.iterdir():
            file.chmod(0o644)
        public_directory.chmod(0o555)
        script = (
            "import os, sys; from autosched.store.database import open_store; "
            "from autosched.store.studies import get_study; "
            "os.geteuid() or os.seteuid(65534); store = open_store(sys.argv[1]); "
            "print(get_study(store, 'resnet').id)"
        )
        # Of another process: within one, SQLite shares the index of the log.
        done = subprocess.run(
            [sys.executable, "-c", script, file_url(path)],
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.stdout == f"{study.id}\n", done.stderr


def test_a_server_that_is_not_there_is_explained() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"postgresql://me:secret@127.0.0.1:{probe.getsockname()[1]}/trials"
        with pytest.raises(StoreError, match=r"cannot be reached: .*refused") as caught:
            open_store(url)
    assert "secret" not in str(caught.value)


def test_a_database_the_server_does_not_have_is_explained(postgresql_url: str) -> None:
    with pytest.raises(StoreError, match=r'cannot be reached: .*database "none" does not exist'):
        open_store(postgresql_url.replace("/postgres", "/none"))


_WRITER = """
import sys
from autosched.store import studies, trials
from autosched.store.database import open_store
from tests.examples import records as examples
store = open_store(sys.argv[1])
study = studies.get_study(store, "resnet")
while True:
    print(trials.add_trial(store, study, examples.trial()).number, flush=True)
"""


def test_a_killed_writer_loses_no_finished_trial(url: str) -> None:
    with open_store(url) as store:
        study = studies.add_study(store, examples.study())
    command = [sys.executable, "-c", _WRITER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        rest = process.stdout.read().splitlines()
    reported = 20 + len([line for line in rest if line])
    with open_store(url) as store:
        kept = trials.list_trials(store, study, with_ops=True)
        # The one in flight may have been kept just before its number was printed.
        assert len(kept) in (reported, reported + 1)
        assert [trial.number for trial in kept] == list(range(len(kept)))
        assert all(trial.ops == examples.trial().ops for trial in kept)
        assert trials.add_trial(store, study, examples.trial()).number == len(kept)
