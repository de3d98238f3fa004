"""Which cost model a study estimates with: the best match of the database, or the shipped one."""

from collections.abc import Iterable
from dataclasses import dataclass

from autosched.cost.coefficients import (
    Coefficients,
    coefficients_from_plain,
    coefficients_to_plain,
    is_learned,
)
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
    architecture, then the shipped coefficients. Calibrations of another format are passed over,
    and named where nothing but the shipped coefficients is left.

    Args:
        store: where ``autosched calibrate --save`` keeps calibrations.
        arch: "wormhole_b0" or "blackhole".
        ttnn_version: the installed one.
        before: version of the model that a study's earlier trials were estimated with; it is
            kept as long as it is there, so that all of the study's times compare.

    Raises:
        StoreError: if the database refuses.
    """
    candidates = _candidates(store, arch, ttnn_version)
    return next((item for item in candidates if item.model.version == before), candidates[0])


def _candidates(store: Store, arch: str, ttnn_version: str) -> list[ChosenModel]:
    """Return the models there are of an architecture, the best first; the last is the shipped."""
    kept = list_calibrations(store, arch)
    kept.sort(key=lambda record: record.ttnn_version != ttnn_version)
    found = [model for record in kept if (model := _stored(record)) is not None]
    source = SHIPPED
    if kept and not found:
        source += (
            f", as calibration {kept[0].name!r} is of another version's formulas: "
            "'autosched calibrate' makes it again from its profiles"
        )
    return [*found, ChosenModel(CostModel.load(arch), source)]


def named_model(store: Store, arch: str, name: str) -> CostModel | None:
    """Return the model that a person names: "shipped", a kept calibration, or a .json file.

    None if there is no calibration of that name or version.

    Raises:
        ProfileError: if the file cannot be used, or is of another architecture.
        StoreError: if the database refuses.
    """
    if name == "shipped":
        return CostModel.load(arch)
    if name.endswith(".json"):
        return CostModel.load(arch, name)
    for record in list_calibrations(store, arch):
        stored = _stored(record)
        if stored is not None and name in (record.name, stored.model.version):
            return stored.model
    return None


def base_model(store: Store, arch: str, ttnn_version: str) -> ChosenModel:
    """Return the model that times of a card are learned on top of.

    As :func:`choose_cost_model` does, but of calibrations none that was learned so: all times of a
    card are known when there are more of them.

    Raises:
        StoreError: if the database refuses.
    """
    candidates = _candidates(store, arch, ttnn_version)
    return next(item for item in candidates if not is_learned(item.model.coefficients))


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
    verb = "learned" if is_learned(coefficients) else "profiled"
    made_with = f", {verb} with ttnn {record.ttnn_version}" if record.ttnn_version else ""
    return ChosenModel(CostModel(coefficients), f"calibration {record.name!r}{made_with}")
