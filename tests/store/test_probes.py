from collections.abc import Mapping
from dataclasses import replace

import pytest
from sqlalchemy import text

from autosched.errors import StoreError
from autosched.schedule.configurations import Conv2dConfig, LayerConfig
from autosched.store.database import Store
from autosched.store.probes import (
    DeviceKey,
    ProbeKey,
    StoredProbe,
    all_probes,
    delete_probes,
    device_with_probes,
    load_probes,
    purge_stale,
    save_probes,
    stored_devices,
)
from tests.examples import records as examples

CURRENT = {examples.REVISION}
OTHER = "fedcba9876543210"


def loaded(
    store: Store, *signatures: str, device: DeviceKey = examples.N150
) -> Mapping[ProbeKey, StoredProbe]:
    return load_probes(store, signatures, device, CURRENT).probes


@pytest.mark.parametrize("config", examples.CONFIGS)
def test_a_probe_comes_back(store: Store, config: LayerConfig) -> None:
    probe = examples.probe(config=config)
    save_probes(store, [probe])
    assert loaded(store, "layer a") == {probe.key: probe}


def test_a_rejection_comes_back(store: Store) -> None:
    probe = examples.probe(outcome=examples.REJECTION)
    save_probes(store, [probe])
    assert loaded(store, "layer a") == {probe.key: probe}


def test_a_known_probe_is_left_as_it_is(store: Store) -> None:
    first, second = examples.probe(), examples.probe(outcome=examples.REJECTION)
    save_probes(store, [first])
    save_probes(store, [second, examples.probe("layer b"), second])
    found = loaded(store, "layer a", "layer b")
    assert list(found.values()) == [first, examples.probe("layer b")]


def test_nothing_to_save_is_no_error(store: Store) -> None:
    save_probes(store, [])
    assert loaded(store) == {}


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
    assert loaded(store, "layer a") == {}
    assert len(loaded(store, "layer a", device=other)) == 1


def test_only_the_layers_asked_for_are_loaded(store: Store) -> None:
    save_probes(store, [examples.probe(f"layer {index}") for index in range(5)])
    found = loaded(store, "layer 3", "layer 1", "layer 9")
    assert [key.layer_signature for key in found] == ["layer 1", "layer 3"]


def test_thousands_of_probes_and_layers_fit_in_statements(store: Store) -> None:
    saved = [
        examples.probe(f"layer {index}", Conv2dConfig(), examples.REJECTION)
        for index in range(1200)
    ]
    save_probes(store, saved)
    found = loaded(store, *(f"layer {index}" for index in range(1200)))
    assert list(found.values()) == saved


def test_a_key_depends_on_configuration_layouts_and_revision() -> None:
    config, layouts = Conv2dConfig(), (examples.layout(),)
    key = ProbeKey.of("layer", config, layouts, examples.N150, "a")
    assert key == ProbeKey.of("layer", config, list(layouts), examples.N150, "a")
    wider = Conv2dConfig(act_block_w_div=2)
    assert key != ProbeKey.of("layer", wider, layouts, examples.N150, "a")
    assert key != ProbeKey.of("layer", config, (examples.layout(96),), examples.N150, "a")
    assert key != ProbeKey.of("layer", config, layouts, examples.N150, "b")


def test_probes_of_another_revision_are_counted_and_not_read(store: Store) -> None:
    fresh = examples.probe("layer b")
    save_probes(store, [examples.probe(revision=OTHER), fresh, examples.probe("layer c")])
    with store.writing() as session:
        session.execute(
            text("UPDATE autosched_probe SET outcome = :bytes WHERE revision = :other"),
            {"bytes": b"of another form", "other": OTHER},
        )
    found = load_probes(store, ["layer a", "layer b"], examples.N150, CURRENT)
    assert (found.probes, found.stale) == ({fresh.key: fresh}, 1)
    assert load_probes(store, ["layer c"], examples.N150, CURRENT).stale == 0


def test_a_stale_probe_stays_and_is_counted_until_it_is_answered(store: Store) -> None:
    stale = examples.probe(outcome=examples.REJECTION, revision=OTHER)
    fresh = examples.probe()
    save_probes(store, [stale, examples.probe("layer b")])
    assert load_probes(store, ["layer a"], examples.N150, CURRENT).stale == 1
    save_probes(store, [fresh])
    found = load_probes(store, ["layer a", "layer b"], examples.N150, CURRENT)
    assert list(found.probes.values()) == [examples.probe("layer b"), fresh]
    assert found.stale == 0
    assert all_probes(store, examples.N150).probes == (stale, examples.probe("layer b"), fresh)


def test_stale_probes_are_purged_alone(store: Store) -> None:
    stale = [examples.probe(f"layer {index}", revision=OTHER) for index in range(3)]
    save_probes(store, [*stale, examples.probe(), examples.probe("layer old", revision="")])
    assert purge_stale(store, CURRENT) == 4
    assert purge_stale(store, CURRENT) == 0
    assert list(loaded(store, "layer a", "layer 1").values()) == [examples.probe()]


def test_a_damaged_probe_is_named(store: Store) -> None:
    save_probes(store, [examples.probe()])
    with store.writing() as session:
        session.execute(text("UPDATE autosched_probe SET outcome = :bytes"), {"bytes": b"x"})
    with pytest.raises(StoreError, match="autosched_probe 1: the stored value cannot be read"):
        loaded(store, "layer a")


def test_probes_by_other_versions_of_ttnn_are_counted_alone(store: Store) -> None:
    now = examples.probe()
    before = replace(
        now, key=replace(now.key, device=replace(now.key.device, ttnn_version="0.80.0"))
    )
    elsewhere = replace(
        before,
        key=replace(
            before.key, device=replace(now.key.device, board="p150", ttnn_version="0.80.0")
        ),
    )
    save_probes(store, [now, before, elsewhere])
    found = load_probes(store, ["layer a"], examples.N150, {examples.REVISION})
    assert list(found.probes) == [now.key]
    assert (found.stale, found.other_versions) == (0, {"0.80.0": 1})


def test_probes_of_other_firmware_stay_and_are_not_used(store: Store) -> None:
    unknown = examples.probe()
    device = DeviceKey("n150", "silicon", "0.81.1", "19.6.0.0")
    now, before = (
        replace(unknown, key=replace(unknown.key, device=replace(device, firmware=firmware)))
        for firmware in ("19.6.0.0", "19.4.0.0")
    )
    save_probes(store, [before, now])
    found = load_probes(store, ["layer a"], device, {examples.REVISION})
    assert list(found.probes) == [now.key]
    assert found.other_versions == {"0.81.1/19.4.0.0": 1}
    assert stored_devices(store, "n150", "silicon") == [before.key.device, device]
    delete_probes(store, [before.key])
    assert device_with_probes(store, replace(device, firmware="")) == device
    assert str(device) == "n150 (silicon) with ttnn 0.81.1 and firmware 19.6.0.0"
