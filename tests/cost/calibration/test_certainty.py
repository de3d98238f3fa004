import numpy as np
import pytest

from autosched.cost.calibration.certainty import doubts, factors, provenance
from autosched.cost.calibration.fitting import (
    Priors,
    Sample,
    Samples,
    fit_together,
    predicted_logs,
    samples_of,
)
from autosched.cost.calibration.observations import Source, read_observations, shipped_paths
from autosched.cost.coefficients import from_free, to_free
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import Prior, Resource, Work

ARCHS = ("wormhole_b0", "blackhole")
PRIOR = {
    "launch": Prior(1000.0, Resource.LAUNCH),
    "tile": Prior(50.0, Resource.COMPUTE),
}
RATIO = {name: Prior(100.0, Resource.COMPUTE, 0.5, blackhole=0.5, tie=0.2) for name in PRIOR}


def sample(tiles: float, cycles: float, **more: object) -> Sample:
    work = Work("move", {"launch": 1.0, "tile": tiles})
    return Sample(work, cycles, f"{tiles} tiles", **more)  # type: ignore[arg-type]


def spread(factor: dict[str, tuple[float, ...]], name: str) -> float:
    return float(np.linalg.norm(factor[name]))


def test_a_covariance_is_that_of_fits_to_noisy_samples() -> None:
    """Fits to times with the noise that the fit supposes scatter as the covariance says."""
    priors = {"wormhole_b0": {name: Prior(1000.0, Resource.COMPUTE, 5.0) for name in PRIOR}}
    random = np.random.default_rng(0)
    true = {tiles: 2000.0 + 90.0 * tiles for tiles in (1, 5, 20, 40, 100, 400)}
    found = []
    for _ in range(300):
        samples = {
            "wormhole_b0": [
                sample(tiles, cycles * np.exp(0.08 * random.standard_normal()))
                for tiles, cycles in true.items()
            ]
        }
        values = fit_together(samples, priors)
        found.append([np.log(values["wormhole_b0"][name]) for name in PRIOR])
    exact = {"wormhole_b0": [sample(tiles, cycles) for tiles, cycles in true.items()]}
    factor = factors(exact, priors, fit_together(exact, priors))["wormhole_b0"]
    root = np.array([np.pad(factor[name], (0, 2 - len(factor[name]))) for name in PRIOR])
    assert np.cov(np.array(found).T) == pytest.approx(root @ root.T, rel=0.35, abs=1e-4)


def shipped(family: str) -> tuple[Samples, Priors]:
    observed = [item for path in shipped_paths() for item in read_observations(path)]
    return (
        {arch: samples_of(observed, arch).get(family, ()) for arch in ARCHS},
        {arch: {n: prior.on(arch) for n, prior in PRIORS[family].items()} for arch in ARCHS},
    )


def test_doubts_are_those_of_numeric_slopes() -> None:
    samples, priors = shipped("conv2d")
    values = fit_together(samples, priors)
    factor = factors(samples, priors, values)["blackhole"]
    some, own = samples["blackhole"][:12], values["blackhole"]
    leaning = np.zeros((len(some), max(map(len, factor.values()))))
    for name, prior in priors["blackhole"].items():
        up, down = (
            np.log(
                predicted_logs(
                    some, {**own, name: from_free(to_free(own[name], prior) + step, prior)}
                )
            )
            for step in (1e-5, -1e-5)
        )
        leaning[:, : len(factor[name])] += np.outer((up - down) / 2e-5, factor[name])
    wanted = np.linalg.norm(leaning, axis=1)
    alike = np.isclose(doubts(some, own, factor), wanted, rtol=0.02)
    assert alike.sum() >= 11, "but where two stages take equally long"


def test_what_no_sample_shows_is_known_as_well_as_before() -> None:
    samples = {"wormhole_b0": [sample(1e-6, 1000.0) for _ in range(9)]}
    priors = {"wormhole_b0": PRIOR}
    factor = factors(samples, priors, fit_together(samples, priors))["wormhole_b0"]
    assert spread(factor, "tile") == pytest.approx(0.5, rel=1e-3)
    assert spread(factor, "launch") == pytest.approx(0.08 / 3, rel=0.02)
    assert factors({"wormhole_b0": []}, priors, {}) == {"wormhole_b0": {}}


def test_another_architecture_is_known_as_far_as_the_tie_lets_it() -> None:
    samples = {"wormhole_b0": [sample(n, 400.0 + 400.0 * n) for n in (1, 5, 20)], "blackhole": []}
    priors = {arch: {name: prior.on(arch) for name, prior in RATIO.items()} for arch in samples}
    values = fit_together(samples, priors)
    factor = factors(samples, priors, values)
    own, other = (spread(factor[arch], "tile") for arch in ARCHS)
    assert own < 0.1
    assert other == pytest.approx(np.hypot(own, 0.2), rel=0.01)
    shares = provenance(samples, priors, values)
    assert shares["wormhole_b0"]["tile"]["silicon"] > 0.9
    assert shares["blackhole"]["tile"]["silicon"] > 0.9


def test_what_was_known_before_stays_known() -> None:
    priors = {"wormhole_b0": PRIOR}
    first = {"wormhole_b0": [sample(1000.0, 50_000.0)]}
    then = {"wormhole_b0": [sample(1e-6, 1000.0)]}
    before = factors(first, priors, fit_together(first, priors))
    values = fit_together(then, priors)
    alone, both = (factors(then, priors, values, known) for known in (None, before))
    assert spread(alone["wormhole_b0"], "tile") == pytest.approx(0.5, rel=1e-3)
    assert spread(both["wormhole_b0"], "tile") < 0.1


def test_provenance_tells_sources_apart() -> None:
    samples = {
        "wormhole_b0": [
            sample(1000.0, 50_000.0, source=Source.SIMULATED, weight=0.1),
            sample(0.001, 1000.0, source=Source.POINT),
        ]
    }
    shares = provenance(
        samples, {"wormhole_b0": PRIOR}, fit_together(samples, {"wormhole_b0": PRIOR})
    )
    own = shares["wormhole_b0"]
    assert max(own["tile"], key=lambda source: own["tile"][source]) == "simulated"
    assert max(own["launch"], key=lambda source: own["launch"][source]) == "point"
