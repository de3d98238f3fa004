from pathlib import Path

import pytest

from tests.cli.conftest import Invoke


def test_a_machine_that_can_search(invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    done = invoke("doctor", "--storage", url, "--device", "mock", "--json")
    assert done.code == 0, done.err
    states = {check["name"]: check["state"] for check in done.json["checks"]}
    assert done.json["ok"] is True
    assert states["device"] == "ok"
    assert states["database"] == "ok"


def test_what_fails_says_the_way_out(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    done = invoke("doctor", "--storage", f"sqlite:///{tmp_path}/no/a.sqlite3", "--json")
    assert done.code == 2
    found = {check["name"]: check for check in done.json["checks"]}
    assert found["cache"]["state"] == "failed"
    assert "AUTOSCHED_CACHE" in found["cache"]["advice"]
    assert "there is no directory" in found["database"]["detail"]
    assert found["compiler"]["state"] == "warning"
    assert found["device"]["state"] == "failed"


def test_what_the_simulator_lacks_is_told_in_a_line_each(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TT_METAL_SIMULATOR", "")
    monkeypatch.setenv("TT_METAL_RUNTIME_ROOT", str(tmp_path))
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    done = invoke("doctor", "--storage", url, "--device", "simulator", "--json")
    assert done.code == 2
    found = {check["name"]: check for check in done.json["checks"]}
    assert found["simulator"]["detail"].startswith("no simulator: set TT_METAL_SIMULATOR")
    assert "no SFPI compiler" in found["sfpi"]["detail"]
    assert found["device"]["state"] == "failed"
    assert "Traceback" not in done.err


def test_what_is_known_to_go_wrong_is_listed_with_its_source(invoke: Invoke) -> None:
    done = invoke("doctor", "--known-bad")
    assert done.code == 0
    assert "wide-concat" in done.out
    assert "tt-metal 42667" in done.out
    assert "--allow-known-faults" in done.out
    plain = invoke("doctor", "--known-bad", "--json").json["known_bad"]
    assert {item["name"] for item in plain if not item["is_left_out"]} >= {"padding-channels"}
    assert all(item["source"] and item["archs"] for item in plain)
