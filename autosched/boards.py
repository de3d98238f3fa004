"""The boards autosched knows, by the numbers tt-metal reports for them.

Sizes were read from ttnn 0.81.1's mock device with 32,768 bytes of L1 set aside as L1_SMALL; a
card reports the same ones when it is opened. The links to the host are those of Tenstorrent's
specifications: PCI Express 4.0 x16 of n150 and n300 (docs.tenstorrent.com/aibs/wormhole), 5.0 x16
of p100a and p150 (docs.tenstorrent.com/aibs/blackhole).

Since Tenstorrent's firmware 19.5 of January 2026 a p150 offers 11x10 cores; p150-140 is one that
offers all 13x10. n300 is used with its commands dispatched by Ethernet cores, which is tt-metal's
default for it; n300-worker dispatches by a row of Tensix cores, as n150 does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autosched.errors import BoardError

L1_SMALL_BYTES = 32768
"""L1_SMALL that every device is opened with; halo and pooling keep their index tables there."""

WORKER, ETHERNET = "worker", "ethernet"


@dataclass(frozen=True)
class Board:
    """One board, seen as a single device.

    ``grid`` is the compute grid as (columns, rows); ``l1_bytes`` is what circular buffers and
    tensors of one core share; ``l1_bank_bytes`` is what is left of it for tensors. The board is
    in its host by ``pcie_lanes`` lanes of PCI Express ``pcie_generation``. Its commands are
    dispatched by cores of the kind ``dispatch``: WORKER or ETHERNET.
    """

    name: str
    arch: str
    grid: tuple[int, int]
    l1_bytes: int
    l1_bank_bytes: int
    dram_banks: int
    clock_ghz: float
    title: str
    pcie_generation: int
    pcie_lanes: int = 16
    dispatch: str = WORKER

    @property
    def cores(self) -> int:
        """Number of compute cores."""
        return self.grid[0] * self.grid[1]

    @property
    def opening(self) -> str:
        """The call that opens the board in a program of one's own."""
        options = f"device_id=0, l1_small_size={L1_SMALL_BYTES}"
        if self.arch == "wormhole_b0" and self.name != "n150":
            kind = "ETH" if self.dispatch == ETHERNET else "WORKER"
            options += (
                f", dispatch_core_config=ttnn.DispatchCoreConfig(ttnn.DispatchCoreType.{kind})"
            )
        return f"ttnn.open_device({options})"


_WORMHOLE = Board("n150", "wormhole_b0", (8, 8), 1_499_136, 1_360_544, 12, 1.0, "Wormhole n150", 4)
_BLACKHOLE = Board(
    "p150", "blackhole", (11, 10), 1_572_864, 1_428_352, 8, 1.35, "Blackhole p150", 5
)
_N300 = replace(_WORMHOLE, name="n300", dispatch=ETHERNET, title="Wormhole n300, one chip")
_N300_WORKER = replace(
    _WORMHOLE, name="n300-worker", grid=(8, 7), title="Wormhole n300, one chip, worker dispatch"
)
_P100A = replace(_BLACKHOLE, name="p100a", dram_banks=7, title="Blackhole p100a")
_P150_140 = replace(
    _BLACKHOLE, name="p150-140", grid=(13, 10), title="Blackhole p150 with 140 Tensix cores"
)

BOARDS: dict[str, Board] = {
    board.name: board for board in (_WORMHOLE, _N300, _N300_WORKER, _P100A, _BLACKHOLE, _P150_140)
}

CLOCK_GHZ: Mapping[str, float] = {board.arch: board.clock_ghz for board in BOARDS.values()}
"""Clock of the Tensix cores by architecture, as its boards are shipped."""

# Chips as they are made, (columns, rows) of Tensix cores, and their banks of DRAM.
_WHOLE_CHIPS = {"wormhole_b0": ((8, 10), 12), "blackhole": ((14, 10), 8)}
_MOST_HARVESTED, _MOST_BANKS_HARVESTED = 2, 1
_DESCRIBED = re.compile(
    r"(?P<arch>wormhole_b0|blackhole)-(?P<columns>\d{1,2})x(?P<rows>\d{1,2})-(?P<banks>\d{1,2})"
    r"(?P<ethernet>-eth)?(?:-l1_(?P<l1>\d{6,7}))?"
)

_NAMES_UNTIL_GRIDS = {"p150": "p150-140", "n300": "n300-worker"}


def find_board(name: str) -> Board:
    """Return the board called ``name``: one of BOARDS, or one by the name it was described with.

    Raises:
        BoardError: if there is none; the message lists those there are.
    """
    known = BOARDS.get(name.lower())
    if known is not None:
        return known
    found = _DESCRIBED.fullmatch(name.lower())
    if found is None:
        raise BoardError(
            f"unknown board {name!r}; the boards are {', '.join(BOARDS)}, or name a file "
            "that describes one in tt-metal's form, FILE.yaml"
        )
    return described_board(
        found["arch"],
        (int(found["columns"]), int(found["rows"])),
        int(found["banks"]),
        ETHERNET if found["ethernet"] else WORKER,
        None if found["l1"] is None else int(found["l1"]),
    )


def described_board(
    arch: str,
    grid: tuple[int, int],
    dram_banks: int,
    dispatch: str = WORKER,
    l1_bank_bytes: int | None = None,
) -> Board:
    """Return the board of these numbers: a known one, or one whose name says them.

    Raises:
        BoardError: if no chip of the architecture offers them.
    """
    usual = next((board for board in BOARDS.values() if board.arch == arch), None)
    if usual is None:
        raise BoardError(f"autosched knows no chip {arch!r}; it knows {', '.join(_WHOLE_CHIPS)}")
    l1 = usual.l1_bank_bytes if l1_bank_bytes is None else l1_bank_bytes
    made = replace(
        usual,
        grid=grid,
        dram_banks=dram_banks,
        dispatch=dispatch,
        l1_bytes=usual.l1_bytes + l1 - usual.l1_bank_bytes,
        l1_bank_bytes=l1,
    )
    for board in BOARDS.values():
        if replace(made, name=board.name, title=board.title) == board:
            return board
    columns, rows = grid
    name = f"{arch}-{columns}x{rows}-{dram_banks}"
    name += "-eth" if dispatch == ETHERNET else ""
    name += "" if l1 == usual.l1_bank_bytes else f"-l1_{l1}"
    title = f"{arch}, {columns}x{rows} cores, {dram_banks} DRAM banks"
    made = replace(made, name=name, title=title)
    harvested_of(made)
    return made


def harvested_of(board: Board) -> int:
    """Return how many rows (Wormhole) or columns (Blackhole) of the whole chip are not there.

    One of those that are there dispatches commands, where Ethernet cores do not.

    Raises:
        BoardError: if no chip of the architecture has this grid, or as many DRAM banks.
    """
    (columns, rows), banks = _WHOLE_CHIPS[board.arch]
    dispatching = int(board.dispatch == WORKER)
    if board.arch == "wormhole_b0":
        harvested, is_whole = rows - dispatching - board.grid[1], board.grid[0] == columns
    else:
        harvested, is_whole = columns - dispatching - board.grid[0], board.grid[1] == rows
    is_made = is_whole and 0 <= harvested <= _MOST_HARVESTED
    if not is_made or not banks - _MOST_BANKS_HARVESTED <= board.dram_banks <= banks:
        raise BoardError(
            f"no {board.arch} offers {board.grid[0]}x{board.grid[1]} cores and "
            f"{board.dram_banks} banks of DRAM: a whole chip has {columns}x{rows} cores and "
            f"{banks} banks; tt-metal knows chips that lack at most {_MOST_HARVESTED} rows (on "
            f"Blackhole columns) and {_MOST_BANKS_HARVESTED} bank, and dispatches commands by one "
            "more, or by Ethernet"
        )
    return harvested


def grid_of(arch: str, harvested: int, dispatch: str) -> tuple[int, int]:
    """Return the (columns, rows) that a chip offers with so many rows or columns harvested."""
    (columns, rows), _ = _WHOLE_CHIPS[arch]
    missing = harvested + int(dispatch == WORKER)
    return (columns, rows - missing) if arch == "wormhole_b0" else (columns - missing, rows)


def banks_of(arch: str, harvested: int) -> int:
    """Return the DRAM banks of a chip of which so many are harvested."""
    return _WHOLE_CHIPS[arch][1] - harvested


def name_with_grid(name: str, grid: tuple[int, int] | None) -> str:
    """Return what a board is called today that was noted without its grid, or with it.

    Until notes had grids a p150 had 13x10 cores, and n300 was used with worker dispatch.
    """
    return _NAMES_UNTIL_GRIDS.get(name, name) if grid is None else name


def facts_of(board: Board) -> str:
    """Return in one line what decides how a layer runs on a board: two of one name may differ."""
    columns, rows = board.grid
    return (
        f"{board.arch} {columns}x{rows}, L1 {board.l1_bytes} and {board.l1_bank_bytes} bytes, "
        f"{board.dram_banks} DRAM banks, {board.dispatch} dispatch"
    )
