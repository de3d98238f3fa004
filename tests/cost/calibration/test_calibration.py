import json
from pathlib import Path

import pytest

from autosched.cost.calibration.calibration import (
    CalibrationReport,
    fit_coefficients,
    shipped_coefficients,
    write_coefficients,
)
from autosched.cost.calibration.fitting import fit_together, samples_of
from autosched.cost.calibration.observations import (
    Source,
    read_observations,
    shipped_paths,
    write_observations,
)
from autosched.cost.coefficients import load
from autosched.cost.model import CostModel
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import SHARE
from autosched.errors import ProfileError


@pytest.fixture(scope="module")
def report(data: Path) -> CalibrationReport:
    return fit_coefficients(
        [data / "wormhole_matmul_excerpt.csv", data / "wormhole_segformer_excerpt.csv"],
        ttnn_version="0.55",
    )


def test_held_out_matmuls_are_predicted(report: CalibrationReport) -> None:
    (score,) = [item for item in report.scores if item.family == "matmul"]
    assert score.distinct > 100
    assert score.median_error is not None
    assert score.median_error < 0.2
    assert score.spearman is not None
    assert score.spearman > 0.95
    assert len(score.worst) == 5


def test_coefficients_stay_physical(report: CalibrationReport) -> None:
    (coefficients,) = report.coefficients.values()
    assert coefficients.ttnn_version == "0.55"
    for family, fit in coefficients.families.items():
        for name, value in fit.values.items():
            assert value >= 0, (family, name)
            if PRIORS[family][name].unit == SHARE:
                assert value <= 1, (family, name)


def test_families_without_rows_keep_their_priors(report: CalibrationReport) -> None:
    fit = report.coefficients["wormhole_b0"].families["upsample"]
    assert fit.rows == 0
    assert not fit.releases
    assert report.coefficients["wormhole_b0"].families["conv2d"].releases == "2025-02"
    assert fit.values["launch"] == PRIORS["upsample"]["launch"].value


def test_a_written_file_is_read_back(report: CalibrationReport, tmp_path: Path) -> None:
    (path,) = write_coefficients(report, tmp_path / "own.json")
    read = load(path)
    assert read.version == report.coefficients["wormhole_b0"].version
    assert CostModel.load("wormhole_b0", path).version == read.version


def test_an_edited_file_is_refused(report: CalibrationReport, tmp_path: Path) -> None:
    (path,) = write_coefficients(report, tmp_path)
    plain = json.loads(path.read_text())
    plain["families"]["conv2d"]["values"]["launch"] *= 2
    path.write_text(json.dumps(plain))
    with pytest.raises(ProfileError, match="fingerprint does not match"):
        load(path)


def test_a_file_of_another_format_or_architecture_is_refused(
    report: CalibrationReport, tmp_path: Path
) -> None:
    (path,) = write_coefficients(report, tmp_path)
    with pytest.raises(ProfileError, match="coefficients for wormhole_b0, not blackhole"):
        CostModel.load("blackhole", path)
    plain = json.loads(path.read_text())
    plain["format"] = 0
    path.write_text(json.dumps(plain))
    with pytest.raises(ProfileError, match="has format 0"):
        load(path)
    path.write_text("{}")
    with pytest.raises(ProfileError, match="not a coefficients file"):
        load(path)


def test_the_report_is_plain_json(report: CalibrationReport) -> None:
    plain = json.loads(json.dumps(report.to_plain()))
    assert {"arch", "family", "median_error", "worst"} <= set(plain["scores"][0])


def test_an_own_profile_refines_the_shipped_coefficients(data: Path) -> None:
    shipped = CostModel.load("wormhole_b0").coefficients
    own = fit_coefficients(
        [data / "wormhole_segformer_excerpt.csv"], start={"wormhole_b0": shipped}
    ).coefficients["wormhole_b0"]
    assert own.families["unary"] == shipped.families["unary"]
    assert own.families["conv2d"] != shipped.families["conv2d"]
    assert own.version != shipped.version


def test_without_profiles_the_shipped_observations_are_fitted() -> None:
    paths = shipped_paths()
    assert {path.stem for path in paths} == {"silicon", "point", "simulated"}
    observed = [item for path in paths for item in read_observations(path)]
    assert {item.source for item in observed} == {*Source}


@pytest.mark.parametrize("family", ["conv2d", "halo", "matmul", "interleaved_to_sharded"])
def test_shipped_coefficients_are_what_the_observations_give(family: str) -> None:
    observed = [item for path in shipped_paths() for item in read_observations(path)]
    archs = ("wormhole_b0", "blackhole")
    samples = {arch: samples_of(observed, arch)[family] for arch in archs}
    priors = {
        arch: {name: prior.on(arch) for name, prior in PRIORS[family].items()} for arch in archs
    }
    for arch, values in fit_together(samples, priors).items():
        shipped = shipped_coefficients()[arch].families[family].values
        assert shipped == pytest.approx(values, rel=1e-3)


def test_an_empty_file_of_observations_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    write_observations((), path)
    with pytest.raises(ProfileError, match="no op to calibrate on"):
        fit_coefficients([path])


def test_each_coefficient_says_where_it_is_from(report: CalibrationReport) -> None:
    for families in report.provenance.values():
        for family, coefficients in families.items():
            for name, shares in coefficients.items():
                assert sum(shares.values()) == pytest.approx(1.0), (family, name)
    matmul = report.provenance["wormhole_b0"]["matmul"]
    assert matmul["matmul_call"]["silicon"] > 0.5
    assert report.provenance["wormhole_b0"]["upsample"]["launch"] == {"prior": 1.0}
