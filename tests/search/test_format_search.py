"""Formats searched on the real mock device, and judged by emulation."""

import contextlib
import re
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from autosched.errors import SearchError, StoreError
from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.numerics.sensitivity import loss
from autosched.probing import problem_builder
from autosched.probing.candidates import ProbedTables
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.schedule.configurations import precision_of
from autosched.schedule.outcomes import RejectionKind, Verdict
from autosched.schedule.tensors import DataType
from autosched.search import format_errors, format_search
from autosched.search.accuracy import AccuracyJudge
from autosched.search.format_errors import ErrorModel
from autosched.search.format_solver import FormatSolver
from autosched.search.open_study import create_study, load_study
from autosched.search.run import Run, SilentObserver
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.store.executions import ExecutionRecord
from autosched.store.trials import DEFAULT_SAMPLER


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(16, 64, 3, padding=1)
        self.conv1 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1)
        self.head = nn.Conv2d(64, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = (self.conv2(self.conv1(x).relu()) + x).relu()
        return cast("torch.Tensor", self.head(x))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return capture(_Net().eval(), (torch.randn(1, 16, 32, 32),), "net")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('accuracy') / 'store.sqlite3'}"


def opened(
    network: Network, storage: str, min_pcc: float, *, search: bool = True, name: str = ""
) -> Study:
    settings = Settings(
        device="mock",
        effort="quick",
        allow_known_faults=True,
        min_pcc=min_pcc,
        search_formats=search,
    )
    name = name or f"{'search' if search else 'fixed'}-{min_pcc:g}"
    return create_study(network, "n150", storage=storage, name=name, settings=settings)


@pytest.fixture(scope="module")
def latencies_us(network: Network, storage: str) -> dict[float, float]:
    """The best schedule's time by floor; each meets it."""
    found = {}
    for floor in (0.99, 0.9995):
        with opened(network, storage, floor) as study:
            best = study.optimize()
            assert best is not None
            assert best.schedule is not None
            assert best.latency_us is not None
            made = best.schedule.provenance
            assert made.emulated_pcc is not None
            assert made.emulated_pcc >= floor
            assert made.min_pcc == floor
            assert study.floor_bound_us is not None
            assert 0.9 < study.floor_bound_us / best.latency_us < 1.0 + 1e-12
            assert f"PCC {made.emulated_pcc:.4f}" in made.verified
            judge = AccuracyJudge(network, study.board.grid[0], floor)
            assert judge.emulation(best.schedule).pcc == pytest.approx(made.emulated_pcc, abs=1e-6)
            found[floor] = best.latency_us
    return found


def test_a_higher_floor_takes_longer(latencies_us: dict[float, float]) -> None:
    assert latencies_us[0.99] < latencies_us[0.9995]


def test_what_was_measured_once_is_not_again(
    network: Network, storage: str, latencies_us: dict[float, float]
) -> None:
    watching = _Counting()
    with opened(network, storage, 0.999) as study:
        study.optimize(observer=watching)
        assert study.probe_counts.reused > study.probe_counts.run
    assert watching.measured <= 1  # the layers are gone through, but nothing is measured
    assert latencies_us


class _Counting(SilentObserver):
    measured = 0

    def on_phase(
        self, phase: Phase, done: int, _total: int, _detail: str, _counts: ProbeCounts
    ) -> None:
        self.measured += phase is Phase.SENSITIVITY and done == 0


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Sequence[float]]]:
    """What candidates are said to cost more each time that they are asked in other formats."""
    seen = []
    in_other_formats = problem_builder.in_other_formats

    def watched(network: Network, tables: ProbedTables, *others: Any, **named: Any) -> ProbedTables:
        more_us = named["more_us"]
        assert all(len(more_us[name]) == len(tables.kept[name]) for name in more_us)
        seen.append(more_us)
        return in_other_formats(network, tables, *others, **named)

    monkeypatch.setattr(problem_builder, "in_other_formats", watched)
    return seen


def test_what_candidates_cost_more_in_schedules_is_known_before_others_are_asked(
    network: Network,
    storage: str,
    latencies_us: dict[float, float],
    costs: list[dict[str, Sequence[float]]],
) -> None:
    assert latencies_us
    with opened(network, storage, 0.985) as study:
        study.optimize()
    (more_us,) = costs
    for name in ("stem", "conv1", "conv2", "head"):
        assert min(more_us[name]) == pytest.approx(0.0)
        assert max(more_us[name]) > 1.0


def test_where_a_floor_is_not_met_all_candidates_are_asked(
    network: Network, storage: str, costs: list[dict[str, Sequence[float]]]
) -> None:
    with (
        opened(network, storage, 0.9999999, name="widely") as study,
        pytest.raises(SearchError),
    ):
        study.optimize()
    first, *others = costs
    assert set(first) == {layer.name for layer in network}
    assert others == [{}, {}]


def test_damaged_errors_of_formats_are_named(
    network: Network, storage: str, latencies_us: dict[float, float], tmp_path: Path
) -> None:
    assert latencies_us
    copy = tmp_path / "store.sqlite3"
    shutil.copy(storage.removeprefix("sqlite:///"), copy)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE autosched_sensitivity SET errors = x'00'")
        connection.commit()
    with (
        opened(network, f"sqlite:///{copy}", 0.98) as study,
        pytest.raises(StoreError, match=r"errors of formats of layer .*cannot be read"),
    ):
        study.optimize()


@pytest.fixture
def judged_before(storage: str, latencies_us: dict[float, float], tmp_path: Path) -> str:
    """Both studies as an earlier emulation judged them."""
    assert latencies_us
    copy = tmp_path / "store.sqlite3"
    with (
        contextlib.closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as original,
        contextlib.closing(sqlite3.connect(copy)) as connection,
    ):
        original.backup(connection)  # what lies beside the file, too
        connection.execute("UPDATE autosched_verification SET toolchain = '5'")
        connection.commit()
    return f"sqlite:///{copy}"


def test_what_an_earlier_emulation_judged_is_judged_anew(
    network: Network, judged_before: str
) -> None:
    with opened(network, judged_before, 0.99) as study:
        before = study.best
        assert before is not None
        assert before.schedule is not None
        made = before.schedule.provenance
        assert made.emulated_pcc is None
        assert "PCC not judged as it is now, at least 0.99 asked for" in made.verified
        study.optimize(trials=0)
        again = study.best
    assert again is not None
    assert again.schedule is not None
    assert again.number == before.number
    assert again.schedule.provenance.emulated_pcc is not None


def test_what_is_below_the_floor_by_today_s_emulation_is_best_no_more(
    network: Network, judged_before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(network, judged_before, 0.9995) as study:
        before = study.best
        assert before is not None
        assert before.number is not None
        worse = ExecutionRecord(Verdict.IMPRECISE, 0.9, 0.9)
        monkeypatch.setattr(AccuracyJudge, "emulation", lambda *_: worse)
        study.optimize(trials=0)
        assert study.best is None
        rejection = study.trials[before.number].rejection
    assert rejection is not None
    assert rejection.kind is RejectionKind.ACCURACY


def test_below_the_floor_a_trial_is_rejected_for_its_accuracy(
    network: Network, storage: str
) -> None:
    with opened(network, storage, 0.99999, search=False) as study:
        study.optimize(trials=1)
        default = study.trials[0]
        assert default.sampler == DEFAULT_SAMPLER
        assert default.rejection is not None
        assert default.rejection.kind is RejectionKind.ACCURACY
        assert "PCC 0.9" in default.rejection.message
        assert default.latency_us is not None
        assert study.best is None


def test_an_unreachable_floor_names_the_best_pcc_and_layers(network: Network, storage: str) -> None:
    with (
        opened(network, storage, 0.9999999) as study,
        pytest.raises(
            SearchError, match=r"the most exact found has a PCC of 0\.99\d+, emulated"
        ) as error,
    ):
        study.optimize()
    told = [trial.rejection.message for trial in study.summaries if trial.rejection is not None]
    most_exact = max(re.findall(r"PCC ([01]\.\d{4})", " ".join(told)))
    named = re.search(r"most exact found has a PCC of (0\.\d+)", str(error.value))
    assert named is not None
    assert float(named[1]) == pytest.approx(float(most_exact), abs=6e-5)
    assert "Most of the error is of" in str(error.value)
    assert "stem" in str(error.value) or "conv" in str(error.value)


def test_a_search_that_goes_on_names_the_most_exact_schedule_of_before(
    network: Network, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named(study: Study) -> str:
        with study, pytest.raises(SearchError) as error:
            study.optimize()
        found = re.search(r"most exact found has a PCC of (0\.\d+)", str(error.value))
        assert found is not None
        return found[1]

    begun = opened(network, storage, 0.9999999, name="goes on")
    before = named(begun)
    solve = FormatSolver.solve
    monkeypatch.setattr(FormatSolver, "solve", lambda self, _: solve(self, 1.0))
    assert named(load_study(begun.name, storage=storage, network=network)) == before


def test_where_measured_errors_mislead_those_of_the_formats_kinds_decide(
    network: Network, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = format_errors.measured_errors

    def reversed_(run: Run) -> ErrorModel:
        found = {}
        for layer, keys in measured(run).found.items():
            ranked = sorted(keys, key=lambda key: loss(keys[key]))
            found[layer] = dict(zip(ranked, [keys[key] for key in ranked[::-1]], strict=True))
        return ErrorModel(found)

    monkeypatch.setattr(format_errors, "measured_errors", reversed_)
    with opened(network, storage, 0.9994) as study:
        best = study.optimize()
        assert any(trial.rejection is not None for trial in study.trials[1:])
    assert best is not None
    assert best.sampler != DEFAULT_SAMPLER
    assert best.schedule is not None
    assert (best.schedule.provenance.emulated_pcc or 0.0) >= 0.9994


def test_pinned_formats_stay(network: Network, storage: str) -> None:
    pins = ("conv1:weights_dtype=bfloat16", "conv1:math_fidelity=HiFi4")
    settings = Settings(
        device="mock",
        effort="quick",
        allow_known_faults=True,
        min_pcc=0.99,
        search_formats=True,
        pinned=pins,
    )
    with create_study(network, "n150", storage=storage, name="pins", settings=settings) as study:
        best = study.optimize()
    assert best is not None
    assert best.schedule is not None
    precision = precision_of(best.schedule.layers["conv1"])
    assert precision is not None
    assert (precision.weights, precision.fidelity) == (DataType.BFLOAT16, "HiFi4")


@pytest.mark.parametrize(
    ("losses", "budget"),
    [
        ([(0.5, 0.475)], 1.0),
        ([(0.5, 0.95), (0.25, 0.475)], 0.5),
        ([(2.0, 1.9)], 1.0),
        ([(0.5, 0.95), (2.0, 1.9)], pytest.approx(1.0)),
        ([(0.5, 0.6), (0.8, 1.5)], pytest.approx(0.8 * 0.95 / 1.5)),
        ([(0.5, 0.6), (0.8, 1.9)], pytest.approx(0.4**0.5)),
        ([(0.95, 0.6), (1.6, 1.9)], pytest.approx((0.95 * 1.6) ** 0.5)),
        ([(0.99, 0.6), (1.0, 1.5)], None),
        ([(1.2, 0.6), (1.0, 1.9)], 0.5),
    ],
)
def test_a_budget_lies_between_what_was_exact_enough_and_what_was_not(
    losses: list[tuple[float, float]], budget: float | None
) -> None:
    budgets = format_search._Budgets(1.0)
    for predicted, actual in losses:
        found = budgets.corrected(predicted, actual)
    assert found == budget


def test_losses_of_nearly_the_same_choice_say_nothing_of_larger_ones() -> None:
    budgets = format_search._Budgets(1.0)
    budgets.corrected(0.50, 0.800)
    assert budgets.corrected(0.51, 0.801) == pytest.approx(0.51 * 0.95 / 0.801)


def test_once_a_budget_is_just_below_what_was_not_exact_enough() -> None:
    budgets = format_search._Budgets(1.0)
    assert budgets.below() is None
    budgets.corrected(0.5, 0.6)
    assert budgets.below() is None
    budgets.corrected(0.8, 1.5)
    assert 0.79 < (budgets.below() or 0.0) < 0.8
    assert budgets.below() is None
    budgets.corrected(0.7, 1.2)
    assert 0.69 < (budgets.below() or 0.0) < 0.7
