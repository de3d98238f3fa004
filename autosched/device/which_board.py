"""Which board there is: by its name, by a file that describes it, or as a card says it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from autosched.boards import (
    BOARDS,
    ETHERNET,
    L1_SMALL_BYTES,
    WORKER,
    Board,
    banks_of,
    described_board,
    find_board,
    grid_of,
)
from autosched.device.machine import choose_device
from autosched.errors import BoardError, DeviceError

USUAL = "n150"
"""What is searched for where there is no card and no board is named."""

_SUFFIXES = (".yaml", ".yml")
_MOST_BYTES = 1 << 20
_CARD_LIMIT_S = 120

_ASK_CARD = """
import json, sys, ttnn
device = ttnn.open_device(device_id=0, l1_small_size=int(sys.argv[1]))
grid = device.compute_with_storage_grid_size()
l1, dram = (ttnn.get_memory_view(device, getattr(ttnn.BufferType, x)) for x in ("L1", "DRAM"))
file = str(ttnn.cluster.serialize_cluster_descriptor())
ttnn.close_device(device)
said = [file, grid.x, grid.y, dram.num_banks, l1.total_bytes_per_bank]
print(json.dumps(said))
"""


def wanted_board(name: str | None, device: str) -> Board:
    """Return the board that was named, else the card that is there, else n150.

    ``device`` is the kind that was asked for, "auto" included.

    Raises:
        BoardError: if there is no board of that name, or a file describes none.
        DeviceError: if the card cannot be opened.
    """
    if name is not None:
        return named_board(name)
    return card_board() if choose_device(device) == "silicon" else find_board(USUAL)


def named_board(name: str) -> Board:
    """Return a board by its name, or by a file that describes it (FILE.yaml).

    Raises:
        BoardError: if there is none of that name, or the file describes none.
    """
    return read_descriptor(Path(name)) if name.endswith(_SUFFIXES) else find_board(name)


def card_board(environment: Mapping[str, str] = os.environ) -> Board:
    """Open the card of this machine in a process of its own, and return the board it is.

    Raises:
        DeviceError: if it cannot be opened.
        BoardError: if it is none that autosched knows.
    """
    command = [sys.executable, "-c", _ASK_CARD, str(L1_SMALL_BYTES)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=dict(environment),
            timeout=_CARD_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"the card did not open within {_CARD_LIMIT_S} s; tt-smi -r resets it"
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(f"ttnn cannot open the card of this machine: {last}")
    file, columns, rows, banks, l1_bank_bytes = json.loads(done.stdout.strip().splitlines()[-1])
    described = read_descriptor(Path(file))
    return described_board(
        described.arch, (columns, rows), banks, described.dispatch, l1_bank_bytes
    )


def read_descriptor(path: Path) -> Board:
    """Return the board whose first chip a file in tt-metal's form describes.

    Raises:
        BoardError: if it cannot be read or describes no chip that autosched knows.
    """
    plain = _parsed(path)
    try:
        arch = str(_first(plain["arch"]))
        harvesting: Mapping[str, Any] = _first(plain["harvesting"])
        tensix, dram = (
            int(harvesting[name]).bit_count() for name in ("harvest_mask", "dram_harvesting_mask")
        )
        dispatch = ETHERNET if _board_type(plain) == "n300" else WORKER
    except (KeyError, TypeError, ValueError, IndexError, StopIteration) as error:
        raise BoardError(
            f"{path} describes no board in tt-metal's form ({type(error).__name__}: {error}): it "
            "has to say arch, harvesting (harvest_mask, dram_harvesting_mask) and boards "
            "(board_type), as ttnn.cluster.serialize_cluster_descriptor() writes them"
        ) from None
    if arch not in {board.arch for board in BOARDS.values()}:
        raise BoardError(f"{path} describes a {arch}, which autosched does not know")
    try:
        return described_board(
            arch, grid_of(arch, tensix, dispatch), banks_of(arch, dram), dispatch
        )
    except BoardError as error:
        raise BoardError(f"{path}: {error}") from None


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BoardError(f"{path} is too long to describe a board")
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        words = str(getattr(error, "strerror", None) or error).splitlines()[0]
        raise BoardError(f"{path}, which is to describe a board, cannot be read: {words}") from None
    if not isinstance(plain, Mapping):
        raise BoardError(f"{path} describes no board: it holds no mapping")
    return plain


def _first(by_chip: Mapping[Any, Any]) -> Any:
    """Return what is said of the chip of the lowest number."""
    return by_chip[min(by_chip)]


def _board_type(plain: Mapping[str, Any]) -> str:
    named = plain.get("chip_to_boardtype")
    if named:
        return str(_first(named))
    facts = [fact for board in plain["boards"] for fact in board]
    return str(next(fact["board_type"] for fact in facts if "board_type" in fact))
