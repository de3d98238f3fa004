import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import autosched
from autosched.errors import StoreError
from autosched.store import address as location
from autosched.store.address import file_url, named_url, parse_url
from autosched.store.database import open_store
from autosched.store.models import migrations_directory
from autosched.store.optuna_mirror import OptunaMirror


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_spelled_in_three_ways(scheme: str) -> None:
    address = parse_url(f"{scheme}://me:secret@host/trials")
    assert address.url.render_as_string(False) == "postgresql+psycopg://me:secret@host/trials"
    assert address.path is None


def test_a_printed_address_hides_the_password() -> None:
    assert "secret" not in str(parse_url("postgresql://me:secret@host/trials"))


def test_nor_does_it_show_one_among_the_options() -> None:
    address = parse_url("postgresql://me@host/trials?password=secret&sslmode=require")
    assert str(address) == "postgresql+psycopg://me@host/trials?password=***&sslmode=require"
    assert "secret" in address.url.render_as_string(hide_password=False)


def test_a_relative_file_keeps_its_place_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = parse_url("sqlite:///a.sqlite3")
    assert address.path == tmp_path / "a.sqlite3"
    assert str(address) == str(tmp_path / "a.sqlite3")
    assert address.url.database == str(tmp_path / "a.sqlite3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("results.sqlite3", "for a file write sqlite:///results.sqlite3"),
        ("postgresql://me:secret@host:port/x", "cannot be read"),
        ("postgresql:/me:secret@host/x", "cannot be read"),
        ("postgresql://me:p@secret@host/x", "ambiguous.*p%40ss"),
        ("mysql://me@host/x?password=secret", "'mysql' are not supported"),
        ("mysql://me:secret@host/x", "'mysql' are not supported"),
        ("postgresql+psycopg2://me@host/x", r"'postgresql\+psycopg2' are not supported"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite://results.sqlite3", "needs three slashes"),
        ("sqlite:///f.sqlite3?timeout=abc", r"timeout is 'abc'; write seconds"),
        ("sqlite:///f.sqlite3?timeout=nan", "write seconds"),
        ("sqlite:///f.sqlite3?timeout=1&timeout=2", "write seconds"),
        ("sqlite:///f.sqlite3?mode=ro", "takes the option timeout alone"),
    ],
)
def test_a_bad_url_is_explained(text: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(StoreError, match=r"pip install 'autosched\[postgresql\]'"):
        parse_url("postgresql://me@host/trials")


@pytest.mark.parametrize("name", ["a%41.x", "a?mode=ro", "a#b", "a b+c", "käse:@", "{a}", "%"])
def test_a_path_is_a_path_whatever_is_in_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert parse_url(file_url(path)).path == path
    # Optuna reads the URL once more, as a format.
    address = parse_url(file_url(path))
    assert parse_url(address.url.render_as_string(hide_password=False).format()).path == path
    with open_store(file_url(path)) as store, OptunaMirror(store.url, "net") as mirror:
        mirror.catch_up([])
    assert mirror.trouble is None
    assert {
        entry.name.removesuffix("-wal").removesuffix("-shm") for entry in tmp_path.iterdir()
    } == {name}


def test_a_hint_for_a_plain_path_can_be_typed() -> None:
    with pytest.raises(StoreError, match=r"for a file write sqlite:///a%2541%3F\.sqlite3$"):
        parse_url("a%41?.sqlite3")


def test_a_path_that_is_no_text() -> None:
    with pytest.raises(StoreError, match="must be UTF-8"):
        file_url("caf\udce9")


@pytest.mark.parametrize("directory", ["a%41", "a?b", "a#b"])
def test_the_default_place_may_have_any_name(
    directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "checkout_directory", lambda: tmp_path / directory)
    assert parse_url(location.default_url()).path == tmp_path / directory / "autosched.sqlite3"


def test_what_the_user_named_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOSCHED_STORAGE", raising=False)
    assert named_url(None) is None
    monkeypatch.setenv("AUTOSCHED_STORAGE", "sqlite:///named.sqlite3")
    assert named_url(None) == "sqlite:///named.sqlite3"
    assert named_url("sqlite:///x.sqlite3") == "sqlite:///x.sqlite3"
    assert named_url("") == ""


_ROOT = Path(autosched.__file__).parents[1]


def test_a_checkout_keeps_its_database_in_db() -> None:
    assert location.default_url() == f"sqlite:///{_ROOT}/db/autosched.sqlite3"
    assert (migrations_directory() / "versions").is_dir()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A package directory as the wheel lays it out."""
    site = tmp_path / "site"
    skipped = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
    shutil.copytree(_ROOT / "autosched", site / "autosched", ignore=skipped)
    shutil.copytree(_ROOT / "db", site / "autosched" / "_db", ignore=skipped)
    return site


@pytest.mark.parametrize(
    ("data_home", "expected"),
    [
        ("{tmp}/data", "{tmp}/data/autosched/autosched.sqlite3"),
        ("relative", "{tmp}/.local/share/autosched/autosched.sqlite3"),
    ],
)
def test_an_installed_package_uses_the_data_directory_of_the_user(
    installed: Path, tmp_path: Path, data_home: str, expected: str
) -> None:
    script = (
        "from autosched.store.database import open_store\n"
        "with open_store() as store: print(store.describe())"
    )
    environment = {
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": data_home.format(tmp=tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == expected.format(tmp=tmp_path)
    assert Path(done.stdout.strip()).is_file()
