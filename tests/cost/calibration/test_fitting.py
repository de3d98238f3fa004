import numpy as np
import pytest

from autosched.cost.calibration.fitting import (
    Design,
    Sample,
    fit,
    fit_together,
    predicted_logs,
    samples_of,
)
from autosched.cost.calibration.observations import read_observations, shipped_paths
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import Prior, Resource, Work, WorkStage

PRIOR = {"launch": Prior(1000.0, Resource.LAUNCH), "tile": Prior(50.0, Resource.COMPUTE)}
RATIO = {name: Prior(100.0, Resource.COMPUTE, 0.5, blackhole=0.5, tie=0.2) for name in PRIOR}


def sample(tiles: float, cycles: float, **more: object) -> Sample:
    work = Work("move", {"launch": 1.0, "tile": tiles})
    return Sample(work, cycles, f"{tiles} tiles", **more)  # type: ignore[arg-type]


def test_slopes_are_those_of_the_cycles() -> None:
    paths = {path.stem: path for path in shipped_paths()}
    families = samples_of(read_observations(paths["silicon"]), "blackhole")
    for family in ("conv2d", "binary", "padded_slice", "matmul"):
        design = Design(families[family], list(PRIORS[family]))
        values = np.array([prior.value for prior in PRIORS[family].values()])
        cycles, slopes = design.cycles_and_slopes(values)
        for place in range(len(values)):
            step = 1e-6 * values[place] * np.eye(len(values))[place]
            change = (design.cycles(values + step) - cycles) / step[place]
            assert change == pytest.approx(slopes[:, place], rel=2e-3, abs=2e-3 * slopes.max())


def test_a_fit_finds_what_the_samples_show() -> None:
    samples = [sample(n, 2000.0 + 90.0 * n) for n in (1, 5, 20, 100, 400)]
    found = fit(samples, PRIOR)
    assert found["tile"] == pytest.approx(90.0, rel=0.05)
    assert found["launch"] == pytest.approx(2000.0, rel=0.1)


def test_what_is_not_to_be_fitted_keeps_its_prior() -> None:
    samples = [sample(n, 2000.0 + 90.0 * n) for n in (1, 5, 20, 100, 400)]
    found = fit(samples, PRIOR, only=("launch",))
    assert found["tile"] == pytest.approx(50.0, rel=1e-3)


def test_members_of_a_bundle_tell_their_ratio_alone() -> None:
    """Ten times too slow a simulation, in which a tile costs a tenth of a launch."""
    members = [sample(n, 10_000.0 + 1000.0 * n, bundle="one") for n in (1, 5, 20, 100)]
    anchor = [sample(1e-3, 1000.0)]
    found = fit([*anchor, *members], PRIOR)
    assert found["launch"] == pytest.approx(1000.0, rel=0.05)
    assert found["tile"] == pytest.approx(100.0, rel=0.1)


def test_architectures_lean_on_each_other_at_their_ratio() -> None:
    samples = {"wormhole_b0": [sample(n, 400.0 + 400.0 * n) for n in (1, 5, 20)], "blackhole": []}
    priors = {arch: {name: prior.on(arch) for name, prior in RATIO.items()} for arch in samples}
    found = fit_together(samples, priors)
    for name, value in found["wormhole_b0"].items():
        assert found["blackhole"][name] == pytest.approx(value / 2)


def test_stages_are_exposed_by_what_does_not_hide_them() -> None:
    stages = (
        WorkStage("read", {"tile": 10.0}, ("overlap",)),
        WorkStage("compute", {"launch": 1.0}),
    )
    one = Sample(Work("move", {}, stages), 1.0, "one")
    values = {"launch": 100.0, "tile": 5.0, "overlap": 0.6}
    assert predicted_logs([one], values)[0] == pytest.approx(0.4 * 50 + 100)
