import csv
from pathlib import Path

from tests.cli.conftest import Invoke, Studied

PROFILE = str(Path(__file__).parents[1] / "cost" / "data" / "wormhole_segformer_excerpt.csv")


def test_a_kept_calibration_is_what_a_search_estimates_with(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'own.sqlite3'}"
    words = ("--save", "my-card", "--ttnn-version", "0.81.1", "--storage", url)
    done = invoke("calibrate", PROFILE, *words, "--json")
    assert done.code == 0, done.err
    (version,) = done.json["versions"].values()
    assert done.json["saved"] == "my-card"
    done = invoke("run", str(studied.net), "--trials", "1", "--timeout", "1s", "--storage", url)
    assert f"estimated by cost model {version}" in done.out
    assert "calibration 'my-card'" in done.out


def test_a_prediction_is_one_object_of_rows_and_summary(invoke: Invoke) -> None:
    plain = invoke("predict", PROFILE, "--json").json
    assert {"op", "measured_ns", "predicted_ns", "stderr_log", "extrapolates"} <= set(
        plain["rows"][0]
    )
    assert plain["summary"]["total"]["rows"] == len(plain["rows"])
    for row in plain["rows"]:
        assert abs(1e3 * sum(row["split_us"].values()) - row["predicted_ns"]) < 1e-3
    assert abs(sum(plain["summary"]["conv2d"]["provenance"].values()) - 1) < 1e-9


def test_a_prediction_prints_a_line_per_class(invoke: Invoke) -> None:
    done = invoke("predict", PROFILE)
    assert done.code == 0
    assert "conv2d" in done.out
    assert "outside" in done.out
    assert "time goes to" in done.out


def test_a_prediction_knows_the_kernels_of_the_release(invoke: Invoke, tmp_path: Path) -> None:
    with Path(PROFILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    of_rows = {"INPUT_0_LAYOUT": "ROW_MAJOR", "INPUT_0_MEMORY": "DEV_0_DRAM_INTERLEAVED"}
    name = tmp_path / "rows.csv"
    with name.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, **of_rows} for row in rows)
    older, today = (
        invoke("predict", str(name), *words, "--json").json["summary"]["interleaved_to_sharded"]
        for words in ((), ("--ttnn-version", "0.81.1"))
    )
    assert today["predicted_ns"] < older["predicted_ns"]
