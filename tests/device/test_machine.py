import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from autosched.device import machine as opening
from autosched.device.machine import (
    cache_dir,
    card_firmware,
    choose_device,
    choose_executing_device,
    firmware_of,
    home_for_ttnn,
)
from autosched.errors import BoardError


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []
    monkeypatch.setattr(opening, "silicon_devices", lambda: found)
    return found


def test_without_a_card_it_is_the_mock_device(cards: list[Path]) -> None:
    assert not cards
    assert choose_device("auto") == choose_device("mock") == "mock"
    with pytest.raises(BoardError, match=r"no Tenstorrent card .*--device mock"):
        choose_device("silicon")


def test_a_card_is_taken_unless_the_mock_device_is_asked_for(cards: list[Path]) -> None:
    cards.append(Path("/dev/tenstorrent/0"))
    assert choose_device("auto") == choose_device("silicon") == "silicon"
    assert choose_device("mock") == "mock"


def test_a_device_in_this_process_leaves_the_environment_as_it_was(
    laboratory: dict[str, Any],
) -> None:
    """And works without it: the other experiments ran after that."""
    assert laboratory["environment"] == {"same": True}


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(BoardError, match="unknown device 'gpu'; it is one of auto, mock, silicon"):
        choose_device("gpu")


def test_nothing_is_timed_on_the_simulator() -> None:
    with pytest.raises(BoardError, match=r"knows no time.*autosched check --device simulator"):
        choose_device("simulator")


def test_kernels_execute_on_a_card_or_the_simulator(cards: list[Path]) -> None:
    assert choose_executing_device("auto") == choose_executing_device("simulator") == "simulator"
    cards.append(Path("/dev/tenstorrent/0"))
    assert choose_executing_device("auto") == choose_executing_device("silicon") == "silicon"
    assert choose_executing_device("simulator") == "simulator"
    with pytest.raises(BoardError, match="the mock device executes no kernel"):
        choose_executing_device("mock")


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_without_a_home_ttnn_gets_a_directory_of_the_cache(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path))
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    assert home_for_ttnn() == {"HOME": str(tmp_path / "home")}
    assert (tmp_path / "home").is_dir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_for_ttnn() == {}


def test_without_any_home_the_cache_is_a_directory_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "AUTOSCHED_CACHE"):
        monkeypatch.delenv(name, raising=False)
    assert cache_dir() == Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".cache" / "autosched"
    monkeypatch.setattr(opening.os, "geteuid", lambda: 4_000_000)
    monkeypatch.setattr(opening.tempfile, "gettempdir", lambda: str(tmp_path))
    assert cache_dir() == tmp_path / "autosched-4000000" / "autosched"


def test_the_driver_says_a_cards_firmware(tmp_path: Path, cards: list[Path]) -> None:
    assert card_firmware(tmp_path) == "" == firmware_of("mock", "whatever it is")
    for number, version in ((0, "19.6.0.0"), (1, "19.4.0.0")):
        card = tmp_path / f"tenstorrent!{number}"
        card.mkdir()
        (card / "tt_fw_bundle_ver").write_text(f"{version}\n")
    assert card_firmware(tmp_path) == "19.6.0.0"
    assert not cards


def test_the_vendors_tool_says_it_where_the_driver_does_not(
    tmp_path: Path, cards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "tt-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    cards.append(Path("/dev/tenstorrent/0"))
    for said, found in (
        ('{"device_info": [{"firmwares": {"fw_bundle_version": "19.5.0.0"}}]}', "19.5.0.0"),
        ('{"device_info": []}', ""),
        ("no card", ""),
    ):
        tool.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\n")
        tool.chmod(0o755)
        opening._firmware_by_tool.cache_clear()
        assert card_firmware(tmp_path / "none") == found
    opening._firmware_by_tool.cache_clear()


def test_a_device_elsewhere_says_its_own_firmware() -> None:
    class Elsewhere:
        firmware = "19.4.0.0"

    assert firmware_of("silicon", Elsewhere()) == "19.4.0.0"
