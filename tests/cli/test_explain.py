import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


def run(invoke: Invoke, studied: Studied, *words: str) -> dict:
    done = invoke("explain", "tiny-n150", *words, "--storage", studied.url, "--json")
    assert done.code == 0, done.err
    return done.json


def test_every_candidate_beside_the_chosen_one(studied: Studied, invoke: Invoke) -> None:
    plain = run(invoke, studied, "2")
    shown = invoke("show", "tiny-n150", "--layers", "--storage", studied.url, "--json").json
    (row,) = (row for row in shown["layers"] if row["layer"] == "2")
    (chosen,) = (item for item in plain["candidates"] if item["chosen"])
    assert plain["trial"] == shown["best"]["trial"]
    assert chosen["words"] == row["configuration"]
    assert chosen["time_us"] == pytest.approx(row["time_us"])
    assert chosen["limited_by"] == row["limited_by"]
    assert chosen["difference_us"] == 0
    times = [item["time_us"] for item in plain["candidates"]]
    assert times == sorted(times)
    assert len(times) > 3
    for item in plain["candidates"]:
        assert item["time_kind"] == "estimated"
        assert item["error_us"] > 0
        assert item["cores"] > 0
        assert item["difference_us"] == pytest.approx(item["time_us"] - chosen["time_us"])
        if not item["chosen"]:
            assert item["within_error"] == (0.159 < item["probability_slower"] < 0.841)


def test_no_network_with_another_candidate_is_faster(studied: Studied, invoke: Invoke) -> None:
    plain = run(invoke, studied, "0")
    (chosen,) = (item for item in plain["candidates"] if item["chosen"])
    prices = [item["network_us"] for item in plain["candidates"] if item["network_us"]]
    assert chosen["network_us"] == pytest.approx(studied.done.json["latency_us"])
    assert min(prices) == pytest.approx(studied.done.json["bound_us"])
    assert len(prices) > 1
    assert all(item["offered"] for item in plain["candidates"] if item["network_us"])


def test_rejections_are_in_ttnns_words(studied: Studied, invoke: Invoke) -> None:
    plain = run(invoke, studied, "0")
    database = studied.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (kinds,) = zip(
            *connection.execute("select rejection from autosched_probe where rejection not null"),
            strict=True,
        )
    assert {item["kind"] for item in plain["rejected"]} <= {*kinds, "accuracy"}
    assert all(item["message"] and item["words"] for item in plain["rejected"])


def test_the_words(studied: Studied, invoke: Invoke) -> None:
    done = invoke("explain", "tiny-n150", "2", "--top", "2", "--storage", studied.url)
    assert done.code == 0, done.err
    assert "to chosen" in done.out
    assert "exactly solved" in done.out
    assert "not shown; --top 0 shows all" in done.out
    same = invoke("show", "tiny-n150", "--candidates", "2", "--top", "2", "--storage", studied.url)
    assert same.out == done.out
    assert (
        "not shown"
        not in invoke("explain", "tiny-n150", "2", "--top", "0", "--storage", studied.url).out
    )


def test_a_pattern_means_one_layer(studied: Studied, invoke: Invoke) -> None:
    assert run(invoke, studied, "in*")["layer"] == "input"
    for pattern, said in (("*", "means 4 layers"), ("inptu", "did you mean input?")):
        done = invoke("explain", "tiny-n150", pattern, "--storage", studied.url)
        assert done.code == 2
        assert said in done.err


def test_neither_file_nor_device_is_needed(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    """The network file is gone, nothing but the first trial ran, and probes lack."""
    path = tmp_path / "copy.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    url = f"sqlite:///{path}"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "update autosched_study set settings = json_set(settings, '$.network_file', 'gone.py')"
        )
        connection.execute("delete from autosched_trial where number > 0")
        connection.commit()
    plain = invoke("explain", "tiny-n150", "2", "--storage", url, "--json").json
    assert plain["trial"] == 0
    assert plain["unprobed"] is None
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "update autosched_trial set state = 'rejected', latency_us = null, rejection_kind = "
            "'L1 overflow', rejection_message = 'no room'"
        )
        connection.commit()
    done = invoke("explain", "tiny-n150", "2", "--storage", url)
    assert "1 trial rejected and none accepted, so none is chosen" in done.out
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("delete from autosched_trial")
        connection.execute("delete from autosched_probe where id % 2")
        connection.commit()
    done = invoke("explain", "tiny-n150", "2", "--storage", url)
    assert done.code == 0, done.err
    assert "No trial has run yet, so none is chosen" in done.out or "Nothing was" in done.out
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("delete from autosched_network")
        connection.commit()
    done = invoke("explain", "tiny-n150", "2", "--storage", url)
    assert done.code == 2
    assert "did not keep the layers" in done.err
