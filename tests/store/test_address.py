import importlib.util
from pathlib import Path

import pytest

from autosched.errors import StoreError
from autosched.store.address import parse_url


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_spelled_in_three_ways(scheme: str) -> None:
    address = parse_url(f"{scheme}://me:secret@host/trials")
    assert address.url.render_as_string(False) == "postgresql+psycopg://me:secret@host/trials"
    assert address.path is None


def test_a_printed_address_hides_the_password() -> None:
    assert "secret" not in str(parse_url("postgresql://me:secret@host/trials"))


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
        ("mysql://me:secret@host/x", "'mysql' are not supported"),
        ("postgresql+psycopg2://me@host/x", r"'postgresql\+psycopg2' are not supported"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite://results.sqlite3", "needs three slashes"),
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
