import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autosched.search.samplers.joint_sampler import JointSampler
from tests.cli.conftest import Invoke, Studied

_MOVED = "UPDATE autosched_study SET settings = replace(settings, ?, ?)"


def copied(studied: Studied, directory: Path) -> str:
    shutil.copy(studied.url.removeprefix("sqlite:///"), directory / "copy.sqlite3")
    return f"sqlite:///{directory}/copy.sqlite3"


def test_it_goes_on_by_name_alone(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    url = copied(studied, tmp_path)
    done = invoke("resume", "tiny-n150", "--trials", "1", "--sampler", "random", "--seed", "3",
                  "--jobs", "1", "--storage", url, "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["trials"] == 4
    assert done.json["default_latency_us"] == studied.done.json["default_latency_us"]
    assert "sampler random, effort quick" in done.err


def test_an_exhausted_search_has_its_result(
    studied: Studied, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JointSampler, "propose", lambda *_: None)
    url, target = copied(studied, tmp_path), tmp_path / "best.py"
    done = invoke("resume", "tiny-n150", "--storage", url, "--trials", "9", "--export", str(target))
    assert done.code == 0, done.err
    assert "The search ended: all proposals tried" in done.out
    assert "3 trials in the study" in done.out
    assert target.exists()


def test_a_mirror_that_fails_is_a_warning(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    url, target = copied(studied, tmp_path), tmp_path / "best.py"
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as other, other:
        other.execute("UPDATE alembic_version SET version_num = 'v99.0.a'")
    done = invoke("resume", "tiny-n150", "--storage", url, "--trials", "1", "--export", str(target))
    assert done.code == 0, done.err
    assert "Warning: " in done.out
    assert "Optuna cannot mirror the trials" in " ".join(done.out.split())
    assert "4 trials in the study" in done.out
    assert target.exists()


def test_a_moved_network_file_is_named_with_the_way_out(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    url = copied(studied, tmp_path)
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as other, other:
        other.execute(_MOVED, (str(studied.net), f"{tmp_path}/tiny.py"))
    done = invoke("resume", "tiny-n150", "--storage", url)
    assert done.code == 2
    assert "tiny.py does not exist" in done.err
    assert "autosched run NEW/PLACE/NET.PY --study tiny-n150" in done.err


def test_an_unknown_study_is_refused_before_anything_is_captured(
    studied: Studied, invoke: Invoke
) -> None:
    done = invoke("resume", "tiny-n15", "--storage", studied.url)
    assert done.code == 2
    assert "did you mean 'tiny-n150'" in done.err


def test_safe_executes_no_file_that_the_database_names(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    url = copied(studied, tmp_path)
    planted = tmp_path / "planted.py"
    planted.write_text('open("witness", "w").close()\n')
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as other, other:
        other.execute(_MOVED, (str(studied.net), str(planted)))
    for command in ("resume", "verify"):
        device = ("--device", "simulator", "--simulator", __file__) * (command == "verify")
        done = invoke(command, "tiny-n150", "--storage", url, "--safe", *device)
        assert done.code == 2
        assert f"names the network file {planted}" in done.err
        assert "--net NET.PY" in done.err
    assert not (tmp_path / "witness").exists()
    net = ("--net", str(studied.net))
    done = invoke("resume", "tiny-n150", "--storage", url, "--safe", *net, "--trials", "1")
    assert done.code == 0, done.err
    assert f"Reading network file {studied.net} (it is executed)" in done.out
    assert "4 trials in the study" in done.out
