import json

import pytest

from autosched.device.interface import TimingSettings
from autosched.errors import StudyError
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType
from autosched.search.settings import Settings
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
)


def test_settings_survive_the_store(store: Store):
    plain = SETTINGS.to_plain()
    add_study(store, StudyRecord("s", "n", "f", "n150", "silicon", "0.81.1", 1, plain))
    assert Settings.from_plain(get_study(store, "s").settings) == SETTINGS


def test_settings_are_plain_json():
    assert Settings.from_plain(json.loads(json.dumps(SETTINGS.to_plain()))) == SETTINGS


def test_what_an_older_version_did_not_store_has_its_default():
    assert Settings.from_plain({}) == Settings()
    assert Settings.from_plain({"seed": 3, "timing": {"replays": 9}}) == Settings(
        seed=3, timing=TimingSettings(replays=9)
    )


@pytest.mark.parametrize(
    "plain",
    [{"colour": "red"}, {"timing": {"laps": 2}}, {"formats": {"weights": "float7"}}],
)
def test_what_this_version_does_not_know(plain: dict[str, object]):
    with pytest.raises(StudyError, match="settings are those of another version of autosched"):
        Settings.from_plain(plain)
