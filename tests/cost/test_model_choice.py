from dataclasses import replace

from autosched.cost.coefficients import FROM_CARD, Coefficients, coefficients_to_plain
from autosched.cost.model import CostModel
from autosched.cost.model_choice import SHIPPED, base_model, choose_cost_model, keep_calibration
from autosched.store.calibrations import CalibrationRecord, save_calibration
from autosched.store.database import Store

ARCH = "wormhole_b0"


def _made_with(version: str, clock_ghz: float) -> Coefficients:
    shipped = CostModel.load(ARCH).coefficients
    return replace(shipped, ttnn_version=version, clock_ghz=clock_ghz)


def test_without_a_calibration_the_shipped_model_estimates(store: Store) -> None:
    chosen = choose_cost_model(store, ARCH, "0.81.1")
    assert chosen.source == SHIPPED
    assert chosen.model.version == CostModel.load(ARCH).version


def test_the_same_ttnn_version_comes_first_then_the_newest(store: Store) -> None:
    keep_calibration(store, "older", [_made_with("0.70", 1.1)])
    keep_calibration(store, "same", [_made_with("0.81.1", 1.2)])
    keep_calibration(store, "newest", [_made_with("0.90", 1.3)])
    exact = choose_cost_model(store, ARCH, "0.81.1")
    assert exact.source == "calibration 'same', profiled with ttnn 0.81.1"
    assert exact.model.coefficients.clock_ghz == 1.2
    assert "'newest'" in choose_cost_model(store, ARCH, "0.99").source


def test_another_architecture_s_calibration_is_not_used(store: Store) -> None:
    keep_calibration(store, "mine", [_made_with("0.81.1", 1.2)])
    assert choose_cost_model(store, "blackhole", "0.81.1").source == SHIPPED


def test_a_study_keeps_the_model_of_its_trials(store: Store) -> None:
    shipped = CostModel.load(ARCH).version
    keep_calibration(store, "mine", [_made_with("0.81.1", 1.2)])
    assert choose_cost_model(store, ARCH, "0.81.1", shipped).source == SHIPPED
    assert "'mine'" in choose_cost_model(store, ARCH, "0.81.1", "gone").source


def test_a_calibration_of_another_format_is_passed_over(store: Store) -> None:
    plain = {**coefficients_to_plain(_made_with("0.81.1", 1.2)), "format": 0}
    save_calibration(store, CalibrationRecord(ARCH, "0.81.1", "old", plain))
    chosen = choose_cost_model(store, ARCH, "0.81.1")
    assert chosen.model.version == CostModel.load(ARCH).version
    assert chosen.source.startswith(f"{SHIPPED}, as calibration 'old' is of another version's")


def test_times_are_learned_on_top_of_what_was_not_learned_so(store: Store) -> None:
    assert base_model(store, ARCH, "0.81.1").source == SHIPPED
    keep_calibration(store, "profiled", [_made_with("0.81.1", 1.2)])
    learned = _made_with("0.81.1", 1.3)
    conv2d = replace(learned.families["conv2d"], provenance={"launch": {FROM_CARD: 1.0}})
    families = {**learned.families, "conv2d": conv2d}
    keep_calibration(store, "card-n150", [replace(learned, families=families)])
    found = choose_cost_model(store, ARCH, "0.81.1").source
    assert found == "calibration 'card-n150', learned with ttnn 0.81.1"
    assert base_model(store, ARCH, "0.81.1").model.coefficients.clock_ghz == 1.2
