from dataclasses import replace

from autosched.schedule.tensors import DRAM_TILE
from tests.examples.device_layers import FITS, ROWS_IN_DRAM


def test_one_source_layout_is_for_all_inputs() -> None:
    assert FITS.sources == (DRAM_TILE,)
    both = replace(FITS, input_shapes=FITS.input_shapes * 2)
    assert both.sources == (DRAM_TILE, DRAM_TILE)
    assert replace(both, source_layouts=(DRAM_TILE, ROWS_IN_DRAM)).sources == (
        DRAM_TILE,
        ROWS_IN_DRAM,
    )
