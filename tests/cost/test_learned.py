from pathlib import Path

import pytest

from autosched.cost.coefficients import FROM_CARD, is_learned, load, save
from autosched.cost.learned import learned_coefficients
from autosched.cost.learning import Learner, Measured
from autosched.cost.model import CostModel
from tests.cost.records import Captures


@pytest.fixture(scope="module")
def taught(captures: Captures) -> tuple[CostModel, CostModel]:
    """The shipped model, and what convolutions that take 1.5 times as long make of it."""
    model = CostModel.load("wormhole_b0")
    learner = Learner(model.coefficients)
    belief = learner.learn(
        [
            Measured(captures[name], name, 1.5 * sum(map(model.time_ns, captures[name])), 0.01)
            for name in ("height", "block", "width")
        ]
    )
    learned = learned_coefficients(model.coefficients, belief, "3 times", "0.81.1")
    return model, CostModel(learned)


def test_a_learned_set_is_a_set_like_any_other(
    taught: tuple[CostModel, CostModel], tmp_path: Path
) -> None:
    shipped, learned = taught
    assert learned.version != shipped.version
    assert learned.coefficients.sources[-1] == "3 times"
    save(learned.coefficients, tmp_path / "card.json")
    assert load(tmp_path / "card.json") == learned.coefficients
    assert is_learned(learned.coefficients)
    assert not is_learned(shipped.coefficients)


def test_families_that_nothing_was_measured_of_stay(taught: tuple[CostModel, CostModel]) -> None:
    before, after = (item.coefficients.families for item in taught)
    changed = {name for name, fit in before.items() if after[name] != fit}
    assert {"conv2d", "halo"} <= changed
    assert not changed & {"matmul", "binary", "pool2d"}


def test_what_is_open_shrinks_and_its_provenance_says_so(
    taught: tuple[CostModel, CostModel], captures: Captures
) -> None:
    after = taught[1].coefficients.families["conv2d"]
    for shares in after.provenance.values():
        assert 0.97 < sum(shares.values()) < 1.03
    assert max(shares.get(FROM_CARD, 0.0) for shares in after.provenance.values()) > 0.2
    shipped, learned = (item.predict(captures["height"][-1]) for item in taught)
    assert learned.time_ns > 1.2 * shipped.time_ns
    assert learned.stderr_log < shipped.stderr_log
    assert learned.provenance[FROM_CARD] > 0.02
