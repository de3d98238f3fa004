from dataclasses import replace

import pytest

from autosched.budget import UNLIMITED
from autosched.cli.steps.stored_run import explanation_of
from autosched.cost.model import CostModel
from autosched.device.revisions import current_revisions
from autosched.errors import StudyError
from autosched.probing.probe_book import reshard_signature, total_us
from autosched.probing.stored_answers import place_in_table
from autosched.schedule.outcomes import ProbeOutcome, TimeKind
from autosched.search.open_study import open_study
from autosched.search.stored_study import network_of_study, read_study
from autosched.store.database import Store
from autosched.store.probes import DeviceKey, load_probes, save_probes
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


def test_times_of_a_card_come_before_estimates(probed: Store, studied: Studied) -> None:
    """Invented times of candidates, as a card would have been asked for: twice the estimates."""
    network, record = studied.network, replace(studied.record, device_kind="silicon")
    signatures = [network.layer_signature(layer) for layer in network]
    shapes = [reshard_signature(layer.shape) for layer in network]
    key = DeviceKey(record.board, "mock", record.ttnn_version)
    answered = load_probes(probed, [*signatures, *shapes], key, current_revisions())
    card, cost = replace(key, device_kind="silicon"), CostModel.load(BOARD.arch)
    for probe in answered.probes.values():
        outcome = probe.outcome
        if isinstance(outcome, ProbeOutcome):
            outcome = replace(outcome, time_us=2 * total_us(cost.estimate(outcome.ops)))
        own = replace(probe, key=replace(probe.key, device=card), outcome=outcome)
        save_probes(probed, [own])
    found = read_study(probed, record)
    assert found.joint is not None
    for layer in network:
        kept = found.joint.tables[layer.name]
        assert {choice.kind for choice in kept} == {TimeKind.MEASURED}
        offered = [
            item for item in found.asked(layer.name)
            if place_in_table(found.joint, layer.name, item) is not None
        ]  # fmt: skip
        assert {item.probed.kind for item in offered if item.probed} == {TimeKind.MEASURED}
        own = explanation_of(found, studied.best, layer.name, UNLIMITED)
        measured = [one for one in own.candidates if one.kind is TimeKind.MEASURED]
        assert len(measured) >= len(kept)
        for one in measured[1:]:
            assert one.error_us == pytest.approx(0.01 * one.time_us)
    proof = found.proof(10.0)
    assert proof is not None
    assert proof.bound_us == pytest.approx(2 * studied.bound_us, rel=0.05)


def test_a_network_that_is_nowhere_is_an_error(store: Store, studied: Studied) -> None:
    record = replace(studied.record, network_signature="0" * 16)
    with pytest.raises(StudyError, match="did not keep the layers"):
        network_of_study(store, record)
