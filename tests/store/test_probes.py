import pytest
from sqlalchemy import text

from autosched.errors import StoreError
from autosched.schedule.configurations import Conv2dConfig, LayerConfig
from autosched.store.database import Store
from autosched.store.probes import DeviceKey, ProbeKey, load_probes, save_probes
from tests.examples import records as examples


@pytest.mark.parametrize("config", examples.CONFIGS)
def test_a_probe_comes_back(store: Store, config: LayerConfig) -> None:
    probe = examples.probe(config=config)
    save_probes(store, [probe])
    assert load_probes(store, ["layer a"], examples.N150) == {probe.key: probe}


def test_a_rejection_comes_back(store: Store) -> None:
    probe = examples.probe(outcome=examples.REJECTION)
    save_probes(store, [probe])
    assert load_probes(store, ["layer a"], examples.N150) == {probe.key: probe}


def test_a_known_probe_is_left_as_it_is(store: Store) -> None:
    first, second = examples.probe(), examples.probe(outcome=examples.REJECTION)
    save_probes(store, [first])
    save_probes(store, [second, examples.probe("layer b"), second])
    found = load_probes(store, ["layer a", "layer b"], examples.N150)
    assert list(found.values()) == [first, examples.probe("layer b")]


def test_nothing_to_save_is_no_error(store: Store) -> None:
    save_probes(store, [])
    assert load_probes(store, [], examples.N150) == {}


@pytest.mark.parametrize(
    "other",
    [
        DeviceKey("n300", "mock", "0.81.1"),
        DeviceKey("n150", "silicon", "0.81.1"),
        DeviceKey("n150", "mock", "0.82.0"),
    ],
)
def test_a_probe_of_another_device_is_never_used(store: Store, other: DeviceKey) -> None:
    save_probes(store, [examples.probe(device=other)])
    assert load_probes(store, ["layer a"], examples.N150) == {}
    assert len(load_probes(store, ["layer a"], other)) == 1


def test_only_the_layers_asked_for_are_loaded(store: Store) -> None:
    save_probes(store, [examples.probe(f"layer {index}") for index in range(5)])
    found = load_probes(store, ["layer 3", "layer 1", "layer 9"], examples.N150)
    assert [key.layer_signature for key in found] == ["layer 1", "layer 3"]


def test_thousands_of_probes_and_layers_fit_in_statements(store: Store) -> None:
    saved = [
        examples.probe(f"layer {index}", Conv2dConfig(), examples.REJECTION)
        for index in range(1200)
    ]
    save_probes(store, saved)
    found = load_probes(store, [f"layer {index}" for index in range(1200)], examples.N150)
    assert list(found.values()) == saved


def test_a_key_depends_on_configuration_and_layouts() -> None:
    config, layouts = Conv2dConfig(), (examples.layout(),)
    key = ProbeKey.of("layer", config, layouts, examples.N150)
    assert key == ProbeKey.of("layer", config, list(layouts), examples.N150)
    wider = Conv2dConfig(act_block_w_div=2)
    assert key != ProbeKey.of("layer", wider, layouts, examples.N150)
    assert key != ProbeKey.of("layer", config, (examples.layout(96),), examples.N150)


def test_a_damaged_probe_is_named(store: Store) -> None:
    save_probes(store, [examples.probe()])
    with store.writing() as session:
        session.execute(text("UPDATE autosched_probe SET outcome = :bytes"), {"bytes": b"x"})
    with pytest.raises(StoreError, match="autosched_probe 1: the stored value cannot be read"):
        load_probes(store, ["layer a"], examples.N150)
