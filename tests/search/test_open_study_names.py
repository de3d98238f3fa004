from dataclasses import replace

import pytest

from autosched.network.graph import Network
from autosched.search.open_study import default_study_name, network_difference, own_study_name
from autosched.store.database import Store
from autosched.store.studies import add_study
from autosched.store.trials import add_trial
from tests.examples import records as examples
from tests.examples.networks import residual, skipping


@pytest.mark.parametrize(
    ("batch", "number", "name"),
    [
        (1, 1, "net-n150"),
        (16, 1, "net-b16-n150"),
        (1, 2, "net-n150-2"),
        (4, 3, "net-b4-n150-3"),
    ],
)
def test_a_name_has_what_tells_studies_apart(batch: int, number: int, name: str) -> None:
    assert default_study_name("net", "n150", batch, number) == name


def kept(store: Store, network: Network, name: str) -> None:
    study = examples.study(name)
    add_study(store, replace(study, network_signature=network.signature))


def test_a_study_is_of_the_very_network(store: Store) -> None:
    ours, other = residual(), replace(skipping(), name="residual")
    assert own_study_name(store, ours, "n150") == "residual-n150"
    kept(store, other, "residual-n150")
    assert own_study_name(store, ours, "n150") == "residual-n150-2"
    kept(store, ours, "residual-n150-2")
    assert own_study_name(store, ours, "n150") == "residual-n150-2"
    assert own_study_name(store, other, "n150") == "residual-n150"


def test_a_study_from_before_names_had_the_batch_goes_on(store: Store) -> None:
    network = residual()
    first = network.layers[0]
    images = replace(first, shape=(4, *first.shape[1:]))
    network = replace(network, layers=(images, *network.layers[1:]))
    assert own_study_name(store, network, "n150") == "residual-b4-n150"
    kept(store, network, "residual-n150")
    assert own_study_name(store, network, "n150") == "residual-n150"


def test_networks_differ_in_words(store: Store) -> None:
    study = add_study(store, examples.study("residual"))
    network = residual()
    assert network_difference(store, study, network) == ""
    trial = examples.trial()
    assert trial.schedule is not None
    config = next(iter(trial.schedule.layers.values()))
    names = [layer.name for layer in network]
    same = replace(trial.schedule, layers=dict.fromkeys(names, config), reshards={}, moves={})
    add_trial(store, study, replace(trial, schedule=same))
    assert network_difference(store, study, network).startswith("its layers have other")
    found = network_difference(store, study, replace(skipping(), name="residual"))
    assert found.startswith("it has layer")
    assert " and this one has layer" in found


def test_a_study_on_another_board_of_that_name_is_left_alone(store: Store) -> None:
    network = residual()
    study = replace(examples.study("residual-p150"), network_signature=network.signature)
    add_study(store, replace(study, board="p150-140"))
    assert own_study_name(store, network, "p150") == "residual-p150-2"
    assert own_study_name(store, network, "p150-140") == "residual-p150-140"
