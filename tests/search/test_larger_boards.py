"""What fits a board fits one with more cores and as many banks: it is never slower there."""

from pathlib import Path

import pytest

from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.search.open_study import create_study
from autosched.search.settings import Settings

STUDIES = Path(__file__).parents[2] / "studies"
_AS_FAST = 1.01


@pytest.mark.soak
@pytest.mark.parametrize(("larger", "smaller"), [("p150-140", "p150"), ("n150", "n300-worker")])
@pytest.mark.parametrize(
    "net", ["alexnet", "lenet", "mobilenet_v2", "resnet18", "super_resolution", "unet_small"]
)
def test_more_cores_are_never_slower(tmp_path: Path, net: str, larger: str, smaller: str) -> None:
    loaded = load_network_file(str(STUDIES / f"{net}.py"), None)
    network = capture(loaded.module, loaded.example_inputs, loaded.name)
    best_us = {}
    for board in (larger, smaller):
        settings = Settings(device="mock", effort="quick")
        storage = f"sqlite:///{tmp_path}/{board}.sqlite3"
        with create_study(network, board, settings=settings, storage=storage) as study:
            study.optimize(trials=2)
            assert study.best is not None
            best_us[board] = study.best.latency_us
    assert best_us[larger] <= best_us[smaller] * _AS_FAST
