from sqlalchemy import delete

from autosched.budget import UNLIMITED, Budget
from autosched.cost.model import CostModel
from autosched.device.interface import Request
from autosched.device.revisions import current_revisions
from autosched.errors import TimeUpError
from autosched.learning.session import LearningEnd, learn, median_error
from autosched.schedule.outcomes import AloneTime, Rejection, RejectionKind, TimeKind
from autosched.store.calibrations import load_measurements
from autosched.store.database import Store
from autosched.store.models import MeasurementRow
from tests.examples.devices import Records, ReplayDevice
from tests.learning.cards import Noting
from tests.learning.conftest import FIRST, WANTED, Taught, task_of


def test_forty_times_bring_the_regret_under_two_percent(taught: Taught) -> None:
    """The card is none: its times are by coefficients three standard errors off, and noise."""
    assert taught.regret_before > 0.05
    assert taught.regret_after < 0.02


def test_an_interrupted_session_goes_on_and_asks_nothing_twice(taught: Taught) -> None:
    lesson = taught.lesson
    assert taught.interrupted == FIRST == lesson.known
    assert lesson.known + lesson.taken == len(taught.asked) <= WANTED
    assert len(set(taught.asked)) == len(taught.asked)
    assert taught.told[0] == FIRST
    assert taught.told[-1] == len(taught.asked)


def test_every_time_is_stored_with_the_model_that_chose_it(
    taught: Taught, kept: Store, cost: CostModel
) -> None:
    found = load_measurements(kept, task_of(kept, nobody(), cost).card, current_revisions())
    assert len(found) == len(taught.asked)
    assert {item.chosen_by for item in found} == {cost.version}
    assert all(isinstance(item.outcome, AloneTime) for item in found)


def test_once_all_is_known_nothing_is_asked(taught: Taught, kept: Store, cost: CostModel) -> None:
    lesson = learn(task_of(kept, nobody(), cost), Silent(), len(taught.asked), Noting())
    assert lesson.taken == 0
    assert lesson.known == len(taught.asked)
    assert lesson.coefficients == taught.lesson.coefficients
    assert lesson.changed == taught.lesson.changed


def test_a_lesson_says_what_changes_and_what_is_measured(taught: Taught) -> None:
    lesson = taught.lesson
    assert lesson.changed
    assert lesson.after.time_us < lesson.before.time_us
    assert lesson.probability_faster > 0.9
    before, after = map(median_error, lesson.errors_log)
    assert after < 0.5 * before
    assert lesson.expected_loss_us[1] < lesson.expected_loss_us[0]
    kinds = [kind for item in lesson.changed for kind in (item.was_kind, item.now_kind)]
    assert TimeKind.MEASURED in kinds


def test_what_a_card_refuses_or_loses_is_no_time(kept: Store, cost: CostModel) -> None:
    task = task_of(kept, nobody(), cost)
    (known, *_) = load_measurements(kept, task.card, current_revisions())
    with kept.writing() as session:
        session.execute(delete(MeasurementRow))
    noting = Noting()
    lesson = learn(task, Moody(known.outcome), 5, noting)
    assert lesson.ended is LearningEnd.TIME
    assert (lesson.taken, lesson.rejected) == (3, 2)
    refused, timed = load_measurements(kept, task.card, current_revisions())
    assert isinstance(refused.outcome, Rejection)
    assert isinstance(timed.outcome, AloneTime)
    assert lesson.coefficients.version != cost.version
    left = noting.decisions[-1][0].timetable
    assert noting.answers[0][0] not in left.of_layers


def nobody() -> ReplayDevice:
    """A mock device that knows nothing: whatever is asked was stored before."""
    return Records().replay()


class Silent:
    """A card that must not be asked."""

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        raise AssertionError(request, budget)


class Moody:
    """A card that refuses, answers, crashes, and has no time any more."""

    def __init__(self, answer: AloneTime | Rejection) -> None:
        self._answer = answer
        self._number = 0

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        budget.check()
        self._number += 1
        match self._number:
            case 1:
                return Rejection(RejectionKind.L1_OVERFLOW, f"no room for {request}")
            case 2:
                return self._answer
            case 3:
                return Rejection(RejectionKind.CRASH, "the worker process ended")
        raise TimeUpError
