from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from autosched.budget import UNLIMITED, Budget
from autosched.cost.model import CostModel
from autosched.device import revisions
from autosched.device.interface import Answers, Device, ProbeRequest, Request, ask
from autosched.device.pool import DevicePool
from autosched.errors import TimeUpError
from autosched.network.graph import Network
from autosched.network.operators import Conv2d
from autosched.probing.probe_book import Ask, ProbeBook, Probed, reshard_signature, total_us
from autosched.schedule.outcomes import (
    AloneTime,
    DeviceOp,
    ProbeOutcome,
    Rejection,
    RejectionKind,
    TimeKind,
)
from autosched.search.open_study import open_study
from autosched.store import models
from autosched.store.database import Store, open_store
from autosched.store.probes import DeviceKey
from autosched.store.purging import find_quarantined
from tests.examples.devices import Scripted
from tests.examples.networks import BOARD, renamed
from tests.examples.studied import QUICK, Studied, copied

SIGNATURE = "a layer"


def stored_probes(store: Store) -> int:
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(models.ProbeRow)) or 0


def never(request: object) -> ProbeOutcome | Rejection:
    raise AssertionError(f"the device was asked {request}")


def silent(studied: Studied) -> Scripted:
    return Scripted(studied.device(), probe=never, reshard=never)


def a_request(studied: Studied) -> ProbeRequest:
    return next(
        request
        for request, answer in studied.records.probes.items()
        if request.input_layouts is None and isinstance(answer, ProbeOutcome)
    )


def another_request(studied: Studied) -> ProbeRequest:
    first = a_request(studied)
    return next(
        request
        for request, answer in studied.records.probes.items()
        if isinstance(answer, ProbeOutcome)
        and request.input_layouts is None
        and request.config != first.config
    )


def book_of(
    store: Store, device: Device, cost: CostModel, signatures: Iterable[str] = (SIGNATURE,)
) -> ProbeBook:
    book = ProbeBook(store, device, DeviceKey("n150", "mock", "0.81.1"), cost)
    book.load(signatures)
    return book


def test_a_new_study_runs_every_probe_once(studied: Studied):
    records = studied.records
    assert studied.counts.reused == 0
    assert studied.counts.run == len(records.probes) + len(records.reshards)
    answers = [*records.probes.values(), *records.reshards.values()]
    assert sum(studied.counts.rejected.values()) == sum(
        isinstance(answer, Rejection) for answer in answers
    )


def test_a_second_study_of_the_network_asks_the_device_nothing(either: Studied, tmp_path: Path):
    with (
        open_store(copied(either.url, tmp_path / "copy.sqlite3")) as store,
        open_study(store, either.network, "n150", QUICK, "again", silent(either)) as study,
    ):
        again = study.prepare()
        assert study.probe_counts.run == 0
        assert study.probe_counts.reused == either.counts.run
        assert study.probe_counts.rejected == either.counts.rejected
    assert again.tables == either.joint.tables
    assert again.reshards == either.joint.reshards
    assert again.spills == either.joint.spills
    assert again.problem == either.joint.problem


def test_another_network_with_equal_layers_asks_the_device_nothing(studied: Studied, probed: Store):
    other = renamed(studied.network)
    assert other.signature != studied.network.signature
    with open_study(probed, other, "n150", QUICK, device=silent(studied)) as study:
        tables = study.prepare().tables
        assert (study.probe_counts.run, study.probe_counts.reused) == (0, studied.counts.run)
    assert [*tables.values()] == [*studied.joint.tables.values()]


def test_a_network_with_some_equal_layers_asks_for_the_others_alone(
    studied: Studied, skipped: Studied, url: str
):
    """The second network shares the first's stem, input and head."""
    equal = {studied.network.layer_signature(layer) for layer in studied.network} & {
        skipped.network.layer_signature(layer) for layer in skipped.network
    }
    assert equal
    with open_store(url) as store:
        with open_study(store, studied.network, "n150", QUICK, device=studied.device()) as study:
            study.prepare()
        device = Scripted(skipped.device())
        with open_study(store, skipped.network, "n150", QUICK, device=device) as study:
            tables = study.prepare().tables
            counts = study.probe_counts
    assert counts.reused > 0
    assert counts.run == len(device.probes) + len(device.reshards) < skipped.counts.run
    assert tables == skipped.joint.tables


@pytest.mark.parametrize(
    "other",
    [
        DeviceKey("p150", "mock", "0.81.1"),
        DeviceKey("n150", "silicon", "0.81.1"),
        DeviceKey("n150", "mock", "0.81.2"),
    ],
)
def test_probes_of_another_device_are_never_used(
    studied: Studied, store: Store, cost: CostModel, other: DeviceKey
):
    request = a_request(studied)
    book_of(store, studied.device(), cost).probe(SIGNATURE, request)
    device = Scripted(studied.device())
    book = ProbeBook(store, device, other, cost)
    book.load([SIGNATURE])
    book.probe(SIGNATURE, request)
    assert device.probes == [request]
    assert (book.counts.run, book.counts.reused) == (1, 0)
    same = Scripted(studied.device())
    reused = book_of(store, same, cost)
    reused.probe(SIGNATURE, request)
    assert same.probes == []
    assert (reused.counts.run, reused.counts.reused) == (0, 1)


def made_stale(store: Store, revision: str = "of another day") -> int:
    """Say that all that is stored was answered by other code; return how many probes that is."""
    with store.writing() as session:
        session.execute(update(models.ProbeRow).values(revision=revision))
    return stored_probes(store)


def test_probes_of_another_revision_are_asked_again(
    studied: Studied, store: Store, cost: CostModel
):
    request, reshard = a_request(studied), next(iter(studied.records.reshards))
    layers = [SIGNATURE, reshard_signature(reshard.shape)]

    def asked(device: Device) -> ProbeBook:
        book = book_of(store, device, cost, layers)
        book.probe(SIGNATURE, request)
        book.reshard(reshard.shape, reshard.source, reshard.target)
        return book

    asked(studied.device())
    assert made_stale(store) == 2
    device = Scripted(studied.device())
    book = asked(device)
    assert (device.probes, device.reshards) == ([request], [reshard])
    assert (book.counts.run, book.counts.reused, book.counts.stale) == (2, 0, 2)
    again = asked(silent(studied))
    assert (again.counts.run, again.counts.reused, again.counts.stale) == (0, 2, 0)
    assert stored_probes(store) == 4


def test_what_is_stored_of_another_revision_does_not_spare_the_first_look(
    studied: Studied, probed: Store, cost: CostModel
):
    signatures = [studied.network.layer_signature(layer) for layer in studied.network]
    assert book_of(probed, silent(studied), cost).has_stored(signatures)
    made_stale(probed, "")
    assert not book_of(probed, silent(studied), cost).has_stored(signatures)


def test_a_mended_family_is_probed_again_and_no_other(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
):
    def mended(op: type) -> str:
        return "mended" if op is Conv2d else revisions.revision_of(op)

    monkeypatch.setattr("autosched.probing.probe_book.revision_of", mended)
    convolutions = [request for request in studied.records.probes if isinstance(request.op, Conv2d)]
    device = Scripted(studied.device())
    with open_study(probed, studied.network, "n150", QUICK, "again", device) as study:
        tables = study.prepare().tables
        assert set(device.probes) == set(convolutions)
        assert device.reshards == []
        assert study.probe_counts.run == len(convolutions)
    assert tables == studied.joint.tables


def test_a_database_of_another_revision_gives_the_same_tables_again(
    studied: Studied, probed: Store
):
    stale = made_stale(probed)
    with open_study(probed, studied.network, "n150", QUICK, "again", studied.device()) as study:
        tables = study.prepare().tables
        counts = study.probe_counts
    assert (counts.run, counts.reused, counts.stale) == (studied.counts.run, 0, stale)
    assert tables == studied.joint.tables


def test_an_answer_is_stored_before_it_is_given(studied: Studied, store: Store, cost: CostModel):
    """Whatever ends the process between two probes loses none."""
    device = studied.device()
    book = book_of(store, device, cost)
    for number, request in enumerate(list(studied.records.probes)[:5], start=1):
        book.probe(SIGNATURE, request)
        assert stored_probes(store) == number
    for number, request in enumerate(list(studied.records.reshards)[:5], start=6):
        book.reshard(request.shape, request.source, request.target)
        assert stored_probes(store) == number


def test_an_answer_the_store_refused_is_not_taken_for_known(
    studied: Studied, store: Store, cost: CostModel, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError("disk full")

    device = Scripted(studied.device())
    book = book_of(store, device, cost)
    request = a_request(studied)
    with monkeypatch.context() as patched:
        patched.setattr("autosched.probing.probe_book.save_probes", full)
        with pytest.raises(OSError, match="disk full"):
            book.probe(SIGNATURE, request)
    book.probe(SIGNATURE, request)
    assert (len(device.probes), stored_probes(store)) == (2, 1)


@pytest.mark.parametrize(
    ("kind", "words", "asked"),
    [
        (RejectionKind.UNCLASSIFIED, "gone", 1),
        (RejectionKind.CRASH, "the worker process died of SIGKILL", 2),
    ],
)
def test_what_says_nothing_of_a_candidate_is_asked_again_next_time(
    studied: Studied, store: Store, cost: CostModel, kind: RejectionKind, words: str, asked: int
):
    request = a_request(studied)
    dying = Scripted(studied.device(), probe=lambda _: Rejection(kind, words))
    book = book_of(store, dying, cost)
    for _ in range(2):
        assert book.probe(SIGNATURE, request) == Rejection(kind, words)
    assert len(dying.probes) == asked
    assert book.counts.rejected == {kind: 1}
    assert book.counts.unclassified == ({words: 1} if kind is RejectionKind.UNCLASSIFIED else {})
    assert stored_probes(store) == 0
    assert isinstance(book_of(store, studied.device(), cost).probe(SIGNATURE, request), Probed)


LOSSES = [
    Rejection(RejectionKind.HANG, "no answer within 120 s"),
    Rejection(RejectionKind.CRASH, "the worker process died of SIGSEGV, after 0.2 s"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind.value)
def test_what_cost_a_device_twice_is_not_asked_again(
    studied: Studied, store: Store, cost: CostModel, loss: Rejection
):
    request = a_request(studied)
    good = another_request(studied)
    healthy = studied.device()
    lost = Scripted(healthy, probe=lambda asked: loss if asked == request else healthy.probe(asked))
    book = book_of(store, lost, cost)
    assert isinstance(book.probe(SIGNATURE, good), Probed)
    assert book.probe(SIGNATURE, request) == loss
    assert [asked == request for asked in lost.probes].count(True) == 2
    again = book_of(store, silent(studied), cost)
    assert again.probe(SIGNATURE, request) == loss
    assert (again.counts.reused, again.counts.rejected) == (1, {loss.kind: 1})
    assert [item.rejection for item in find_quarantined(store)] == [loss]


@pytest.mark.parametrize(
    ("words", "answers_again"),
    [
        ("the worker process died of SIGSEGV, after 0.2 s", False),
        ("the worker process ended with exit code 1; its log ends: No space left on device", True),
        ("the worker process died of SIGKILL", True),
    ],
)
def test_a_machine_that_fails_twice_becomes_no_fact(
    studied: Studied, store: Store, cost: CostModel, words: str, answers_again: bool
) -> None:
    request, good = a_request(studied), another_request(studied)
    healthy, loss = studied.device(), Rejection(RejectionKind.CRASH, words)
    has_failed = False

    def told(asked: ProbeRequest) -> ProbeOutcome | Rejection:
        nonlocal has_failed
        has_failed = has_failed or asked == request
        fails = asked == request or (has_failed and not answers_again)
        return loss if fails else healthy.probe(asked)

    book = book_of(store, Scripted(healthy, probe=told), cost)
    assert isinstance(book.probe(SIGNATURE, good), Probed)
    assert book.probe(SIGNATURE, request) == loss
    assert find_quarantined(store) == []
    assert isinstance(book_of(store, healthy, cost).probe(SIGNATURE, request), Probed)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind.value)
def test_what_cost_a_device_once_is_no_fact(
    studied: Studied, store: Store, cost: CostModel, loss: Rejection
):
    request = a_request(studied)
    healthy = studied.device()
    said = [loss, healthy.probe(request)]
    busy = Scripted(healthy, probe=lambda _: said.pop(0))
    book = book_of(store, busy, cost)
    assert isinstance(book.probe(SIGNATURE, request), Probed)
    assert (len(busy.probes), book.counts.rejected, stored_probes(store)) == (2, {}, 1)


def test_a_machine_that_failed_is_forgotten_where_it_was_stored(
    studied: Studied, store: Store, cost: CostModel
):
    """Former versions took it for an invalid configuration."""
    request = a_request(studied)
    words = (
        "Failed to generate binaries for halo_gather TT_THROW @ build.cpp:149: tt::exception\n"
        "info:\nncrisc build failed. Log:"
    )
    poisoned = Rejection(RejectionKind.INVALID, words)
    book_of(store, Scripted(studied.device(), probe=lambda _: poisoned), cost).probe(
        SIGNATURE, request
    )
    assert stored_probes(store) == 1
    healthy = book_of(store, studied.device(), cost)
    assert stored_probes(store) == 0
    assert (healthy.counts.stale, healthy.counts.reused) == (1, 0)
    assert isinstance(healthy.probe(SIGNATURE, request), Probed)
    assert isinstance(book_of(store, silent(studied), cost).probe(SIGNATURE, request), Probed)


def test_without_time_nothing_is_asked_and_an_answer_cut_short_is_forgotten(
    studied: Studied, store: Store, cost: CostModel
):
    request = a_request(studied)
    hanging = Scripted(studied.device(), probe=lambda _: Rejection(RejectionKind.HANG, "gone"))
    book = book_of(store, hanging, cost)

    looks: list[int] = []

    class Ending(Budget):
        """Is up the third time somebody looks: once the device was asked."""

        @property
        def is_up(self) -> bool:
            looks.append(1)
            return len(looks) > 2

    with book.within(Ending()), pytest.raises(TimeUpError):
        book.probe(SIGNATURE, request)
    with book.within(Budget.of(0)), pytest.raises(TimeUpError):
        book.probe(SIGNATURE, request)
    assert len(hanging.probes) == 1
    reshard = next(iter(studied.records.reshards))
    with book.within(Budget.of(0)), pytest.raises(TimeUpError):
        book.reshard(reshard.shape, reshard.source, reshard.target)
    assert hanging.reshards == []
    book.probe(SIGNATURE, request)
    assert len(hanging.probes) == 3  # what hangs is asked once more


def test_native_layouts_and_the_same_layouts_given_are_two_questions(
    studied: Studied, store: Store, cost: CostModel
):
    request = a_request(studied)
    given = replace(request, input_layouts=request.sources)
    device = Scripted(studied.device())
    book = book_of(store, device, cost)
    book.probe(SIGNATURE, request)
    book.probe(SIGNATURE, given)
    assert device.probes == [request, given]
    assert book.counts.run == 2


def test_a_question_asked_twice_counts_once(studied: Studied, store: Store, cost: CostModel):
    device = Scripted(studied.device())
    book = book_of(store, device, cost)
    request = next(iter(studied.records.reshards))
    answers = [book.reshard(request.shape, request.source, request.target) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(device.reshards) == book.counts.run == 1


def test_reshards_are_shared_by_shape(studied: Studied, store: Store, cost: CostModel):
    request = next(iter(studied.records.reshards))
    book_of(store, studied.device(), cost).reshard(request.shape, request.source, request.target)
    again = book_of(store, silent(studied), cost, [reshard_signature(request.shape)])
    again.reshard(request.shape, request.source, request.target)
    assert (again.counts.run, again.counts.reused) == (0, 1)
    assert reshard_signature(request.shape) != reshard_signature((*request.shape[:-1], 999))


def test_times_are_estimated_unless_the_device_measured(
    studied: Studied, store: Store, cost: CostModel
):
    request = a_request(studied)
    estimated = book_of(store, studied.device(), cost).probe(SIGNATURE, request)
    assert isinstance(estimated, Probed)
    assert estimated.kind is TimeKind.ESTIMATED
    assert estimated.time_us == pytest.approx(total_us(cost.estimate(estimated.outcome.ops)))
    assert estimated.time_us > 0
    assert estimated.stderr_log == cost.stderr_log(estimated.outcome.ops) > 0.03
    timed = Scripted(
        studied.device(), probe=lambda _: replace(estimated.outcome, time_us=7.5), kind="silicon"
    )
    book = ProbeBook(store, timed, DeviceKey("n150", "silicon", "0.81.1"), cost)
    measured = book.probe(SIGNATURE, request)
    assert isinstance(measured, Probed)
    assert (measured.time_us, measured.kind) == (7.5, TimeKind.MEASURED)


def test_what_a_card_timed_alone_takes_that_time(studied: Studied, store: Store, cost: CostModel):
    request = a_request(studied)
    card = DeviceKey("n150", "silicon", "0.81.1")
    book = ProbeBook(store, studied.device(), card, cost)
    key = book.key_of(SIGNATURE, request)
    book.timed = {key: AloneTime((), 7.5, 0.1)}
    found = book.probe(SIGNATURE, request)
    assert isinstance(found, Probed)
    assert (found.time_us, found.kind) == (7.5, TimeKind.MEASURED)
    assert found.outcome.ops
    elsewhere = ProbeBook(store, studied.device(), replace(card, board="n300"), cost)
    elsewhere.timed = book.timed
    other = elsewhere.probe(SIGNATURE, request)
    assert isinstance(other, Probed)
    assert other.kind is TimeKind.ESTIMATED


def test_measured_ops_keep_their_times(studied: Studied, store: Store, cost: CostModel):
    book = book_of(store, studied.device(), cost)
    ops = (DeviceOp("Halo", "", (), (), time_ns=4_000.0), DeviceOp("Conv", "", (), (), time_ns=1.0))
    assert book.estimate(ops) is ops
    assert total_us(ops) == pytest.approx(4.001)


class Backwards(DevicePool):
    """Answers the last request first."""

    def __init__(self, device: Device) -> None:
        self.board, self.kind = device.board, device.kind
        self.device = device
        self.asked: list[list[Request]] = []

    def answers(self, requests: Sequence[Request], budget: Budget = UNLIMITED) -> Answers:
        self.asked.append(list(requests))
        for index in reversed(range(len(requests))):
            yield index, ask(self.device, requests[index], budget)


def test_many_asked_together_are_as_many_asked_alone(
    studied: Studied, store: Store, cost: CostModel, tmp_path: Path
):
    asks: list[Ask] = [(SIGNATURE, request) for request in [*studied.records.probes][:8]]
    asks += [
        (reshard_signature(request.shape), request) for request in [*studied.records.reshards][:8]
    ]
    asks += asks[2:4]
    alone = book_of(store, studied.device(), cost)
    one_by_one = [alone.ask_all([ask])[0] for ask in asks]
    pool = Backwards(studied.device())
    with open_store(f"sqlite:///{tmp_path / 'together.sqlite3'}") as other:
        together = book_of(other, pool, cost)
        written: list[int] = []

        def arrived(index: int) -> None:
            """What has come is in the store by then."""
            reader = book_of(other, studied.device(), cost)
            reader.load([asks[index][0]])
            reader.ask_all([asks[index]])
            assert (reader.counts.run, reader.counts.reused) == (0, 1)
            written.append(index)

        assert together.ask_all(asks, arrived=arrived) == one_by_one
        assert together.ask_all(asks) == one_by_one
        assert together.counts == alone.counts
        assert written == [*reversed(range(16))]
        assert [len(requests) for requests in pool.asked] == [16, 0]


def test_when_the_time_is_up_what_has_come_is_kept_and_no_more(
    studied: Studied, store: Store, cost: CostModel
):
    def up(request: ProbeRequest) -> ProbeOutcome | Rejection:
        if len(device.probes) > 3:
            raise TimeUpError("up")
        return studied.records.probes[request]

    device = Scripted(studied.device(), probe=up)
    asks: list[Ask] = [(SIGNATURE, request) for request in [*studied.records.probes][:8]]
    with pytest.raises(TimeUpError):
        book_of(store, device, cost).ask_all(asks)
    book = book_of(store, studied.device(), cost)
    book.load([SIGNATURE])
    book.ask_all(asks)
    assert (book.counts.reused, book.counts.run) == (3, 5)


def test_the_device_is_told_what_it_will_run(studied: Studied, probed: Store):
    class Loading(Scripted):
        loaded: Network | None = None

        def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
            super().load(network, budget)
            self.loaded = network

    device = Loading(studied.device())
    with open_study(probed, studied.network, BOARD.name, QUICK, "loading", device):
        assert device.loaded == studied.network
