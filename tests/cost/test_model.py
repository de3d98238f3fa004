import gc
import pickle
import weakref
from dataclasses import replace
from math import hypot, inf

import pytest

from autosched.cost import model as model_module
from autosched.cost.coefficients import FORMAT
from autosched.cost.model import COMMON, CostModel, spending
from autosched.errors import ProfileError
from tests.cost.records import Captures


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel.load("wormhole_b0")


def test_shipped_coefficients_exist_for_both_architectures() -> None:
    for arch in ("wormhole_b0", "blackhole"):
        shipped = CostModel.load(arch)
        assert shipped.version.startswith(f"{arch}-{FORMAT}-")
        assert shipped.coefficients.families["conv2d"].rows > 10


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ProfileError, match="no cost model for architecture 'grayskull'"):
        CostModel.load("grayskull")


def test_every_op_gets_a_time(model: CostModel, captures: Captures) -> None:
    ops = tuple(op for capture in captures.values() for op in capture)
    timed = model.estimate(ops)
    assert all(op.time_ns is not None and op.time_ns > 100 for op in timed)
    assert [replace(op, time_ns=None) for op in timed] == list(ops)


def test_an_unknown_op_says_so(model: CostModel, captures: Captures) -> None:
    found = model.predict(captures["sort"][0])
    assert not found.known
    assert found.stderr_log >= 1
    assert found.time_ns > 1000


def test_terms_explain_the_time(model: CostModel, captures: Captures) -> None:
    found = model.predict(captures["height"][-1])
    assert found.known
    assert sum(found.terms.values()) == pytest.approx(found.time_ns)
    assert found.terms["matmul_phase"] > 0


def test_a_time_splits_into_resources_and_no_engine_is_needed_longer(
    model: CostModel, captures: Captures
) -> None:
    for ops in captures.values():
        for found in map(model.predict, ops):
            assert sum(found.split.values()) == pytest.approx(found.time_ns)
            assert all(0 <= share <= 1 for share in found.utilisation.values())
    conv = model.predict(captures["height"][-1])
    assert conv.split["compute"] > conv.terms["matmul_phase"]
    assert conv.utilisation["matrix"] > 0.1
    assert sum(conv.provenance.values()) == pytest.approx(1)


def test_several_ops_spend_together(model: CostModel, captures: Captures) -> None:
    predictions = [model.predict(op) for op in captures["height"]]
    both = spending(predictions)
    total_us = sum(found.time_ns for found in predictions) / 1e3
    assert sum(both.split_us.values()) == pytest.approx(total_us)
    name, share, _ = both.limit.split()
    assert float(share) == pytest.approx(100 * both.split_us[name] / total_us, abs=0.5)
    assert both.columns()["LIMITED BY"] == both.limit
    assert not spending([]).limit


def test_times_of_a_prediction_and_an_estimate_agree(model: CostModel, captures: Captures) -> None:
    for op in captures["block"]:
        assert model.time_ns(op) == pytest.approx(model.predict(op).time_ns)


def test_batch_one_layers_take_what_such_layers_take(model: CostModel, captures: Captures) -> None:
    assert 5_000 < model.time_ns(captures["height"][-1]) < 30_000
    assert 2_000 < model.time_ns(captures["pointwise"][-1]) < 12_000
    # Width sharding with both double buffers: 0.60 to 0.62 where readers and compute balance.
    double, single = (
        model.time_ns(captures[name][-1]) for name in ("width_double_buffer", "width")
    )
    assert 0.5 < double / single < 0.85


def test_far_from_the_data_the_error_grows(model: CostModel, captures: Captures) -> None:
    near = captures["height"][-1]
    huge = near.attributes.replace(
        "Conv2dParallelizationConfig(<xy_pair>, 49, 1, 1, 2, 2)",
        "Conv2dParallelizationConfig(<xy_pair>, 49, 1, 1, 20000, 64)",
    )
    assert huge != near.attributes
    far = model.predict(replace(near, attributes=huge))
    assert far.extrapolates
    assert far.stderr_log > 2 * model.predict(near).stderr_log


def test_what_no_timed_op_leans_on_is_less_certain() -> None:
    for arch in ("wormhole_b0", "blackhole"):
        fit = CostModel.load(arch).coefficients.families["conv2d"]
        spreads = {name: hypot(*row) for name, row in fit.factor.items()}
        assert spreads["costly_function_tile"] > 0.4
        assert min(spreads.values()) < 0.1


def test_a_prediction_says_where_it_extrapolates(model: CostModel, captures: Captures) -> None:
    assert not model.predict(captures["block"][-1]).extrapolates
    unseen = replace(captures["add"][0], code="ConvertToHWCDeviceOperation")
    found = model.predict(unseen)
    assert found.extrapolates
    assert found.outside == inf
    assert found.stderr_log > model.predict(captures["add"][0]).stderr_log


def test_a_share_of_time_lies_outside_the_calibration(model: CostModel, captures: Captures) -> None:
    conv = captures["block"][-1]
    unseen = replace(captures["add"][0], code="ConvertToHWCDeviceOperation")
    far_ns, near_ns = (model.predict(op).time_ns for op in (unseen, conv))
    assert model.outside_share([conv]) == 0.0
    assert model.outside_share([conv, unseen]) == pytest.approx(far_ns / (far_ns + near_ns))
    assert model.outside_share([]) == 0.0


def test_misfits_of_a_sum_average_out(model: CostModel, captures: Captures) -> None:
    conv = captures["height"][-1]
    one = model.predict(conv).stderr_log
    assert model.stderr_log([conv]) == pytest.approx(one)
    misfit = model.coefficients.families["conv2d"].error
    shared = model.predict(conv).outside * misfit
    assert model.stderr_log([conv] * 4) == pytest.approx(hypot(misfit / 2, shared))
    assert model.stderr_log([]) == 0
    errors = [model.predict(op).stderr_log for op in captures["height"]]
    assert 0 < model.stderr_log(captures["height"]) < max(errors)


def test_errors_of_one_class_do_not_average_out(model: CostModel, captures: Captures) -> None:
    conv, add = captures["height"][-1], captures["add"][0]
    one = model.predict(conv).stderr_log
    assert model.total_std_error([conv]) == pytest.approx(one)
    misfit = model.coefficients.families["conv2d"].error
    shared = model.predict(conv).outside * misfit
    all_alike = hypot(misfit * COMMON**0.5, shared)
    assert model.total_std_error([conv] * 400) == pytest.approx(all_alike, rel=0.01)
    assert model.total_std_error([]) == 0
    mixed = model.total_std_error([conv, add] * 10)
    assert model.stderr_log([conv, add] * 10) < mixed
    assert mixed < max(one, model.predict(add).stderr_log)


def test_equal_ops_are_remembered_once_and_none_of_them_is_kept(captures: Captures) -> None:
    fresh = CostModel.load("wormhole_b0")
    first = captures["height"][-1]
    equal = [pickle.loads(pickle.dumps(first)) for _ in range(1000)]  # noqa: S301 - just made
    assert len({fresh.time_ns(op) for op in equal}) == 1
    fresh.estimate(equal)
    fresh.total_std_error(equal)
    fresh.stderr_log(equal)
    assert fresh.remembered == 1
    last = weakref.ref(equal[-1])
    del equal
    gc.collect()
    assert last() is None


def test_what_is_remembered_has_a_bound(
    captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "REMEMBERED_OPS", 10)
    fresh = CostModel.load("wormhole_b0")
    ops = [replace(captures["add"][0], factory=f"Factory{number}") for number in range(100)]
    times = [fresh.time_ns(op) for op in ops]
    assert fresh.remembered == 10
    assert [fresh.time_ns(op) for op in ops] == times
