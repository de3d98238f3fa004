import json
from typing import Any

import pytest

from autosched.device.interface import TimingSettings
from autosched.errors import AutoschedError, BoardError, SearchError, StudyError
from autosched.probing.restrictions import Restriction
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType
from autosched.search.settings import Settings
from autosched.space.efforts import find_effort
from autosched.space.formats import Formats
from autosched.store.database import Store
from autosched.store.studies import StudyRecord, add_study, get_study

SETTINGS = Settings(
    network_file="/home/me/net.py",
    device="silicon",
    sampler="tpe",
    effort="full",
    seed=7,
    formats=Formats(weights=DataType.BFLOAT4_B, fidelity=Fidelity.HIFI4),
    timing=TimingSettings(warm_ups=1, replays=5),
    allow_host=True,
    pinned=("layer1.*:shard_layout=height", "a:b:memory=L1"),
    forbidden=("*:memory=dram",),
    pack_images=4,
)


def test_settings_survive_the_store(store: Store):
    plain = SETTINGS.to_plain()
    add_study(store, StudyRecord("s", "n", "f", "n150", "silicon", "0.81.1", 1, plain))
    assert Settings.from_plain(get_study(store, "s").settings) == SETTINGS


@pytest.mark.parametrize(
    "seed", [-1, 2**32, 10**400, 10**5000], ids=["below", "above", "long", "longer"]
)
def test_a_seed_that_no_sampler_takes_is_refused_where_settings_are_made(seed: int) -> None:
    with pytest.raises(SearchError, match="it is from 0 to 4294967295"):
        Settings(seed=seed)
    with pytest.raises(StudyError, match="seed"):
        Settings.from_plain({**SETTINGS.to_plain(), "seed": seed})
    assert Settings(seed=2**32 - 1).seed == 2**32 - 1


def test_less_than_one_image_is_refused():
    with pytest.raises(SearchError, match="0 images cannot be packed"):
        Settings(pack_images=0)


def test_settings_are_plain_json():
    assert Settings.from_plain(json.loads(json.dumps(SETTINGS.to_plain()))) == SETTINGS


def test_what_an_older_version_did_not_store_has_its_default():
    assert Settings.from_plain({}) == Settings(risk=0.0)
    assert Settings.from_plain({"seed": 3, "timing": {"replays": 9}}) == Settings(
        seed=3, timing=TimingSettings(replays=9), risk=0.0
    )


@pytest.mark.parametrize(
    "plain",
    [
        {"colour": "red"},
        {"sampler": "magic"},
        {"pinned": ["conv1"]},
        {"timing": {"laps": 2}},
        {"formats": {"weights": "float7"}},
    ],
)
def test_what_this_version_does_not_know(plain: dict[str, object]):
    with pytest.raises(StudyError, match="settings are those of another version of autosched"):
        Settings.from_plain(plain)


def test_words_are_read_once():
    assert SETTINGS.effort is find_effort("full")
    assert SETTINGS.pinned == (
        Restriction("layer1.*", "shard_layout", "height", pins=True),
        Restriction("a:b", "memory", "l1", pins=True),
    )
    assert SETTINGS.restrictions == (
        *SETTINGS.pinned,
        Restriction("*", "memory", "dram", pins=False),
    )
    assert Settings(effort=SETTINGS.effort, pinned=SETTINGS.pinned) == Settings(
        effort="full", pinned=["layer1.*:shard_layout=height", "a:b:memory=L1"]
    )


def test_the_device_is_a_card_if_there_is_one():
    assert Settings().device == "auto"


def test_what_is_stored_is_what_older_versions_read():
    plain = SETTINGS.to_plain()
    assert (plain["effort"], plain["device"]) == ("full", "silicon")
    assert plain["pinned"] == ["layer1.*:shard_layout=height", "a:b:memory=l1"]
    assert plain["forbidden"] == ["*:memory=dram"]


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        ({"sampler": "magic"}, SearchError, "unknown sampler 'magic'; it is one of"),
        ({"effort": "heroic"}, SearchError, "unknown effort 'heroic'; it is one of quick, default"),
        ({"device": "cloud"}, BoardError, "unknown device 'cloud'; it is one of auto, mock"),
        ({"pinned": ["conv1"]}, SearchError, "--pin 'conv1': expected LAYERS:FIELD=VALUE"),
        ({"forbidden": ["a:b"]}, SearchError, "--forbid 'a:b': expected LAYERS:FIELD=VALUE"),
    ],
)
def test_bad_words_are_refused_at_the_door(
    wishes: dict[str, Any], error: type[AutoschedError], message: str
):
    with pytest.raises(error, match=message):
        Settings(**wishes)


def test_what_is_not_known_is_named_with_its_place():
    with pytest.raises(StudyError, match=r"Settings\.formats\.weights: 'float7' is not one of bf"):
        Settings.from_plain({"formats": {"weights": "float7"}})


def test_formats_are_searched_by_the_sampler_that_solves() -> None:
    with pytest.raises(SearchError, match="sampler 'random' does not"):
        Settings(sampler="random", search_formats=True)
    assert Settings(search_formats=True).min_pcc == 0.99


def test_a_floor_is_stored_with_a_study() -> None:
    settings = Settings(min_pcc=0.995, search_formats=True)
    assert Settings.from_plain(settings.to_plain()) == settings
    assert "min_pcc" not in Settings().to_plain()
