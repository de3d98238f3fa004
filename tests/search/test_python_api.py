"""The library as the README shows it, on the real mock device."""

from pathlib import Path

import pytest

import autosched
from tests.examples.studied import QUICK, Studied, copied

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 64, 3, padding=1)
        self.pool = torch.nn.MaxPool2d(2)
        self.conv1 = torch.nn.Conv2d(64, 64, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(64, 64, 1)
        self.fc = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = self.pool(self.stem(x).relu())
        x = (self.conv2(self.conv1(x).relu()) + x).relu()
        return self.fc(torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

model = Net()
input_shape = (1, 3, 32, 32)
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_search_export_and_go_on(studied: Studied, net: Path, tmp_path: Path):
    loaded = autosched.load_network_file(str(net))
    network = autosched.capture(loaded.module, loaded.example_inputs, loaded.name)
    storage = copied(studied.url, tmp_path / "store.sqlite3")
    settings = autosched.Settings(network_file=str(net), effort="quick", device="mock")

    with autosched.create_study(network, "n150", storage=storage, settings=settings) as study:
        best = study.optimize(trials=2)
        assert best == study.best
        assert best is not None
        assert best.schedule is not None
        path = autosched.save_schedule(best.schedule, tmp_path / "net_n150.py")
        # The layers are those of the network that was studied before, so most is known already.
        assert study.probe_counts.reused > study.probe_counts.run

    assert autosched.load_schedule(path) == best.schedule

    with autosched.load_study("net-n150", storage=storage) as study:
        assert study.network.signature == network.signature
        assert [trial.number for trial in study.trials] == [0, 1]
        assert study.best == best
        assert study.settings == settings


def test_a_study_made_twice_is_one(studied: Studied, tmp_path: Path):
    storage = copied(studied.url, tmp_path / "store.sqlite3")
    made = [
        autosched.create_study(
            studied.network, "n150", storage=storage, name="mine", settings=QUICK
        )
        for _ in range(2)
    ]
    assert made[0].record == made[1].record
    assert made[0].trials == []
    for study in made:
        study.close()
