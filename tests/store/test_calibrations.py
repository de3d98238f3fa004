from dataclasses import replace

from autosched.schedule.outcomes import AloneTime
from autosched.store.calibrations import (
    CalibrationRecord,
    MeasurementRecord,
    known_times,
    latest_calibration,
    list_calibrations,
    load_measurements,
    save_calibration,
    save_measurement,
)
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from autosched.store.purging import find_damaged
from tests.examples import records as examples

FITTED = CalibrationRecord(
    "wormhole_b0", "0.81.1", "profiles", {"conv2d": [1.25e-3, 0.5], "r2": 0.98}, examples.MOMENT
)


def test_a_calibration_comes_back(store: Store) -> None:
    save_calibration(store, FITTED)
    assert list_calibrations(store) == [FITTED]
    assert list_calibrations(store)[0].fingerprint == FITTED.fingerprint


def test_the_same_calibration_is_kept_once(store: Store) -> None:
    save_calibration(store, FITTED)
    save_calibration(store, FITTED)
    assert list_calibrations(store) == [FITTED]


def test_the_latest_of_an_architecture_is_used(store: Store) -> None:
    refined = replace(FITTED, coefficients={"conv2d": [2.0]})
    blackhole = replace(FITTED, arch="blackhole")
    newer = replace(FITTED, ttnn_version="0.82.0")
    for calibration in (FITTED, refined, blackhole, newer):
        save_calibration(store, calibration)
    assert latest_calibration(store, "wormhole_b0", "0.81.1") == refined
    assert latest_calibration(store, "wormhole_b0") == newer
    assert latest_calibration(store, "grayskull") is None
    assert list_calibrations(store, ttnn_version="0.81.1") == [blackhole, refined, FITTED]


CARD = DeviceKey("n150", "silicon", "0.81.1")
TIMED = AloneTime((examples.device_op(0), examples.device_op(1)), 12.5, 0.03125)


def measured(signature: str, revision: str = examples.REVISION) -> MeasurementRecord:
    key = examples.probe(signature, device=CARD, revision=revision).key
    return MeasurementRecord(key, "wormhole_b0-5-abcdef", TIMED)


def test_measurements_come_back_in_order(store: Store) -> None:
    refused = replace(measured("layer b"), outcome=examples.REJECTION)
    for item in (measured("layer c"), refused, measured("layer a")):
        save_measurement(store, item)
    found = load_measurements(store, CARD, {examples.REVISION})
    assert found == [measured("layer c"), refused, measured("layer a")]
    assert load_measurements(store, replace(CARD, board="p150"), {examples.REVISION}) == []
    assert load_measurements(store, replace(CARD, ttnn_version="0.82"), {examples.REVISION}) == []
    assert sum(map(len, find_damaged(store).values())) == 0
    times = known_times(store, CARD, {examples.REVISION})
    assert times == {measured(f"layer {name}").key: TIMED for name in "ca"}


def test_a_measurement_of_other_code_stays(store: Store) -> None:
    save_measurement(store, measured("layer a", "before"))
    assert load_measurements(store, CARD, {examples.REVISION}) == []
    save_measurement(store, measured("layer a"))
    other = replace(measured("layer a"), outcome=replace(TIMED, time_us=99.0))
    save_measurement(store, other)
    assert load_measurements(store, CARD, {examples.REVISION}) == [measured("layer a")]
    assert load_measurements(store, CARD, {"before"}) == [measured("layer a", "before")]
