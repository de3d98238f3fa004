"""What a sampler proposes is proposed once."""

from dataclasses import replace

import pytest

from autosched.budget import Budget
from autosched.probing.joint_problem import Selection, spill_edges
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.schedule.schedule import Provenance
from autosched.search.samplers.proposals import SAMPLERS, Proposals, telling_trials
from autosched.store.trials import TrialRecord
from tests.examples.studied import Studied
from tests.search.samplers.fake_study import record_of

WHERE = Provenance("net", "signature", "n150", "0")


class Stubborn:
    """Proposes the same schedule over and over, in two ways: a spill of what is in DRAM already."""

    def __init__(self, *choices: Selection) -> None:
        self.choices = choices
        self.asked = 0
        self.told: list[tuple[Selection, TrialRecord]] = []

    def propose(self, _budget: Budget) -> Selection | None:
        self.asked += 1
        return self.choices[self.asked % len(self.choices)]

    def tell(self, selection: Selection, record: TrialRecord) -> None:
        self.told.append((selection, record))


def proposals_of(studied: Studied, sampler: Stubborn, monkeypatch: pytest.MonkeyPatch) -> Proposals:
    monkeypatch.setattr("autosched.search.samplers.proposals.make_sampler", lambda *_: sampler)
    return Proposals(studied.joint, "stubborn", 0)


def test_a_repeated_proposal_is_answered_with_what_is_known(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
):
    """And asked for again, a bounded number of times."""
    first = Selection(dict.fromkeys(studied.joint.tables, 0))
    sampler = Stubborn(first)
    proposals = proposals_of(studied, sampler, monkeypatch)
    found = proposals.next(WHERE)
    assert found is not None
    record = record_of(1.0, None)
    proposals.tell(*found, record)
    assert proposals.next(WHERE) is None
    assert sampler.told == [(first, record)] * 51


def test_two_choices_of_one_schedule_are_one_proposal(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
):
    joint = studied.joint
    dram = next(
        number
        for number, choice in enumerate(joint.tables["pool"])
        if choice.output_layout.memory.value == "dram"
    )
    stays = Selection({**dict.fromkeys(joint.tables, 0), "pool": dram})
    spills = Selection(
        stays.candidates, frozenset(edge for edge in spill_edges(joint) if edge.producer == "pool")
    )
    assert joint.schedule(stays, WHERE) == joint.schedule(spills, WHERE)
    proposals = proposals_of(studied, Stubborn(stays, spills), monkeypatch)
    found = proposals.next(WHERE)
    assert found is not None
    proposals.tell(*found, record_of(1.0, None))
    assert proposals.next(WHERE) is None


def test_what_a_repair_ran_is_not_run_again(studied: Studied, monkeypatch: pytest.MonkeyPatch):
    joint = studied.joint
    first = Selection(dict.fromkeys(joint.tables, 0))
    name = next(name for name, choices in joint.tables.items() if len(choices) > 1)
    second = Selection({**first.candidates, name: 1})
    sampler = Stubborn(first, second)
    proposals = proposals_of(studied, sampler, monkeypatch)
    found = proposals.next(WHERE)
    assert found is not None
    assert found[0] is second
    ran = replace(record_of(1.0, None), schedule=joint.schedule(first, WHERE))
    proposals.tell(*found, ran)
    assert proposals.next(WHERE) is None


def test_nothing_is_asked_once_the_time_is_up(studied: Studied, monkeypatch: pytest.MonkeyPatch):
    sampler = Stubborn(Selection(dict.fromkeys(studied.joint.tables, 0)))
    assert proposals_of(studied, sampler, monkeypatch).next(WHERE, Budget.of(0)) is None
    assert sampler.asked == 0


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_learns_from_stored_trials(studied: Studied, name: str):
    """Whoever proposed them; none is proposed again."""
    proposals = Proposals(studied.joint, name, 0, studied.trials)
    ran = {trial.fingerprint for trial in studied.trials}
    for _ in range(6):
        found = proposals.next(WHERE)
        assert found is not None
        selection, schedule = found
        assert schedule.fingerprint() not in ran
        ran.add(schedule.fingerprint())
        proposals.tell(selection, schedule, record_of(1e6, None))


@pytest.mark.parametrize("kind", [RejectionKind.CRASH, RejectionKind.HANG])
@pytest.mark.parametrize(("losses", "is_proposed"), [(1, True), (2, False)])
def test_a_schedule_that_was_lost_once_is_proposed_again(
    studied: Studied,
    monkeypatch: pytest.MonkeyPatch,
    kind: RejectionKind,
    losses: int,
    is_proposed: bool,
):
    sampler = Stubborn(Selection(dict.fromkeys(studied.joint.tables, 0)))
    schedule = studied.joint.schedule(sampler.choices[0], WHERE)
    lost = replace(
        record_of(0.0, Rejection(kind, "no answer")),
        schedule=schedule,
        fingerprint=schedule.fingerprint(),
    )
    monkeypatch.setattr("autosched.search.samplers.proposals.make_sampler", lambda *_: sampler)
    proposals = Proposals(studied.joint, "stubborn", 0, [lost] * losses)
    assert (proposals.next(WHERE) is not None) is is_proposed


def test_a_trial_that_was_not_read_is_read_when_it_is_proposed_again(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
):
    ran = [trial for trial in studied.trials if trial.rejection is None]
    whole = ran[-1]
    assert whole.schedule is not None
    selection = studied.joint.find(whole.schedule)
    assert selection is not None
    sampler = Stubborn(selection)
    monkeypatch.setattr("autosched.search.samplers.proposals.make_sampler", lambda *_: sampler)
    recalled: list[int] = []

    def recall(number: int) -> TrialRecord:
        recalled.append(number)
        return next(trial for trial in ran if trial.number == number)

    summaries = [replace(trial, schedule=None, ops=()) for trial in studied.trials]
    proposals = Proposals(studied.joint, "stubborn", 0, summaries, recall)
    assert sampler.told == []
    assert proposals.next(WHERE) is None
    assert recalled == [whole.number]
    light = replace(whole, schedule=None, ops=())
    assert sampler.told == [(selection, whole), *[(selection, light)] * 50]


def test_the_newest_trials_tell_most_then_the_best() -> None:
    trials = [
        replace(record_of(1000.0 - number, None), number=number)
        if number % 2
        else replace(record_of(0.0, Rejection(RejectionKind.INVALID, "x")), number=number)
        for number in range(100)
    ]
    assert telling_trials(trials, 6) == [93, 95, 96, 97, 98, 99]
    assert telling_trials(trials, 1000) == list(range(100))
    assert telling_trials([], 6) == []
