"""The best trial on a card is replayed before it is called so; a scripted card stands for one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import TimingSettings
from autosched.schedule.outcomes import Rejection, RejectionKind, Soaked
from autosched.schedule.schedule import Schedule
from autosched.search.open_study import open_study
from autosched.search.run import Run, SilentObserver
from autosched.search.soak import soak_best
from autosched.store.database import Store
from tests.examples.devices import Delegate
from tests.examples.networks import residual
from tests.examples.studied import QUICK, Studied


class Card(Delegate):
    """Says of each soak what it is told, in turn; then that all was well."""

    told: list[Soaked | Rejection]
    soaked: list[tuple[str, int]]

    def soak(
        self,
        schedule: Schedule,
        replays: int,
        budget: Budget = UNLIMITED,  # noqa: ARG002
    ) -> Soaked | Rejection:
        self.soaked.append((schedule.fingerprint(), replays))
        return self.told.pop(0) if self.told else Soaked(replays, 1.0)


class Listening(SilentObserver):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def on_warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def run(studied: Studied, store: Store) -> Iterator[Run]:
    """A search of three trials, whose times are taken as a card's."""
    with open_study(store, residual(), "n150", QUICK, None, studied.device()) as study:
        study.optimize(trials=3)
        card = Card(studied.device())
        card.kind, card.told, card.soaked = "silicon", [], []
        settings = replace_timing(study.settings, soak=700)
        yield replace(study._new_run(None), device=card, settings=settings, observer=Listening())


def replace_timing(settings: object, soak: int) -> object:
    plain = settings.to_plain()  # type: ignore[attr-defined]
    plain["timing"]["soak"] = soak
    return type(settings).from_plain(plain)  # type: ignore[attr-defined]


def warnings(run: Run) -> list[str]:
    assert isinstance(run.observer, Listening)
    return run.observer.warnings


def test_the_best_is_soaked_once_and_stands(run: Run) -> None:
    best = run.best
    assert best is not None
    assert soak_best(run) == Soaked(700, 1.0)
    assert run.device.soaked == [(best.fingerprint, 700)]
    assert (run.best, warnings(run)) == (best, [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Soaked(700, 1.0, differs_after=350), "replay 350 gave other outputs than the first"),
        (Rejection(RejectionKind.HANG, "no answer within 260 s"), "no answer within 260 s"),
    ],
)
def test_one_that_wavers_or_hangs_gives_way_to_the_next(
    run: Run, answer: Soaked | Rejection, words: str
) -> None:
    first = run.best
    assert first is not None
    run.device.told.append(answer)
    assert soak_best(run) == Soaked(700, 1.0)
    second = run.best
    assert second is not None
    assert second.fingerprint != first.fingerprint
    assert [name for name, _replays in run.device.soaked] == [
        first.fingerprint,
        second.fingerprint,
    ]
    (warning,) = warnings(run)
    assert words in warning
    assert f"trial {first.number} was the best" in warning
    (gone,) = [trial for trial in run.trials if trial.number == first.number]
    assert gone.rejection is not None


def test_nothing_is_left_where_none_stands_it(run: Run) -> None:
    run.device.told = [Soaked(700, 1.0, 1)] * 50
    assert soak_best(run) is None
    assert run.best is None


def test_estimates_are_not_soaked_nor_where_nobody_wants_it(run: Run, studied: Studied) -> None:
    assert soak_best(replace(run, device=studied.device())) is None
    off = replace_timing(run.settings, soak=0)
    assert soak_best(replace(run, settings=off)) is None
    assert run.device.soaked == []


def test_studies_of_before_have_the_default() -> None:
    plain = QUICK.to_plain()
    plain["timing"] = {"warm_ups": 2, "replays": 9}
    assert type(QUICK).from_plain(plain).timing == TimingSettings(2, 9, 5000)
