"""The boards autosched knows, by the numbers tt-metal reports for them.

Sizes were read from ttnn 0.81.1's mock device with 32,768 bytes of L1 set aside as L1_SMALL; a
card reports the same ones when it is opened. The links to the host are those of Tenstorrent's
specifications: PCI Express 4.0 x16 of n150 and n300 (docs.tenstorrent.com/aibs/wormhole), 5.0 x16
of p100a and p150 (docs.tenstorrent.com/aibs/blackhole).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autosched.errors import BoardError

L1_SMALL_BYTES = 32768
"""L1_SMALL that every device is opened with; halo and pooling keep their index tables there."""


@dataclass(frozen=True)
class Board:
    """One board, seen as a single device.

    ``grid`` is the compute grid as (columns, rows); ``l1_bytes`` is what circular buffers and
    tensors of one core share; ``l1_bank_bytes`` is what is left of it for tensors. The board is
    in its host by ``pcie_lanes`` lanes of PCI Express ``pcie_generation``.
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

    @property
    def cores(self) -> int:
        """Number of compute cores."""
        return self.grid[0] * self.grid[1]


_WORMHOLE_L1 = (1_499_136, 1_360_544)
_BLACKHOLE_L1 = (1_572_864, 1_428_352)

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        Board("n150", "wormhole_b0", (8, 8), *_WORMHOLE_L1, 12, 1.0, "Wormhole n150", 4),
        Board("n300", "wormhole_b0", (8, 7), *_WORMHOLE_L1, 12, 1.0, "Wormhole n300, one chip", 4),
        Board("p100a", "blackhole", (11, 10), *_BLACKHOLE_L1, 7, 1.35, "Blackhole p100a", 5),
        Board("p150", "blackhole", (13, 10), *_BLACKHOLE_L1, 8, 1.35, "Blackhole p150", 5),
    )
}

CLOCK_GHZ: Mapping[str, float] = {board.arch: board.clock_ghz for board in BOARDS.values()}
"""Clock of the Tensix cores by architecture, as its boards are shipped."""


def find_board(name: str) -> Board:
    """Return the board called ``name``.

    Raises:
        BoardError: if there is none; the message lists those there are.
    """
    try:
        return BOARDS[name.lower()]
    except KeyError:
        known = ", ".join(BOARDS)
        raise BoardError(f"unknown board {name!r}; the boards are {known}") from None
