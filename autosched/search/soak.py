"""The winner is soaked before it is called best on a card: some hang, or waver, only then."""

from functools import partial
from typing import Protocol, cast

from autosched.device.interface import Device, Soaking
from autosched.probing.probe_book import Phase
from autosched.schedule.outcomes import Rejection, RejectionKind, Soaked
from autosched.search.run import Run
from autosched.store.trials import TrialRecord, get_trial, reject_trial

_MOST_LOST = 20
"""So many winners in a row that do not stand it are no accident of single schedules."""


class SoakingDevice(Device, Soaking, Protocol):
    """A device that can be soaked."""


def soak_best(run: Run) -> Soaked | None:
    """Soak the best trial, and reject it if it does not stand that, until one does.

    Times of the mock device are estimates, and nothing is soaked there. Returns None where nothing
    was, or no trial is left.

    Raises:
        TimeUpError: if the budget is up before the card has ended.
    """
    replays = run.settings.timing.soak
    if run.device.kind != "silicon" or not replays:
        return None
    device = cast("SoakingDevice", run.device)
    for _ in range(_MOST_LOST):
        best = run.best
        if best is None or best.schedule is None or best.number is None:
            return None
        run.enter(Phase.SOAKING)
        answer = device.soak(best.schedule, replays, run.budget)
        against = answer if isinstance(answer, Rejection) else _objection(answer)
        if against is None:
            return cast("Soaked", answer)
        run.budget.check()
        _reject(run, best, against)
        run.observer.on_warning(
            f"trial {best.number} was the best, and did not stand {replays:,} replays: {against}"
        )
    run.observer.on_warning(f"{_MOST_LOST} schedules in a row did not stand {replays:,} replays")
    return None


def _objection(answer: Soaked) -> Rejection | None:
    if answer.differs_after is None:
        return None
    return Rejection(
        RejectionKind.ACCURACY,
        f"replay {answer.differs_after:,} gave other outputs than the first, on the same inputs",
    )


def _reject(run: Run, trial: TrialRecord, against: Rejection) -> None:
    number = trial.number
    assert number is not None  # noqa: S101 - a stored trial's
    reject_trial(run.store, run.record, number, against)
    run.forget_best()
    if run.mirror is not None:
        run.mirror.renew(run.trials, partial(get_trial, run.store, run.record))
