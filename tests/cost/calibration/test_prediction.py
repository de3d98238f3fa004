import json
from pathlib import Path

from autosched.cost.calibration.prediction import predict_profile


def test_each_row_is_predicted_and_each_class_summed_up(data: Path) -> None:
    report = predict_profile(data / "blackhole_oft_excerpt.csv")
    assert len(report.rows) == 29
    assert report.arch == "blackhole"
    conv = report.summary["conv2d"]
    assert conv.rows == 6
    assert conv.median_error < 0.15
    assert report.summary["total"].rows == 29
    assert sum(row.measured_ns for row in report.rows) == report.summary["total"].measured_ns


def test_unknown_ops_are_marked(data: Path) -> None:
    report = predict_profile(data / "blackhole_oft_excerpt.csv")
    (unknown,) = [row for row in report.rows if not row.known]
    assert unknown.op == "GridSampleOperation"
    assert unknown.stderr_log >= 1
    assert unknown.predicted_ns > 0


def test_rows_outside_the_calibration_data_are_counted(data: Path) -> None:
    report = predict_profile(data / "blackhole_oft_excerpt.csv")
    assert report.summary["generic"].outside == 1
    assert report.summary["conv2d"].outside == 0
    assert 0 < report.summary["total"].outside < 0.1


def test_the_report_is_one_json_object(data: Path) -> None:
    plain = json.loads(json.dumps(predict_profile(data / "wormhole_matmul_excerpt.csv").to_plain()))
    assert {"rows", "summary"} <= set(plain)
    assert {"op", "measured_ns", "predicted_ns", "stderr_log"} <= set(plain["rows"][0])
