from dataclasses import replace
from math import log

import numpy as np
import pytest

from autosched.cost.coefficients import covariance_of
from autosched.cost.model import CostModel
from autosched.cost.ops.families import read_features, work_of
from autosched.cost.ops.work import Work, cycles_of
from autosched.cost.uncertainty import (
    COMMON,
    OF_A_LAYER,
    Doubt,
    FreeFamily,
    Part,
    chance_below_zero,
    reach,
    slopes_of,
    variance_ns,
)
from tests.cost.records import Captures


@pytest.fixture(scope="module")
def models() -> dict[str, CostModel]:
    return {arch: CostModel.load(arch) for arch in ("wormhole_b0", "blackhole")}


def test_slopes_are_those_of_the_cycles(models: dict[str, CostModel], captures: Captures) -> None:
    for model in models.values():
        for op in [op for name in ("height", "block", "width", "add") for op in captures[name]]:
            work = work_of(read_features(op))
            values = dict(model.coefficients.families[work.family].values)
            slopes = slopes_of(work, values)
            for name, value in values.items():
                step = 1e-6 * value
                up, down = (
                    cycles_of(work, {**values, name: value + sign * step}) for sign in (1, -1)
                )
                wanted = (up - down) / (2 * step)
                assert slopes.get(name, 0.0) == pytest.approx(wanted, rel=1e-3, abs=1e-3)


def test_a_reach_is_the_largest_factor_beyond_the_bounds() -> None:
    low, high = {"tile": 2.0}, {"tile": 100.0}

    def beyond(tiles: float) -> float:
        return reach(Work("move", {"launch": 1.0, "tile": tiles}), low, high)

    assert beyond(50.0) == 0.0
    assert beyond(200.0) == pytest.approx(log(2))
    assert beyond(1.0) == pytest.approx(log(2) / 2)


def test_the_same_op_is_judged_alike_on_both_architectures(
    models: dict[str, CostModel], captures: Captures
) -> None:
    for name in ("height", "block", "pointwise"):
        conv = captures[name][-1]
        far = [model.predict(conv).extrapolates for model in models.values()]
        assert far == [False, False], name


def test_what_both_have_cancels(models: dict[str, CostModel], captures: Captures) -> None:
    model = models["wormhole_b0"]
    conv, other = (
        replace(captures[name][-1], layer="conv1") for name in ("width_double_buffer", "width")
    )
    add = replace(captures["add"][0], layer="add")
    assert model.probability_faster([conv], [conv]) == 0.5
    alone = model.probability_faster([conv], [other])
    assert 0.9 < alone <= 1.0
    assert model.probability_faster([add] * 9 + [conv], [other] + [add] * 9) == alone
    assert model.probability_faster([other], [conv]) == pytest.approx(1 - alone)


def test_shared_coefficients_are_shared_errors() -> None:
    """Two ops that lean on one coefficient alike differ by nothing that it leaves open."""
    leaning = np.array([0.3, 0.0])
    doubt = Doubt("conv2d", 0.1, leaning, 0.3)
    pair = [Part(100.0, "one", doubt), Part(-100.0, "one", doubt)]
    own = (1.0 - COMMON - OF_A_LAYER) * 2 * (100.0 * 0.1) ** 2
    assert variance_ns(pair, COMMON, OF_A_LAYER) == pytest.approx(own)
    apart = [pair[0], replace(pair[1], doubt=replace(doubt, leaning=leaning[::-1]))]
    assert variance_ns(apart, COMMON, OF_A_LAYER) == pytest.approx(own + 2 * 30.0**2)


def test_a_layer_s_candidates_err_more_alike_than_layers_do() -> None:
    doubt = Doubt("conv2d", 0.1, np.zeros(0), 0.0)
    same, other = (
        variance_ns([Part(100.0, "a", doubt), Part(-90.0, name, doubt)], COMMON, OF_A_LAYER)
        for name in ("a", "b")
    )
    assert same < other


def test_a_chance_is_that_of_a_normal_error() -> None:
    assert chance_below_zero(-1.0, 1.0) == pytest.approx(0.8413, abs=1e-4)
    assert chance_below_zero(0.0, 0.0) == 0.5
    assert chance_below_zero(-1.0, 0.0) == 1.0


def test_risk_is_what_coefficients_leave_open(
    models: dict[str, CostModel], captures: Captures
) -> None:
    model = models["wormhole_b0"]
    conv, unknown = captures["height"][-1], captures["sort"][0]
    found = model.predict(conv)
    open_ns = model.risk_ns([conv])
    misfit = model.coefficients.families["conv2d"].error
    assert open_ns == pytest.approx(found.time_ns * found.outside * misfit)
    assert found.stderr_log == pytest.approx(np.hypot(misfit, open_ns / found.time_ns))
    assert model.risk_ns([unknown]) == pytest.approx(model.time_ns(unknown))
    assert model.risk_ns([conv, unknown]) == pytest.approx(open_ns + model.risk_ns([unknown]))


def test_a_family_stands_at_its_coefficients_and_moves_by_its_covariance(
    models: dict[str, CostModel], captures: Captures
) -> None:
    for model in models.values():
        for name, fit in model.coefficients.families.items():
            free = FreeFamily(name, fit, 7)
            values = dict(zip(free.names, free.values(free.start), strict=True))
            assert values == pytest.approx(fit.values, rel=1e-6)
            assert (free.place.start, free.place.stop) == (7, 8 + len(free.names))
        fit = model.coefficients.families["conv2d"]
        free = FreeFamily("conv2d", fit, 0)
        own, common = free.spread[:, :-1], free.spread[:, -1]
        wanted = covariance_of(free.names, fit.factor)
        assert own @ own.T == pytest.approx(wanted, abs=1e-9)
        work = work_of(read_features(captures["height"][-1]))
        slower = dict(zip(free.names, free.values(free.start + 0.1 * common), strict=True))
        told = log(cycles_of(work, slower) / cycles_of(work, fit.values))
        assert told == pytest.approx(0.1 * COMMON**0.5 * fit.error, rel=0.1)
