"""The searches that are timed, without a device: how they are asked for."""

import time
import tracemalloc
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from autosched.bench.speed import measure_speed, proposals_ms
from autosched.search.settings import Settings
from tests.examples.networks import residual
from tests.examples.studied import Studied


def test_every_proposal_is_timed(either: Studied) -> None:
    begin = time.perf_counter()
    times = proposals_ms(either.joint)
    assert len(times) == 20
    assert min(times) > 0
    assert sum(times) <= 1e3 * (time.perf_counter() - begin)
    assert not tracemalloc.is_tracing()


def test_all_searches_are_of_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of others, the parts would be timed on what the jobs did not probe, or be refused."""
    asked: list[tuple[str, Settings]] = []
    opened: list[int | None] = []
    study = SimpleNamespace(optimize=lambda **_: None, prepare=lambda: None, best=None, trials=[])

    def create_study(*_: object, name: str, settings: Settings, **_more: object) -> Any:
        asked.append((name, settings))
        return nullcontext(study)

    def open_pool(_board: object, *, jobs: int) -> Any:
        opened.append(jobs)
        return nullcontext(SimpleNamespace(start=lambda _workers: None))

    monkeypatch.setattr("autosched.bench.speed.create_study", create_study)
    monkeypatch.setattr("autosched.bench.speed.open_pool", open_pool)
    monkeypatch.setattr("autosched.bench.speed.proposals_ms", lambda _: [3.0])
    settings = Settings(device="mock", effort="quick")
    speed = measure_speed(residual, "n150", settings, trials=2, jobs=2)
    assert (speed.jobs, speed.proposal_ms, speed.add_trial_ms) == (2, 3.0, None)
    assert asked == [(name, settings) for name in ("empty", "filled", "empty", "filled")]
    assert opened == [2, 2, 1]
