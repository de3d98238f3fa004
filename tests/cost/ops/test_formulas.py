from itertools import product
from pathlib import Path

import pytest

from autosched.cost.coefficients import shipped_path
from autosched.cost.model import CostModel
from autosched.cost.ops import traffic as r
from autosched.cost.ops.families import Record, work_of
from autosched.cost.ops.movement import MovementOp
from autosched.cost.ops.traffic import Place, Traffic
from autosched.cost.ops.work import PRIORS, all_quantities
from autosched.cost.profiles.profile import read_profile
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import PageLayout

Captures = dict[str, tuple[DeviceOp, ...]]


def _movement_kinds() -> list[type[MovementOp]]:
    found = [kind for kind in vars(r).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, MovementOp) and kind is not MovementOp]


def _check(record: Record) -> None:
    work = work_of(record)
    priors = PRIORS[work.family]
    assert all_quantities(work).keys() <= priors.keys(), work.family
    shares = {name for stage in work.stages for name in stage.overlaps}
    assert shares <= priors.keys(), work.family


@pytest.mark.parametrize("kind", _movement_kinds(), ids=lambda kind: kind.__name__)
def test_every_movement_between_all_places_has_coefficients(kind: type[MovementOp]) -> None:
    for source, target, page in product(Place, Place, PageLayout):
        sides = [Traffic(place, page, 10, 2048, 20480 * 64) for place in (source, target)]
        _check(kind(cores=64, source=sides[0], target=sides[1], converts=True))


@pytest.mark.parametrize("name", ["blackhole_oft_excerpt.csv", "wormhole_segformer_excerpt.csv"])
def test_every_profiled_op_has_coefficients(data: Path, name: str) -> None:
    for row in read_profile(data / name).rows:
        _check(row.features)


@pytest.mark.parametrize("arch", ["wormhole_b0", "blackhole"])
def test_shipped_coefficients_cover_the_formulas(arch: str) -> None:
    assert shipped_path(arch).exists()
    families = CostModel.load(arch).coefficients.families
    assert families.keys() == PRIORS.keys()
    for family, fit in families.items():
        assert fit.values.keys() == PRIORS[family].keys(), family
