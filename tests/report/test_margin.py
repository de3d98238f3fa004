import io
from dataclasses import replace

import pytest
from rich.console import Console

from autosched.cost.model import CostModel
from autosched.report.margin import Margin, RunnerUp, margin_of, print_margin
from autosched.schedule.outcomes import TimeKind
from autosched.store.trials import TrialRecord
from tests.examples.trials import trial


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel.load("wormhole_b0")


def named(number: int, latency_us: float, sampler: str = "joint", ops: int = 4) -> TrialRecord:
    found = trial(number, latency_us, sampler)
    known = [op for op in found.ops if not op.code.startswith(("Conv2d", "Halo"))]
    return replace(found, fingerprint=f"schedule {number}", ops=tuple(known[:ops]))


DEFAULT, NEXT, BEST = named(0, 175.0, "default"), named(1, 101.0, ops=3), named(2, 100.0, ops=1)


def recalled(number: int) -> TrialRecord:
    return {0: DEFAULT, 1: NEXT, 2: BEST}[number]


def printed(margin: Margin) -> str:
    file = io.StringIO()
    print_margin(Console(file=file, width=200, highlight=False, markup=False), margin)
    return file.getvalue()


def test_the_lead_is_a_probability(model: CostModel) -> None:
    summaries = [replace(item, schedule=None, ops=()) for item in (DEFAULT, NEXT, BEST)]
    found = margin_of(BEST, summaries, model, recalled)
    assert found is not None
    assert found.faster_than_default == model.probability_faster(BEST.ops, DEFAULT.ops)
    assert found.runner_up is not None
    assert found.runner_up.trial == 1
    assert found.runner_up.layers == ()
    assert found.runner_up.probability == model.probability_faster(BEST.ops, NEXT.ops) > 0.5
    assert found.to_plain()["runner_up"]["trial"] == 1
    assert "tensors moved otherwise" in printed(found)


def test_measured_times_have_no_margin(model: CostModel) -> None:
    measured = replace(BEST, latency_kind=TimeKind.MEASURED)
    assert margin_of(measured, [DEFAULT, measured], model, recalled) is None
    assert margin_of(None, [DEFAULT], model, recalled) is None


def test_nothing_else_ran(model: CostModel) -> None:
    found = margin_of(BEST, [BEST], model, recalled)
    assert found == Margin(None, None)
    assert printed(found) == ""


def test_a_margin_in_words() -> None:
    near = Margin(0.9999, RunnerUp(7, 101.0, 0.6, ("conv1", "conv2", "conv3")))
    said = printed(near)
    assert "with probability above 0.999" in said
    assert "trial 7 (conv1, conv2 and 1 more otherwise)" in said
    assert "by less than the model's error" in said
    far = Margin(0.97, RunnerUp(7, 150.0, 0.95, ("conv1",)))
    assert "by more than the model's error; it is slower with probability 0.95" in printed(far)
    chosen = Margin(0.97, RunnerUp(1, 99.0, 0.42, ("conv1",), is_faster=True))
    assert "Fastest by its estimate: trial 1 (conv1 otherwise), 99.0" in printed(chosen)
    assert "chosen as it risks less (--risk), and is the faster with probability 0.42" in printed(
        chosen
    )
    assert "Runner-up" not in printed(chosen)
