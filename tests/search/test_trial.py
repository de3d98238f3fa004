from collections.abc import Callable
from dataclasses import replace

import pytest

from autosched.budget import Budget
from autosched.cost.model import CostModel
from autosched.errors import TimeUpError
from autosched.evidence.known_faults import KNOWN_FAULTS
from autosched.network.operators import Conv2d
from autosched.probing.execution_judge import ExecutionJudge
from autosched.probing.probe_book import ProbeBook
from autosched.schedule.outcomes import DeviceOp, Rejection, RejectionKind, RunOutcome, TimeKind
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Edge, move_label
from autosched.search.trial import run_repaired, run_trial
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from tests.examples.devices import Scripted
from tests.examples.networks import BOARD
from tests.examples.studied import Studied
from tests.search.test_trial_repair import CLASH, OVERFLOW, in_l1

Answer = RunOutcome | Rejection


@pytest.fixture
def book(skipped: Studied, store: Store, cost: CostModel) -> ProbeBook:
    return ProbeBook(store, skipped.device(), DeviceKey("n150", "mock", "0"), cost)


def fits(skipped: Studied, is_enough: Callable[[Schedule], bool], rejection: Rejection) -> Scripted:
    """A device that runs a schedule only if it makes enough room."""
    ran = skipped.records.runs[skipped.trials[1].fingerprint]
    return Scripted(skipped.device(), run=lambda given: ran if is_enough(given) else rejection)


def test_a_schedule_that_fits_runs_once(skipped: Studied, book: ProbeBook):
    device = fits(skipped, lambda _: True, OVERFLOW)
    schedule = in_l1(skipped.joint)
    record = run_repaired(device, book, skipped.joint, schedule, "joint")
    assert device.schedules == [schedule]
    assert (record.schedule, record.sampler, record.state) == (schedule, "joint", "complete")
    assert record.latency_kind is TimeKind.ESTIMATED
    assert record.latency_us == pytest.approx(skipped.trials[1].latency_us)
    assert record.cost_model == book.cost.version
    assert record.number is None
    assert record.duration_s > 0


def test_it_runs_again_with_more_room_until_it_fits(skipped: Studied, book: ProbeBook):
    def enough(given: Schedule) -> bool:
        return given.layers["conv3"].reallocate_halo_output

    device = fits(skipped, enough, CLASH)
    record = run_repaired(device, book, skipped.joint, in_l1(skipped.joint), "joint")
    # The packing, which the device did nothing for, is taken back in the end.
    assert [len(given.moves) for given in device.schedules] == [0, 2, 2, 0]
    assert record.rejection is None
    assert record.schedule == device.schedules[-1]


def packing(skipped: Studied, needed: Edge, *moved: Edge) -> Scripted:
    """A device that wants one tensor packed, and moves some of those it is told to."""
    ran = skipped.records.runs[skipped.trials[1].fingerprint]
    assert isinstance(ran, RunOutcome)

    def run(given: Schedule) -> Answer:
        moves = [
            DeviceOp("MoveDeviceOperation", "", (), (), layer=move_label(edge), time_ns=9e3)
            for edge in given.moves
            if edge in moved
        ]
        ops = tuple(replace(op, time_ns=1e3) for op in ran.ops)
        return replace(ran, ops=(*ops, *moves)) if needed in given.moves else OVERFLOW

    return Scripted(skipped.device(), run=run)


STEM, CONV2 = Edge("stem", "conv2"), Edge("conv2", "conv2")


@pytest.mark.parametrize(
    ("moved", "tried"),
    [
        pytest.param((STEM, CONV2), [0, 2, 1, 0], id="costs-something"),
        pytest.param((CONV2,), [0, 2, 1, 0], id="does-nothing"),
    ],
)
def test_packing_that_was_not_needed_is_taken_back(
    skipped: Studied, book: ProbeBook, moved: tuple[Edge, ...], tried: list[int]
):
    device = packing(skipped, CONV2, *moved)
    record = run_repaired(device, book, skipped.joint, in_l1(skipped.joint), "joint")
    assert [len(given.moves) for given in device.schedules] == tried
    assert record.rejection is None
    assert record.schedule is not None
    assert set(record.schedule.moves) == {CONV2}
    assert skipped.joint.find(record.schedule) == skipped.joint.find(in_l1(skipped.joint))


def test_it_gives_up_with_the_last_schedule_and_rejection(skipped: Studied, book: ProbeBook):
    device = fits(skipped, lambda _: False, CLASH)
    record = run_repaired(device, book, skipped.joint, in_l1(skipped.joint), "joint")
    assert len(device.schedules) == 3
    assert record.schedule == device.schedules[-1]
    assert record.rejection == CLASH
    assert record.latency_us is None


def test_a_rejection_says_which_cost_model_led_to_it(skipped: Studied, book: ProbeBook):
    device = fits(skipped, lambda _: False, CLASH)
    record = run_trial(device, book, in_l1(skipped.joint), "joint")
    assert (record.rejection, record.cost_model) == (CLASH, book.cost.version)
    device.kind = "silicon"
    assert run_trial(device, book, in_l1(skipped.joint), "joint").cost_model == ""


def test_other_rejections_are_not_repaired(skipped: Studied, book: ProbeBook):
    crash = replace(CLASH, kind=RejectionKind.CRASH)
    device = fits(skipped, lambda _: False, crash)
    record = run_repaired(device, book, skipped.joint, in_l1(skipped.joint), "joint")
    assert len(device.schedules) == 1
    assert record.rejection == crash


def test_a_measured_latency_stays_measured(skipped: Studied, book: ProbeBook):
    ran = skipped.records.runs[skipped.trials[1].fingerprint]
    assert isinstance(ran, RunOutcome)
    timed = replace(ran, latency_us=12.5, latency_std_us=0.25)
    device = Scripted(skipped.device(), run=lambda _: timed)
    record = run_trial(device, book, in_l1(skipped.joint), "joint")
    assert (record.latency_us, record.latency_std_us) == (12.5, 0.25)
    assert record.latency_kind is TimeKind.MEASURED
    assert record.cost_model == ""
    assert record.ops == ran.ops


def test_a_schedule_with_a_layer_that_is_known_to_go_wrong_is_rejected(
    skipped: Studied, book: ProbeBook, monkeypatch: pytest.MonkeyPatch
):
    device, schedule = fits(skipped, lambda _: True, OVERFLOW), in_l1(skipped.joint)
    fault = replace(KNOWN_FAULTS[0], applies=lambda found: isinstance(found.op, Conv2d))
    monkeypatch.setattr("autosched.evidence.known_faults.KNOWN_FAULTS", (fault,))
    assert run_trial(device, book, schedule, "sampler").rejection is None
    book.judge = ExecutionJudge(skipped.network, {}, BOARD.arch, "0.81.1")
    trial = run_trial(device, book, schedule, "sampler")
    assert trial.rejection is not None
    assert trial.rejection.kind is RejectionKind.ACCURACY
    assert trial.rejection.message == fault.words
    assert isinstance(skipped.network.by_name[trial.rejection.layer].op, Conv2d)
    assert (trial.latency_us, trial.latency_kind, trial.ops) == (None, None, ())
    book.judge = ExecutionJudge(skipped.network, {}, BOARD.arch, "0.81.1", uses_rules=False)
    assert run_trial(device, book, schedule, "sampler").rejection is None


def test_an_estimate_has_the_cost_models_error(skipped: Studied, book: ProbeBook):
    device = skipped.device()
    device.load(skipped.network)
    record = run_trial(device, book, in_l1(skipped.joint), "joint")
    assert record.latency_us is not None
    assert record.latency_std_us == pytest.approx(
        record.latency_us * book.cost.total_std_error(record.ops)
    )
    assert 0.01 < record.latency_std_us / record.latency_us < 0.5


def ending_after(looks: int) -> Budget:
    """A budget that is up once somebody has looked at it so often."""
    left = iter(range(looks))

    class Ending(Budget):
        @property
        def is_up(self) -> bool:
            return next(left, None) is None

    return Ending()


def test_time_that_is_up_ends_the_repairs(skipped: Studied, book: ProbeBook):
    """Nobody knows then whether the choice runs: it is no trial."""
    device = fits(skipped, lambda _: False, CLASH)
    with pytest.raises(TimeUpError):
        run_repaired(device, book, skipped.joint, in_l1(skipped.joint), "joint", ending_after(1))
    assert len(device.schedules) == 1


def test_an_answer_cut_short_is_no_trial(skipped: Studied, book: ProbeBook):
    hang = replace(CLASH, kind=RejectionKind.HANG)
    device = fits(skipped, lambda _: False, hang)
    with pytest.raises(TimeUpError):
        run_trial(device, book, in_l1(skipped.joint), "joint", ending_after(1))
    assert run_trial(device, book, in_l1(skipped.joint), "joint").rejection == hang


def test_time_that_is_up_ends_the_trimming(skipped: Studied, book: ProbeBook):
    """The schedule that ran is a trial, with packing that may not have been needed."""
    device = packing(skipped, CONV2, STEM, CONV2)
    budget = ending_after(3)
    record = run_repaired(device, book, skipped.joint, in_l1(skipped.joint), "joint", budget)
    assert record.rejection is None
    assert [len(given.moves) for given in device.schedules] == [0, 2]
