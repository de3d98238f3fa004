from math import log

import numpy as np
import pytest

from autosched.cost.calibration.fitting import Sample
from autosched.cost.calibration.scores import cross_validate, score
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import Work


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
