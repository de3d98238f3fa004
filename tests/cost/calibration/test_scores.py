from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest

from autosched.cost.calibration.calibration import fit_coefficients
from autosched.cost.calibration.fitting import Families, Priors, Sample, samples_of
from autosched.cost.calibration.observations import Observation, Source, observations_of
from autosched.cost.calibration.scores import (
    HeldOutScore,
    bundle_scores,
    cross_validate,
    held_out_scores,
    networks,
    point_scores,
    score,
)
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import Prior, Resource, Work
from autosched.cost.profiles.profile import read_profile

ARCHS = ("wormhole_b0", "blackhole")


def _samples(count: int, weight: float, name: str) -> list[Sample]:
    work = Work("move", {"launch": 1.0})
    return [Sample(work, 1000.0 + n, f"{name} {n}", weight=weight) for n in range(count)]


def test_cross_validation_needs_two_layers() -> None:
    priors = {"blackhole": PRIORS["move"]}
    assert cross_validate({"blackhole": []}, priors) is None
    assert cross_validate({"blackhole": _samples(1, 1.0, "one")}, priors) is None


def test_the_standard_error_covers_normal_errors() -> None:
    errors = np.random.default_rng(0).normal(0.0, 0.2, 2000)
    found = score("wormhole_b0", "move", _samples(2000, 1.0, "row"), errors)
    assert found.error_log == pytest.approx(0.2, rel=0.1)
    assert np.mean(np.abs(errors) <= found.error_log) == pytest.approx(0.68, abs=0.04)


def test_a_long_sweep_does_not_speak_for_networks() -> None:
    samples = [*_samples(900, 0.01, "sweep"), *_samples(40, 1.0, "network")]
    errors = np.array([log(1.02)] * 900 + [log(1.3)] * 40)
    found = score("wormhole_b0", "move", samples, errors)
    assert found.median_error == pytest.approx(0.02)
    assert found.error_log > 0.3


OFT = "blackhole_oft_excerpt.csv"
SEGFORMER = "wormhole_segformer_excerpt.csv"
MATMUL = "wormhole_matmul_excerpt.csv"


def test_a_bundle_is_judged_by_its_order() -> None:
    work = Work("move", {"launch": 1.0})
    members = [
        Sample(work, cycles, "layer", bundle="one", source=Source.SIMULATED)
        for cycles in (100.0, 110.0, 200.0)
    ]
    (right,) = bundle_scores("wormhole_b0", members, np.full(3, log(3.0)))
    assert right.spearman == pytest.approx(1.0)
    assert right.regret == 0
    assert right.worst_ratio == pytest.approx(0.0)
    (wrong,) = bundle_scores("wormhole_b0", members, np.array([log(1.2), 0.0, 0.0]))
    assert wrong.regret == pytest.approx(0.1)
    assert wrong.worst_ratio == pytest.approx(0.2)


def test_points_are_judged_one_by_one() -> None:
    work = Work("move", {"launch": 1.0})
    samples = [
        Sample(work, 2000.0, "one", "a point", source=Source.POINT),
        Sample(work, 2000.0, "two", "a row"),
        Sample(work, 2000.0, "two", "half a pair", bundle="pair", source=Source.POINT),
    ]
    (found,) = point_scores("wormhole_b0", "move", samples, np.array([log(1.1), 0.0, 0.0]))
    assert found.label == "a point"
    assert found.measured_us == pytest.approx(2.0)
    assert found.error == pytest.approx(0.1)


@pytest.fixture(scope="module")
def families(data: Path) -> dict[str, Families]:
    observed = [
        item
        for name in (OFT, SEGFORMER, MATMUL)
        for item in observations_of(read_profile(data / name))
    ]
    return {arch: samples_of(observed, arch) for arch in ARCHS}


def test_profiles_that_share_layers_are_one_network(data: Path) -> None:
    oft = observations_of(read_profile(data / OFT))
    again = [item for item in oft if "Conv2d" in item.label]
    observed = [*oft, *(_renamed(item, "again.csv") for item in again)]
    found = networks({"blackhole": samples_of(observed, "blackhole")})
    assert found == [("blackhole", frozenset({OFT, "again.csv"}))]


def _renamed(item: Observation, origin: str) -> Observation:
    return replace(item, origin=origin)


def test_nothing_of_a_held_out_network_is_fitted(families: dict[str, Families]) -> None:
    def priors_of(family: str) -> Priors:
        return {
            arch: {name: prior.on(arch) for name, prior in PRIORS[family].items()} for arch in ARCHS
        }

    scores = list(held_out_scores(families, priors_of))
    held = {(item.arch, item.files) for item in scores}
    assert held == {("blackhole", (OFT,)), ("wormhole_b0", (SEGFORMER,))}
    convolutions = [item for item in scores if item.family == "conv2d"]
    assert [item.trained_on for item in convolutions] == [0, 0]


def test_calibration_reports_held_out_networks(data: Path) -> None:
    report = fit_coefficients([data / OFT, data / SEGFORMER])
    convolutions = [item for item in report.held_out if item.family == "conv2d"]
    assert {item.files for item in convolutions} == {(OFT,), (SEGFORMER,)}
    assert all(_is_sane(item) for item in convolutions)
    assert len(report.to_plain()["held_out"]) == len(report.held_out)


def _is_sane(item: HeldOutScore) -> bool:
    return 0 < item.median_error < 0.4 and item.median_error <= item.p90_error < 1


def test_priors_translate_between_architectures_and_back() -> None:
    prior = Prior(40.0, Resource.COMPUTE, blackhole=0.5)
    there = prior.on("blackhole")
    assert there.value == 20.0
    assert prior.on("wormhole_b0") == prior
    assert there.on("wormhole_b0", "blackhole") == prior
