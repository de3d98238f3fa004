"""All families together: an op finds its record, a record its formula and coefficients."""

from itertools import product
from pathlib import Path

import pytest

from autosched.cost.coefficients import shipped_path
from autosched.cost.model import CostModel
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.eltwise import BinaryOp
from autosched.cost.ops.families import (
    FAMILIES,
    PRIORS,
    RESOURCES,
    is_known,
    read_features,
    work_of,
)
from autosched.cost.ops.halo import HaloOp
from autosched.cost.ops.matmul import MatmulOp
from autosched.cost.ops.movement import GenericOp, InterleavedToShardedOp, MovementOp, MoveOp
from autosched.cost.ops.pooling import PoolOp
from autosched.cost.ops.traffic import Place, Traffic
from autosched.cost.ops.work import SHARE, Record, all_quantities
from autosched.cost.profiles.profile import read_profile
from autosched.schedule.tensors import PageLayout
from tests.cost.records import Captures

MOVEMENTS = [
    kind for family in FAMILIES for kind in family.formulas if issubclass(kind, MovementOp)
]


def test_captured_ops_become_their_records(captures: Captures) -> None:
    kinds = [type(read_features(op)) for op in captures["height"]]
    assert kinds == [InterleavedToShardedOp, HaloOp, MoveOp, Conv2dOp]
    assert isinstance(read_features(captures["pointwise"][-1]), MatmulOp)
    assert isinstance(read_features(captures["add"][0]), BinaryOp)
    assert isinstance(read_features(captures["pool"][-1]), PoolOp)


def test_every_cost_says_what_it_is_spent_on_and_shares_do_not() -> None:
    for family, priors in PRIORS.items():
        for name, prior in priors.items():
            assert (prior.resource is None) == (prior.unit == SHARE), f"{family}: {name}"
            assert (name in RESOURCES[family]) == (prior.unit != SHARE)


def test_an_unknown_op_is_generic(captures: Captures) -> None:
    op = captures["sort"][0]
    assert not is_known(op)
    assert isinstance(read_features(op), GenericOp)


@pytest.mark.parametrize("part", ["readers", "formulas", "priors"])
def test_nothing_is_declared_by_two_families(part: str) -> None:
    declared = [name for family in FAMILIES for name in getattr(family, part)]
    assert len(declared) == len(set(declared))


def test_a_record_without_a_formula_is_refused() -> None:
    with pytest.raises(TypeError, match="no formula for Record"):
        work_of(Record())


def _check(record: Record) -> None:
    work = work_of(record)
    priors = PRIORS[work.family]
    assert all_quantities(work).keys() <= priors.keys(), work.family
    shares = {name for stage in work.stages for name in stage.overlaps}
    assert shares <= priors.keys(), work.family


@pytest.mark.parametrize("kind", MOVEMENTS, ids=lambda kind: kind.__name__)
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
