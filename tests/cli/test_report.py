from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


def test_the_page_and_its_pictures(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    words = ("report", "tiny-n150", "-o", "a.html", "--png", "pngs", "--storage", studied.url)
    plain = invoke(*words, "--json").json
    assert plain["report"] == "a.html"
    assert plain["size_bytes"] == (tmp_path / "a.html").stat().st_size
    assert plain["latency_us"] == studied.done.json["latency_us"]
    assert plain["bound_us"] == pytest.approx(studied.done.json["bound_us"])
    assert plain["default_latency_us"] == studied.done.json["default_latency_us"]
    assert plain["trials"] == 3
    assert len(plain["pictures"]) == 4
    assert all((tmp_path / picture).is_file() for picture in plain["pictures"])
    done = invoke(*words)
    assert done.code == 0, done.err
    assert "Report: a.html" in done.out


def test_its_name_is_the_studys(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("report", "tiny-n150", "--storage", studied.url).code == 0
    assert (tmp_path / "tiny_n150.html").is_file()


def test_a_file_of_the_users_stays(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine")
    words = ("report", "tiny-n150", "-o", "mine.html", "--storage", studied.url)
    done = invoke(*words)
    assert done.code == 2
    assert "--force" in done.err
    assert mine.read_text() == "<p>mine"
    assert invoke(*words, "--force").code == 0
    assert mine.read_text().startswith("<!doctype html>")
