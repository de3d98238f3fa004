from dataclasses import replace

import numpy as np
import pytest

from autosched.cost.learning import Belief, Learner, Measured
from autosched.cost.model import CostModel
from autosched.cost.ops.families import is_known
from autosched.schedule.outcomes import DeviceOp
from tests.cost.records import Captures

NOISE_LOG = 0.01


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel.load("wormhole_b0")


@pytest.fixture(scope="module")
def ops(captures: Captures) -> dict[str, tuple[DeviceOp, ...]]:
    """What the captures ran, each on behalf of a layer of its own."""
    return {name: found for name, found in captures.items() if found and all(map(is_known, found))}


def times_of(truth: CostModel, ops: dict[str, tuple[DeviceOp, ...]]) -> list[Measured]:
    return [
        Measured(found, name, sum(map(truth.time_ns, found)), NOISE_LOG)
        for name, found in ops.items()
    ]


def other(learner: Learner, seed: int = 1) -> CostModel:
    """Coefficients three times as far from the model's as it says that they may be."""
    return learner.learn([]).model(seed, width=3.0)


def test_without_times_the_model_is_what_it_was(
    model: CostModel, ops: dict[str, tuple[DeviceOp, ...]]
) -> None:
    belief = Learner(model.coefficients).learn([])
    found = belief.estimates((own, name) for name, own in ops.items())
    expected = [sum(map(model.time_ns, own)) for own in ops.values()]
    assert found.time_ns == pytest.approx(expected, rel=1e-6)
    made = belief.model().coefficients.families["conv2d"].values
    assert made == pytest.approx(model.coefficients.families["conv2d"].values, rel=1e-6)


def test_features_move_logarithms_of_times(
    model: CostModel, ops: dict[str, tuple[DeviceOp, ...]]
) -> None:
    """To first order, by a small step in every direction of what is not known."""
    learner = Learner(model.coefficients)
    belief = learner.learn([])
    asked = [(own, name) for name, own in ops.items()]
    before = belief.estimates(asked)
    step = 1e-5 * np.random.default_rng(0).standard_normal(learner.count)
    moved = belief.moved_to(step).estimates(asked)
    wanted = before.features[:, : learner.count] @ step
    assert np.log(moved.time_ns / before.time_ns) == pytest.approx(wanted, rel=0.05, abs=1e-8)


def test_times_of_other_coefficients_are_learned(
    model: CostModel, ops: dict[str, tuple[DeviceOp, ...]]
) -> None:
    learner = Learner(model.coefficients)
    measured = times_of(other(learner), ops)
    before, after = learner.learn([]), learner.learn(measured)

    def errors(belief: Belief) -> list[float]:
        return [abs(belief.error_log(item)) for item in measured]

    assert np.mean(errors(before)) > 0.05
    assert np.mean(errors(after)) < 0.75 * np.mean(errors(before))
    # What is left of an op's own error is known where it was measured itself.
    found = after.estimates((item.ops, item.layer) for item in measured)
    real = np.array([item.time_ns for item in measured])
    assert np.abs(np.log(found.time_ns / real)).max() < 0.1


def test_what_was_measured_says_something_of_what_was_not(
    model: CostModel, ops: dict[str, tuple[DeviceOp, ...]]
) -> None:
    learner = Learner(model.coefficients)
    convolutions = {name: own for name, own in ops.items() if name in {"height", "block", "width"}}
    known = {name: own for name, own in convolutions.items() if name != "block"}
    slow = [
        replace(item, time_ns=1.5 * item.time_ns)
        for item in times_of(learner.learn([]).model(), known)
    ]
    asked = [(convolutions["block"], "block"), (ops["add"], "add")]
    before, after = (learner.learn(times).estimates(asked) for times in ([], slow))
    assert 1.1 < after.time_ns[0] / before.time_ns[0] < 1.5
    assert after.time_ns[1] == pytest.approx(before.time_ns[1], rel=0.02)
    spread = [
        belief.covariance(found.features)
        for belief, found in ((learner.learn([]), before), (learner.learn(slow), after))
    ]
    assert spread[1][0, 0] < 0.8 * spread[0][0, 0]
    assert spread[1][1, 1] <= spread[0][1, 1]


def test_a_time_that_fits_nothing_counts_less(
    model: CostModel, ops: dict[str, tuple[DeviceOp, ...]]
) -> None:
    learner = Learner(model.coefficients)
    right = times_of(model, {name: ops[name] for name in ("height", "block", "width", "pointwise")})

    wrong = [*right[:-1], replace(right[-1], time_ns=8.0 * right[-1].time_ns)]
    assert learner.learn(right).robust_noise() == pytest.approx(NOISE_LOG**2, rel=0.1)
    noise = learner.learn(wrong).robust_noise()
    assert noise[-1] > max(50 * NOISE_LOG**2, 2 * noise[:-1].max())


def test_draws_scatter_as_the_covariance_says(
    model: CostModel, ops: dict[str, tuple[DeviceOp, ...]]
) -> None:
    learner = Learner(model.coefficients)
    times = times_of(other(learner), ops)
    belief = learner.learn(times[::2])
    found = belief.estimates((item.ops, item.layer) for item in times)
    drawn = np.log([*belief.draws(found.features, 400, seed=3)])
    wanted = np.sqrt(np.diag(belief.covariance(found.features)))
    assert drawn.std(axis=0) == pytest.approx(wanted, rel=0.2)
    assert np.abs(drawn.mean(axis=0) / wanted).max() < 4 / np.sqrt(400)
    again = next(belief.draws(found.features, 1, seed=3))
    assert np.log(again) == pytest.approx(drawn[0])


def test_an_op_without_formulas_is_known_by_its_own_time(model: CostModel) -> None:
    strange = DeviceOp("NobodyKnowsDeviceOperation", "", (), ())
    learner = Learner(model.coefficients)
    time_ns = 3.0 * model.time_ns(strange)
    belief = learner.learn([Measured((strange,), "a", time_ns, NOISE_LOG)])
    found = belief.estimates([((strange,), "a")])
    assert found.time_ns[0] == pytest.approx(time_ns, rel=0.3)
    families = belief.model().coefficients.families
    for name, fit in model.coefficients.families.items():
        assert families[name].values == pytest.approx(fit.values, rel=1e-6)
