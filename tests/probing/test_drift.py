"""What changes between two versions of ttnn or two calibrations."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from autosched.cost.coefficients import coefficients_to_plain
from autosched.cost.model import CostModel
from autosched.errors import StudyError
from autosched.probing.drift import Went, drift_between, find_side
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, TimeKind
from autosched.store import models
from autosched.store.calibrations import CalibrationRecord, save_calibration
from autosched.store.database import Store
from autosched.store.probes import DeviceKey, StoredProbe, save_probes
from tests.examples import records as examples

OLD, NEW = "0.80.0", "0.81.1"
INVALID = Rejection(RejectionKind.INVALID, "no such thing")


def probe(layer: str, ttnn: str, outcome: ProbeOutcome | Rejection) -> StoredProbe:
    found = examples.probe(layer, outcome=outcome)
    device = DeviceKey("n150", "silicon", ttnn)
    return replace(found, key=replace(found.key, device=device))


def timed(time_us: float) -> ProbeOutcome:
    outcome = examples.probe().outcome
    assert isinstance(outcome, ProbeOutcome)
    return replace(outcome, time_us=time_us)


def sides(store: Store, *titles: str, kind: str = "silicon") -> list:
    today = DeviceKey("n150", kind, NEW)
    return [find_side(store, title, today, "wormhole_b0") for title in titles]


def test_each_way_to_change_is_told(store: Store) -> None:
    answers = {
        "faster": (timed(100.0), timed(80.0)),
        "slower": (timed(100.0), timed(103.0)),
        "the same": (timed(100.0), timed(101.0)),
        "rejected now": (timed(100.0), INVALID),
        "accepted now": (INVALID, timed(5.0)),
        "rejected by both": (INVALID, INVALID),
    }
    for layer, (before, after) in answers.items():
        save_probes(store, [probe(layer, OLD, before), probe(layer, NEW, after)])
    save_probes(store, [probe("gone", OLD, timed(1.0)), probe("new", NEW, timed(1.0))])
    save_probes(store, [probe("newer", NEW, timed(1.0))])
    found = drift_between(store, *sides(store, OLD, NEW))
    assert {record.layer_signature: record.went.value for record in found.records} == {
        layer: layer for layer in answers
    }
    assert found.counts == dict.fromkeys(Went, 1)
    assert (found.only_before, found.only_after, found.unreadable) == (1, 2, 0)
    (faster,) = found.of(Went.FASTER)
    assert faster.ratio == pytest.approx(0.8)
    assert faster.before.kind is TimeKind.MEASURED


def test_what_changed_most_comes_first(store: Store) -> None:
    for layer, after in (("little", 95.0), ("much", 20.0), ("some", 70.0)):
        save_probes(store, [probe(layer, OLD, timed(100.0)), probe(layer, NEW, timed(after))])
    found = drift_between(store, *sides(store, OLD, NEW))
    assert [item.layer_signature for item in found.of(Went.FASTER)] == ["much", "some", "little"]


def test_two_calibrations_estimate_the_same_probes(store: Store) -> None:
    shipped = CostModel.load("wormhole_b0")
    plain = coefficients_to_plain(shipped.coefficients)
    save_calibration(store, CalibrationRecord("wormhole_b0", NEW, "other", plain, examples.MOMENT))
    outcome = examples.probe().outcome
    assert isinstance(outcome, ProbeOutcome)
    mock = probe("a", NEW, replace(outcome, time_us=None, ops=()))
    device = DeviceKey("n150", "mock", NEW)
    save_probes(store, [replace(mock, key=replace(mock.key, device=device))])
    found = drift_between(store, *sides(store, "shipped", "other", kind="mock"))
    assert found.counts[Went.SAME] == 1
    assert found.records[0].before.kind is TimeKind.ESTIMATED


def test_rows_of_another_version_are_counted(store: Store) -> None:
    save_probes(store, [probe("a", OLD, timed(1.0)), probe("a", NEW, timed(1.0))])
    with store.writing() as session:
        old = models.ProbeRow.ttnn_version == OLD
        session.execute(update(models.ProbeRow).where(old).values(outcome=b"other"))
    found = drift_between(store, *sides(store, OLD, NEW))
    assert (found.records, found.unreadable, found.only_after) == ((), 1, 1)


def test_what_is_neither_a_version_nor_a_calibration_is_named(store: Store) -> None:
    save_probes(store, [probe("a", OLD, timed(1.0))])
    with pytest.raises(StudyError, match=r"neither a version of ttnn .*there: 0\.80\.0"):
        sides(store, "0.79")


def test_two_versions_of_a_cards_firmware_are_compared(store: Store) -> None:
    for firmware, time_us in (("19.4.0.0", 100.0), ("19.6.0.0", 80.0)):
        found = probe("layer", NEW, timed(time_us))
        device = replace(found.key.device, firmware=firmware)
        save_probes(store, [replace(found, key=replace(found.key, device=device))])
    compared = drift_between(store, *sides(store, f"{NEW}/19.4.0.0", f"{NEW}/19.6.0.0"))
    assert [item.ratio for item in compared.of(Went.FASTER)] == [pytest.approx(0.8)]
    with pytest.raises(StudyError, match=rf"several versions of firmware .*{NEW}/19.4.0.0, {NEW}"):
        sides(store, NEW)
