import csv
from pathlib import Path

from tests.cli.conftest import Invoke, Studied


def test_trials_and_best(studied: Studied, invoke: Invoke) -> None:
    done = invoke("show", "tiny-n150", "--storage", studied.url)
    assert done.code == 0, done.err
    assert "default" in done.out
    assert "joint" in done.out
    assert "(estimated)" in done.out
    assert "autosched export tiny-n150" in done.out
    assert "Proven lower bound and gap: solved for by autosched report tiny-n150" in done.out


def test_json_has_the_number_of_trials_and_the_best(studied: Studied, invoke: Invoke) -> None:
    plain = invoke("show", "tiny-n150", "--storage", studied.url, "--json").json
    assert plain["trials"] == 3
    assert plain["best"]["trial"] == studied.done.json["trial"]
    assert plain["best"]["latency_us"] == studied.done.json["latency_us"]
    assert plain["best"]["latency_kind"] == "estimated"
    assert plain["default_latency_us"] == studied.done.json["default_latency_us"]
    assert "layers" not in plain


def test_layers_add_up_to_the_latency(studied: Studied, invoke: Invoke) -> None:
    plain = invoke("show", "tiny-n150", "--layers", "--storage", studied.url, "--json").json
    assert [row["layer"] for row in plain["layers"]] == ["input", "0", "2", "output"]
    between = [row["time_us"] for row in plain["reshards"] if row["by"] != "ttnn"]
    total = sum(row["time_us"] for row in plain["layers"]) + sum(between)
    assert abs(total - plain["best"]["latency_us"]) < 1e-6
    assert all(row["cores"] > 0 and row["l1_bytes"] > 0 for row in plain["layers"][1:3])
    for row in plain["layers"]:
        assert abs(sum(row["split_us"].values()) - row["time_us"]) < 1e-6
        assert row["limited_by"].split()[0] in row["split_us"]
    assert "limited by" in invoke("show", "tiny-n150", "--layers", "--storage", studied.url).out


def test_the_ops_as_a_profiler_report(studied: Studied, invoke: Invoke) -> None:
    done = invoke("show", "tiny-n150", "--csv", "ops.csv", "--storage", studied.url)
    assert done.code == 0, done.err
    with Path("ops.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["OP CODE"].startswith("Conv2d") for row in rows)
    assert all("estimated" in row["ATTRIBUTES"] for row in rows)
    assert all(row["LIMITED BY"] and float(row["LAUNCH [ns]"]) >= 0 for row in rows)


def test_a_place_that_is_none_is_told_before_the_study(studied: Studied, invoke: Invoke) -> None:
    words = ("show", "tiny-n150", "--storage", studied.url, "--csv")
    for wrong in ("nowhere/ops.csv", "nowhere/folder/"):
        done = invoke(*words, wrong)
        assert done.code == 2
        assert done.out == ""
        assert "nowhere" in done.err
    done = invoke(*words, "folder/")
    assert done.code == 0, done.err
    assert "Ops: folder/ops_perf_results.csv" in done.out


def test_any_trial_by_layer(studied: Studied, invoke: Invoke) -> None:
    arguments = ("show", "tiny-n150", "--trial", "0", "--storage", studied.url)
    done = invoke(*arguments)
    assert done.code == 0, done.err
    assert "Trial 0, ttnn's default: " in done.out
    assert "Layers (op times estimated)" in done.out
    plain = invoke(*arguments, "--json").json
    assert plain["shown"]["trial"] == 0
    assert plain["shown"]["latency_us"] == studied.done.json["default_latency_us"]
    assert plain["best"]["trial"] == studied.done.json["trial"]
    done = invoke("show", "tiny-n150", "--trial", "77", "--storage", studied.url)
    assert done.code == 2
    assert "no trial 77" in done.err


def test_the_best_schedule_is_traced_to_the_records_behind_it(
    studied: Studied, invoke: Invoke
) -> None:
    done = invoke("show", "tiny-n150", "--records", "--storage", studied.url)
    assert "Records behind trial" in done.out
    assert "n150 (mock) with ttnn" in done.out
    plain = invoke("show", "tiny-n150", "--records", "--storage", studied.url, "--json").json
    assert plain["records_of_trial"] == plain["best"]["trial"]
    steps = {step["place"]: step for step in plain["records"]}
    assert {"input", "0", "2", "output"} <= steps.keys()
    for step in steps.values():
        assert step["records"], step["place"]
        for record in step["records"]:
            assert (record["table"], record["stale"]) == ("probe", False)
            assert record["time_kind"] == "estimated"
    times = {name: steps[name]["records"][0]["time_us"] for name in ("0", "2")}
    layers = invoke("show", "tiny-n150", "--layers", "--storage", studied.url, "--json").json
    for row in layers["layers"]:
        if row["layer"] in times:
            assert abs(row["time_us"] - times[row["layer"]]) < 1e-6
