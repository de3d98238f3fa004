from math import log
from pathlib import Path

import numpy as np
import pytest

from autosched.cost.calibration.calibration import fit_coefficients
from autosched.cost.calibration.fitting import Sample
from autosched.cost.calibration.scores import (
    HeldOutScore,
    cross_validate,
    held_out_scores,
    networks,
    score,
)
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import Prior, Work
from autosched.cost.profiles.profile import Profile, read_profile


def _samples(count: int, weight: float, name: str) -> list[Sample]:
    work = Work("move", {"launch": 1.0})
    return [Sample(work, 1000.0 + n, f"{name} {n}", weight=weight) for n in range(count)]


def test_cross_validation_needs_two_layers() -> None:
    assert cross_validate([], PRIORS["move"]) is None
    assert cross_validate(_samples(1, 1.0, "one"), PRIORS["move"]) is None


def test_the_standard_error_covers_normal_errors() -> None:
    errors = np.random.default_rng(0).normal(0.0, 0.2, 2000)
    found = score("wormhole_b0", "move", _samples(2000, 1.0, "row"), errors, 1.0)
    assert found.error_log == pytest.approx(0.2, rel=0.1)
    assert np.mean(np.abs(errors) <= found.error_log) == pytest.approx(0.68, abs=0.04)


def test_a_long_sweep_does_not_speak_for_networks() -> None:
    samples = [*_samples(900, 0.01, "sweep"), *_samples(40, 1.0, "network")]
    errors = np.array([log(1.02)] * 900 + [log(1.3)] * 40)
    found = score("wormhole_b0", "move", samples, errors, 1.0)
    assert found.median_error == pytest.approx(0.02)
    assert found.error_log > 0.3


OFT = "blackhole_oft_excerpt.csv"
SEGFORMER = "wormhole_segformer_excerpt.csv"
MATMUL = "wormhole_matmul_excerpt.csv"


@pytest.fixture(scope="module")
def profiles(data: Path) -> list[Profile]:
    return [read_profile(data / name) for name in (OFT, SEGFORMER, MATMUL)]


def test_profiles_that_share_layers_are_one_network(profiles: list[Profile]) -> None:
    oft, segformer, matmul = profiles
    found = networks([oft, segformer, matmul, oft])
    assert [oft, oft] in found
    assert [segformer] in found
    assert [matmul] in found


def test_nothing_of_a_held_out_network_is_fitted(profiles: list[Profile]) -> None:
    oft, segformer, matmul = profiles
    seen: list[tuple[str, bool]] = []

    def fit_families(samples: object, arch: str) -> dict[str, dict[str, float]]:
        assert isinstance(samples, dict)
        labels = [row.label for rows in samples[arch].values() for row in rows]
        name = OFT if arch == "blackhole" else SEGFORMER
        seen.append((arch, any(label.startswith(name) for label in labels)))
        return {name: {key: prior.value for key, prior in PRIORS[name].items()} for name in PRIORS}

    scores = list(held_out_scores([oft, oft, segformer, matmul], fit_families))
    assert sorted(seen) == [("blackhole", False), ("wormhole_b0", False)]
    both = next(item for item in scores if item.arch == "blackhole" and item.family == "conv2d")
    assert both.files == (OFT, OFT)
    assert both.trained_on == 0


def test_calibration_reports_held_out_networks(data: Path) -> None:
    report = fit_coefficients([data / OFT, data / SEGFORMER])
    convolutions = [item for item in report.held_out if item.family == "conv2d"]
    assert {item.files for item in convolutions} == {(OFT,), (SEGFORMER,)}
    assert all(_is_sane(item) for item in convolutions)
    assert len(report.to_plain()["held_out"]) == len(report.held_out)


def _is_sane(item: HeldOutScore) -> bool:
    return 0 < item.median_error < 0.4 and item.median_error <= item.p90_error < 1


def test_one_network_alone_cannot_be_held_out(profiles: list[Profile]) -> None:
    assert list(held_out_scores(profiles[:1], lambda *_: {})) == []


def test_priors_translate_between_architectures_and_back() -> None:
    prior = Prior(40.0, blackhole=0.5)
    there = prior.on("blackhole")
    assert there.value == 20.0
    assert prior.on("wormhole_b0") == prior
    assert there.on("wormhole_b0", "blackhole") == prior
