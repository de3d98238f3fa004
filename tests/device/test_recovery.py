"""A card that hangs, and what brings it back: a worker without ttnn stands for it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autosched.device.interface import LayerTest
from autosched.device.recovery import RESET_VARIABLE, CardReset, recovery_of
from autosched.device.worker import WorkerDevice
from autosched.errors import DeviceError
from autosched.schedule.outcomes import Agreement, LayerExecution, Rejection, RejectionKind
from tests.device.conftest import ROOT
from tests.examples.device_layers import FITS
from tests.examples.networks import BOARD

# Notes what it is asked; answers unless the file "hung" is there.
CARD = """\
#!{python}
import socket, sys, time
from pathlib import Path
from autosched.device.worker_process import Channel
from autosched.schedule.outcomes import Agreement, LayerExecution, Rejection, RejectionKind
channel = Channel(socket.socket(fileno=int(sys.argv[3])))
channel.receive()
channel.send("ready")
place = Path({place!r})
while True:
    method, argument = channel.receive()
    with (place / "asked").open("a") as log:
        log.write(method + "\\n")
    if (place / "hung").exists():
        time.sleep(100)
    concordance = 0.2 if (place / "wrong").exists() else 1.0
    channel.send(
        LayerExecution(Agreement(1.0, concordance, 0.0, 1.0), varies=False)
        if method == "execute_layer" else Rejection(RejectionKind.INVALID, "answered")
    )
"""

Card = Callable[..., WorkerDevice]


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    def make(*reset: str) -> WorkerDevice:
        script = tmp_path / "worker"
        script.write_text(CARD.format(python=sys.executable, place=str(tmp_path)))
        script.chmod(0o755)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setattr(sys, "executable", str(script))
        found = recovery_of("silicon")
        assert found is not None
        return WorkerDevice(
            BOARD, "silicon", deadline_s=1.5, recovery=CardReset(reset, found.known_good)
        )

    return make


def hang(card: WorkerDevice, place: Path) -> None:
    (place / "hung").touch()
    answer = card.probe(FITS)
    assert isinstance(answer, Rejection)
    assert answer.kind is RejectionKind.HANG


def asked(place: Path) -> list[str]:
    return (place / "asked").read_text().splitlines()


def test_a_card_that_hung_is_reset_and_tried_before_it_is_asked_again(
    card: Card, tmp_path: Path
) -> None:
    with card("rm", str(tmp_path / "hung")) as device:
        hang(device, tmp_path)
        for _ in range(2):
            answer = device.probe(FITS)
            assert isinstance(answer, Rejection)
            assert answer.message == "answered"
    assert asked(tmp_path) == ["probe", "execute_layer", "probe", "probe"]


def test_a_card_that_does_not_come_back_is_used_no_more(card: Card, tmp_path: Path) -> None:
    with card("true") as device:
        hang(device, tmp_path)
        for _ in range(2):
            with pytest.raises(
                DeviceError, match=r"silicon device n150 hung and did not come back"
            ):
                device.probe(FITS)
    assert asked(tmp_path) == ["probe", "execute_layer", "execute_layer"]


def test_a_card_that_computes_wrong_after_its_reset_is_used_no_more(
    card: Card, tmp_path: Path
) -> None:
    (tmp_path / "wrong").touch()
    with card("rm", str(tmp_path / "hung")) as device:
        hang(device, tmp_path)
        with pytest.raises(DeviceError, match=r"computes what is known to be good wrong"):
            device.probe(FITS)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", "echo no such board >&2; exit 3"), "failed \\(no such board\\)"),
        (("no-such-tool",), "cannot be started"),
    ],
)
def test_a_tool_that_fails_is_said_with_its_words(
    card: Card, tmp_path: Path, command: tuple[str, ...], words: str
) -> None:
    with card(*command) as device:
        hang(device, tmp_path)
        with pytest.raises(DeviceError, match=words) as raised:
            device.probe(FITS)
    assert RESET_VARIABLE in str(raised.value)


def test_without_a_command_a_new_worker_is_tried(card: Card, tmp_path: Path) -> None:
    with card() as device:
        hang(device, tmp_path)
        (tmp_path / "hung").unlink()
        device.probe(FITS)
    assert asked(tmp_path) == ["probe", "execute_layer", "probe"]


def test_the_command_is_the_vendors_unless_the_environment_names_one() -> None:
    def command(environment: dict[str, str]) -> tuple[str, ...]:
        found = recovery_of("silicon", environment)
        assert found is not None
        method, argument = found.known_good
        assert (method, type(argument)) == ("execute_layer", LayerTest)
        return found.command

    assert command({}) == ("tt-smi", "-r", "0")
    assert command({RESET_VARIABLE: "reset 'my card'"}) == ("reset", "my card")
    assert command({RESET_VARIABLE: ""}) == ()
    assert recovery_of("mock", {}) is None
    with pytest.raises(DeviceError, match="no command"):
        recovery_of("silicon", {RESET_VARIABLE: "reset 'my card"})


def test_what_varies_or_is_wrong_is_no_good_answer() -> None:
    recovery = recovery_of("silicon", {})
    assert recovery is not None
    right = Agreement(1.0, 1.0, 0.0, 1.0)
    assert recovery.objection(LayerExecution(right, varies=False)) == ""
    assert recovery.objection(LayerExecution(right, varies=True))
    assert recovery.objection(Rejection(RejectionKind.INVALID, "no")).endswith("no")
    assert recovery.objection(DeviceError("broken")) == "broken"
