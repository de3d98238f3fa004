from dataclasses import replace

from autosched.store.calibrations import (
    CalibrationRecord,
    latest_calibration,
    list_calibrations,
    save_calibration,
)
from autosched.store.database import Store
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
