from pathlib import Path

import pytest

from autosched.cost.calibration.calibration import fit_coefficients
from autosched.cost.calibration.scores import HeldOutScore, held_out_scores, networks
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import Prior
from autosched.cost.profiles.profile import Profile, read_profile

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
