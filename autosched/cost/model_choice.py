"""Which cost model a study estimates with: the best match of the database, or the shipped one."""

from collections.abc import Iterable
from dataclasses import dataclass

from autosched.cost.coefficients import Coefficients, coefficients_from_plain, coefficients_to_plain
from autosched.cost.model import CostModel
from autosched.errors import ProfileError
from autosched.store.calibrations import CalibrationRecord, list_calibrations, save_calibration
from autosched.store.database import Store

SHIPPED = "shipped with autosched"


@dataclass(frozen=True)
class ChosenModel:
    """A cost model, and where its coefficients come from."""

    model: CostModel
    source: str


def choose_cost_model(store: Store, arch: str, ttnn_version: str, before: str = "") -> ChosenModel:
    """Return the model to estimate with on one architecture.

    The newest calibration of the architecture and ttnn version is best, then the newest of the
    architecture, then the shipped coefficients. Calibrations of another format are passed over.

    Args:
        store: where ``autosched calibrate --save`` keeps calibrations.
        arch: "wormhole_b0" or "blackhole".
        ttnn_version: the installed one.
        before: version of the model that a study's earlier trials were estimated with; it is
            kept as long as it is there, so that all of the study's times compare.

    Raises:
        StoreError: if the database refuses.
    """
    kept = list_calibrations(store, arch)
    kept.sort(key=lambda record: record.ttnn_version != ttnn_version)
    candidates = [found for record in kept if (found := _stored(record)) is not None]
    candidates.append(ChosenModel(CostModel.load(arch), SHIPPED))
    return next((item for item in candidates if item.model.version == before), candidates[0])


def keep_calibration(store: Store, name: str, coefficients: Iterable[Coefficients]) -> None:
    """Keep fitted coefficients under a name, one record an architecture.

    Raises:
        StoreError: if the database refuses.
    """
    for item in coefficients:
        record = CalibrationRecord(item.arch, item.ttnn_version, name, coefficients_to_plain(item))
        save_calibration(store, record)


def _stored(record: CalibrationRecord) -> ChosenModel | None:
    try:
        coefficients = coefficients_from_plain(
            dict(record.coefficients), f"calibration {record.name!r}"
        )
    except ProfileError:
        return None
    made_with = f", profiled with ttnn {record.ttnn_version}" if record.ttnn_version else ""
    return ChosenModel(CostModel(coefficients), f"calibration {record.name!r}{made_with}")
