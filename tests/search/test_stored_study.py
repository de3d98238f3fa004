from dataclasses import replace

import pytest

from autosched.errors import StudyError
from autosched.search.open_study import open_study
from autosched.search.stored_study import network_of_study, read_study
from autosched.store.database import Store
from autosched.store.studies import find_network
from tests.examples.networks import BOARD, skipping
from tests.examples.studied import QUICK, Studied


def test_the_bound_is_that_of_the_search(probed: Store, studied: Studied) -> None:
    proof = read_study(probed, studied.record).proof(10.0)
    assert proof is not None
    assert proof.bound_us == pytest.approx(studied.bound_us)


def test_what_was_asked_is_what_the_search_asked(probed: Store, studied: Studied) -> None:
    found = read_study(probed, studied.record)
    assert found.book.counts.run == 0 or found.unprobed
    for layer in found.network:
        assert found.asked(layer.name)


def test_a_new_study_keeps_its_network(store: Store, studied: Studied) -> None:
    with open_study(store, skipping(), BOARD.name, QUICK, device=studied.device()) as opened:
        record = opened.record
    assert find_network(store, record.network_signature) is not None
    assert network_of_study(store, record) == skipping()
    found = read_study(store, record)
    assert found.joint is None
    assert found.unprobed
    assert found.proof(1.0) is None


def test_a_network_that_is_nowhere_is_an_error(store: Store, studied: Studied) -> None:
    record = replace(studied.record, network_signature="0" * 16)
    with pytest.raises(StudyError, match="did not keep the layers"):
        network_of_study(store, record)
