"""Cluster descriptors: the YAML files that tell tt-metal which chip there is."""

from pathlib import Path

from autosched.boards import Board, banks_of, harvested_of
from autosched.files import write_private

_DESCRIPTOR = """\
arch: {{ 0: {arch} }}
chips: {{}}
chip_unique_ids: {{ 0: {serial} }}
ethernet_connections: []
ethernet_connections_to_remote_devices: []
chips_with_mmio: [ 0: 0 ]
io_device_type: PCIe
harvesting:
  0:
    noc_translation: true
    harvest_mask: {tensix_mask}
    dram_harvesting_mask: {dram_mask}
    eth_harvesting_mask: {eth_mask}
    pcie_harvesting_mask: {pcie_mask}
    l2cpu_harvesting_mask: 0
chip_to_boardtype: {{ 0: {board_type} }}
boards:
  -
    - board_id: {board_id}
    - board_type: {board_type}
    - chips: [ 0 ]
"""

_SERIAL = 0x1234
# (board type, product code in the top bits of the board id, Ethernet and PCIe harvest masks).
_N150 = ("n150", 0x100018, 0, 0)
_N300 = ("n300", 0x100014, 0, 0)
_P100 = ("p100", 0x43, 0x3FFF, 2)
_P150 = ("p150", 0x40, 0x120, 2)


def write_descriptor(root: Path, board: Board) -> Path:
    """Write what describes a board to tt-metal, a simulated one too, and return its place.

    Raises:
        BoardError: if no chip offers the board's grid.
    """
    board_type, product, eth_mask, pcie_mask = _product(board)
    harvested = harvested_of(board)
    path = root / f"{board.name}.yaml"
    text = _DESCRIPTOR.format(
        arch=board.arch,
        # Which ones are harvested does not matter: tt-metal numbers those that are left.
        tensix_mask=((1 << harvested) - 1) << 5,
        dram_mask=(1 << (banks_of(board.arch, 0) - board.dram_banks)) - 1,
        eth_mask=eth_mask,
        pcie_mask=pcie_mask,
        board_type=board_type,
        board_id=(product << 36) | _SERIAL,
        serial=_SERIAL,
    )
    write_private(path, text.encode())
    return path


def _product(board: Board) -> tuple[str, int, int, int]:
    if board.arch == "wormhole_b0":
        return _N150 if board.name == "n150" else _N300
    return _P100 if board.name == "p100a" else _P150
