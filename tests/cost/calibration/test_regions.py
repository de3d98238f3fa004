import numpy as np
import pytest

from autosched.cost.calibration.fitting import Families, Priors, Sample, samples_of
from autosched.cost.calibration.observations import read_observations, shipped_paths
from autosched.cost.calibration.regions import (
    REGIONS,
    CoverageScore,
    coverage_scores,
    share_covered,
)
from autosched.cost.ops.families import PRIORS

ARCHS = ("wormhole_b0", "blackhole")


def priors_of(family: str) -> Priors:
    return {arch: {n: prior.on(arch) for n, prior in PRIORS[family].items()} for arch in ARCHS}


@pytest.fixture(scope="module")
def families() -> dict[str, Families]:
    observed = [item for path in shipped_paths() for item in read_observations(path)]
    found = {arch: samples_of(observed, arch) for arch in ARCHS}
    return {arch: {name: own[name] for name in ("conv2d", "halo")} for arch, own in found.items()}


def test_every_region_is_held_out_on_both_architectures(families: dict[str, Families]) -> None:
    crossed = {
        name: {arch: np.full(len(own[name]), 0.1) for arch, own in families.items()}
        for name in ("conv2d", "halo")
    }
    scores = list(coverage_scores(families, priors_of, crossed))
    named = {(item.region, item.arch) for item in scores}
    regions = [item.name for item in REGIONS[:5]]
    assert named >= {(name, arch) for name in regions for arch in ARCHS}
    found = share_covered(scores)
    assert found is not None
    assert found > 0.7
    one_architecture = [item for item in scores if item.region == "halo, on one architecture"]
    assert [(item.arch, item.rows) for item in one_architecture] == [
        ("wormhole_b0", 26),
        ("blackhole", 39),
    ]
    assert all(item.stderr_log > 0.3 for item in one_architecture)


def test_what_is_held_out_is_not_fitted(families: dict[str, Families]) -> None:
    """Times a hundred times as long change no prediction of the region that they are in."""

    def slowed(sample: Sample) -> Sample:
        return Sample(**{**vars(sample), "cycles": 100 * sample.cycles})

    few = REGIONS[0]
    changed = {
        arch: {
            name: tuple(slowed(it) if few.holds(it) else it for it in rows)
            for name, rows in own.items()
        }
        for arch, own in families.items()
    }
    crossed = {
        name: {arch: np.full(len(own[name]), 0.1) for arch, own in families.items()}
        for name in ("conv2d", "halo")
    }
    before, after = (
        [item for item in coverage_scores(each, priors_of, crossed) if item.region == few.name]
        for each in (families, changed)
    )
    assert [item.stderr_log for item in after] == [item.stderr_log for item in before]
    assert all(item.error_log > 4 for item in after)
    assert share_covered(after) == 0.0


def test_coverage_counts_rows() -> None:
    scores = [
        CoverageScore("one", "blackhole", 30, 1.0, 0.1, 0.1),
        CoverageScore("two", "wormhole_b0", 10, 0.6, 0.1, 0.1),
    ]
    assert share_covered(scores) == pytest.approx(0.9)
    assert share_covered(scores, "wormhole_b0") == pytest.approx(0.6)
    assert share_covered([]) is None
