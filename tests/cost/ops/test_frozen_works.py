"""The shipped coefficients fit the formulas as they were: no change of code may change a work.

Who means to change a formula raises ``FORMAT``, calibrates anew, and freezes the new digests.
"""

import hashlib
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from autosched.cost.ops.conversions import ReshapeOp, Swap, TilizePaddedOp, TransposeOp
from autosched.cost.ops.families import FAMILIES, work_of
from autosched.cost.ops.movement import MovementOp
from autosched.cost.ops.norms import SoftmaxOp
from autosched.cost.ops.traffic import Place, Traffic
from autosched.cost.ops.work import Quantities, Record, Work
from autosched.cost.profiles.profile import read_profile
from autosched.schedule.tensors import PageLayout

PROFILES = (
    "blackhole_oft_excerpt.csv",
    "wormhole_matmul_excerpt.csv",
    "wormhole_segformer_excerpt.csv",
)
_PAGE_BYTES = {PageLayout.TILE: 1088, PageLayout.ROW_MAJOR: 640}


def _movements() -> Iterator[MovementOp]:
    """Every kind of movement between all places, and kinds with features of their own."""
    kinds = [
        kind for family in FAMILIES for kind in family.formulas if issubclass(kind, MovementOp)
    ]
    for places, pages, converts in product(
        product(Place, Place), product(PageLayout, PageLayout), (False, True)
    ):
        source, target = (
            Traffic(place, page, pages, _PAGE_BYTES[page], pages * _PAGE_BYTES[page] * 56)
            for place, page, pages in zip(places, pages, (300, 320), strict=True)
        )
        sides = (56, source, target, converts)
        yield from (kind(*sides) for kind in kinds)
        yield from (TransposeOp(*sides, swap) for swap in Swap)
        yield TilizePaddedOp(*sides, 777.5)
        yield SoftmaxOp(*sides, masked=True)
        yield ReshapeOp(*sides, 12.5, 3.25, unaligned=True)


def _records(data: Path) -> Iterator[Record]:
    for name in PROFILES:
        yield from (row.features for row in read_profile(data / name).rows)
    yield from _movements()


def _rounded(quantities: Quantities) -> dict[str, str]:
    """Spell amounts so that libraries of mathematics that differ in a last bit agree."""
    return {name: f"{amount:.9g}" for name, amount in quantities.items()}


def _text(work: Work) -> str:
    stages = [(stage.name, _rounded(stage.quantities), stage.overlaps) for stage in work.stages]
    return json.dumps([_rounded(work.serial), stages], sort_keys=True)


def _digests(data: Path) -> dict[str, str]:
    """Return a digest of all works by family."""
    digests = {}
    for record in _records(data):
        work = work_of(record)
        digests.setdefault(work.family, hashlib.sha256()).update(_text(work).encode())
    return {family: found.hexdigest()[:16] for family, found in digests.items()}


def test_works_are_those_that_the_shipped_coefficients_were_fitted_on(data: Path) -> None:
    frozen = json.loads((data / "frozen_works.json").read_text())
    assert _digests(data) == frozen
