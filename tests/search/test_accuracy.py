"""Schedules judged by emulation: what is asked of them, on which inputs."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, cast

import pytest
import torch
from torch import nn

from autosched.errors import SearchError
from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.schedule.outcomes import Rejection, RejectionKind, Verdict
from autosched.schedule.schedule import Schedule
from autosched.search import accuracy
from autosched.search.accuracy import AccuracyJudge
from autosched.search.settings import Settings
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from autosched.store.executions import ExecutionRecord
from autosched.store.trials import TrialRecord


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 32, 3)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self.head(self.conv(x).relu().mean((2, 3))))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return capture(_Classifier().eval(), (torch.randn(2, 16, 8, 8),), "net")


Figure = Callable[[torch.Tensor, torch.Tensor], float]


def judged(network: Network, figure: Figure | None, **floors: float | None) -> ExecutionRecord:
    schedule = default_schedule(network, "n150", "0.81.1", Formats())
    judge = AccuracyJudge(replace(network, metric=figure), 8, **{"min_pcc": None, **floors})
    found = judge.emulation(schedule)
    assert (judge.share(found) <= 1.0) == (found.verdict is Verdict.RIGHT)
    return found


def test_further_batches_are_judged_on_together(network: Network) -> None:
    seen: list[tuple[int, ...]] = []

    def figure(outputs: torch.Tensor, reference: torch.Tensor) -> float:
        seen.append(tuple(outputs.shape))
        assert not torch.equal(outputs, reference) or len(seen) == 1
        return float((outputs.argmax(1) == reference.argmax(1)).double().mean())

    batches = tuple((torch.randn(2, 16, 8, 8),) for _ in range(3))
    found = judged(replace(network, held_out=batches), figure, min_metric=0.1)
    assert seen == [(6, 10), (6, 10)]
    assert found.metric is not None
    assert found.metric * 6 == pytest.approx(round(found.metric * 6))


@pytest.mark.parametrize(("floor", "verdict"), [(0.5, Verdict.RIGHT), (1.0, Verdict.IMPRECISE)])
def test_a_schedule_is_exact_enough_by_the_figure(
    network: Network, floor: float, verdict: Verdict
) -> None:
    def error(outputs: torch.Tensor, reference: torch.Tensor) -> float:
        return 1.0 - float((outputs - reference).abs().max() / reference.abs().max())

    found = judged(network, error, min_metric=floor)
    assert found.verdict is verdict
    assert found.metric is not None
    assert 0.5 < found.metric < 1.0


@pytest.mark.parametrize(("floor", "verdict"), [(10.0, Verdict.RIGHT), (200.0, Verdict.IMPRECISE)])
def test_a_figure_may_have_no_best(network: Network, floor: float, verdict: Verdict) -> None:
    def decibels(outputs: torch.Tensor, reference: torch.Tensor) -> float:
        noise = float((outputs - reference).square().mean())
        return math.inf if not noise else 10 * math.log10(float(reference.square().mean()) / noise)

    assert judged(network, decibels, min_metric=floor).verdict is verdict


def test_below_the_pcc_nothing_else_is_computed(network: Network) -> None:
    calls: list[int] = []
    found = judged(
        network, lambda *_: float(calls.append(1) or 1.0), min_pcc=0.9999999, min_metric=0.5
    )
    assert found.verdict is Verdict.IMPRECISE
    assert (found.metric, len(calls)) == (None, 1)


def test_several_outputs_are_a_tuple() -> None:
    class Both(_Classifier):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
            image = self.conv(x)
            return image, image.relu()

    both = capture(Both().eval(), (torch.randn(2, 16, 8, 8),), "both")
    found = judged(both, lambda outputs, _: float(len(outputs)), min_metric=2.0)
    assert found.metric == 2.0


def test_a_floor_above_the_best_is_refused(network: Network) -> None:
    with pytest.raises(SearchError, match="PyTorch's own outputs have 1, and nothing has more"):
        judged(network, lambda *_: 1.0, min_metric=1.5)


def test_a_floor_of_a_figure_needs_one(network: Network) -> None:
    with pytest.raises(SearchError, match=r"define metric\(outputs, reference\)"):
        judged(network, None, min_metric=0.5)


def test_an_output_that_is_not_finite_is_named() -> None:
    class Infinite(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.exp(x * 1e6).relu()

    network = capture(Infinite().eval(), (torch.ones(1, 32, 4, 4),), "infinite", check=False)
    with pytest.raises(SearchError, match="is not finite in PyTorch itself"):
        AccuracyJudge(network, 8, 0.99)


@pytest.mark.parametrize("floor", [0.0, 1.0, -1.0, 99.0, float("nan")])
def test_a_floor_is_a_correlation(floor: float) -> None:
    with pytest.raises(SearchError, match="min-pcc"):
        Settings(min_pcc=floor)


def test_what_was_emulated_ahead_is_not_emulated_again(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    emulate_batches = accuracy.emulate_batches

    def watched(network: Network, schedule: Schedule, *others: Any) -> Any:
        begun.append(schedule.fingerprint())
        return emulate_batches(network, schedule, *others)

    monkeypatch.setattr(accuracy, "emulate_batches", watched)
    judge = AccuracyJudge(network, 8, 0.5)
    schedule = default_schedule(network, "n150", "0.81.1", Formats())
    alone = judge.emulation(schedule)
    with judge.ahead(schedule):
        pass
    assert judge.emulation(schedule) == alone
    assert len(begun) == 2
    assert judge.emulation(schedule) == alone
    assert len(begun) == 3


def test_an_emulation_is_given_up_where_the_schedule_does_not_run(network: Network) -> None:
    judge = AccuracyJudge(network, 8, 0.5)
    schedule = default_schedule(network, "n150", "0.81.1", Formats())
    threads = torch.get_num_threads()
    begun = []

    def interrupted() -> None:
        with judge.ahead(schedule):
            begun.append(judge._ahead)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with judge.ahead(schedule):
        begun.append(judge._ahead)
    lacks_room = Rejection(RejectionKind.L1_OVERFLOW, "no room")
    rejected = TrialRecord(schedule, "", datetime.now(timezone.utc), 0.0, rejection=lacks_room)
    assert judge.judged(rejected) == (rejected, None)
    assert all(ahead is not None and ahead.result.done() for ahead in begun)
    assert torch.get_num_threads() == threads
    assert judge.emulation(schedule).verdict is Verdict.RIGHT
