import pytest

from autosched.budget import Budget
from autosched.probing.stored_answers import (
    in_the_formats_of,
    joint_price,
    place_in_table,
    priced,
)
from autosched.search.stored_study import StoredStudy, read_study
from autosched.store.database import Store
from tests.examples.studied import Studied


@pytest.fixture
def stored(probed: Store, studied: Studied) -> StoredStudy:
    return read_study(probed, studied.record)


def test_the_joint_problem_is_that_of_the_search(stored: StoredStudy, studied: Studied) -> None:
    assert stored.joint is not None
    assert stored.joint.tables == studied.joint.tables
    assert stored.joint.problem == studied.joint.problem


def test_prices_are_at_least_the_optimum(stored: StoredStudy, studied: Studied) -> None:
    joint = stored.joint
    assert joint is not None
    assert studied.best.schedule is not None
    selection = joint.find(studied.best.schedule)
    assert selection is not None
    for name, choices in joint.tables.items():
        prices = priced(joint, name, range(len(choices)), Budget.of(60))
        assert len(prices) == len(choices)
        least = min(price.network_us for price in prices.values() if price)
        assert least == pytest.approx(studied.bound_us, rel=1e-3)
        chosen = prices[selection.candidates[name]]
        assert chosen is not None
        for edge in chosen.edges:
            assert name in (edge.producer, edge.consumer)
            assert edge.time_us >= 0


def test_all_others_can_keep_their_formats(stored: StoredStudy, studied: Studied) -> None:
    joint = stored.joint
    assert joint is not None
    assert studied.best.schedule is not None
    selection = joint.find(studied.best.schedule)
    assert selection is not None
    name = stored.network.layers[1].name
    kept = in_the_formats_of(joint, selection, name)
    assert kept.tables[name] == joint.tables[name]
    price = joint_price(kept, name, selection.candidates[name])
    assert price is not None
    assert price.network_us == pytest.approx(studied.best.latency_us, rel=1e-2)


def test_answers_have_their_places_in_the_table(stored: StoredStudy) -> None:
    joint = stored.joint
    assert joint is not None
    for name, choices in joint.tables.items():
        places = {place_in_table(joint, name, item) for item in stored.asked(name)} - {None}
        assert places == set(range(len(choices)))
