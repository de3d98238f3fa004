from dataclasses import replace

import pytest

from autosched.boards import find_board
from autosched.schedule.configurations import ComputeConfig, MatmulConfig, MatmulProgram
from autosched.schedule.tensors import DataType
from autosched.space.efforts import find_effort
from autosched.space.matmuls import Product, programs

N150 = find_board("n150")
B8 = DataType.BFLOAT8_B
BASE = MatmulConfig(output_dtype=B8)


def found(product: Product, base: MatmulConfig = BASE, effort: str = "quick") -> list[MatmulConfig]:
    return programs(product, base, B8, N150, find_effort(effort))


def dealt(config: MatmulConfig) -> MatmulProgram:
    assert config.program is not None
    return config.program


@pytest.mark.parametrize(
    ("product", "kind", "grid", "part"),
    [
        (Product(1, 32, 32), "mcast_in0", (8, 4), (1, 1)),
        (Product(98, 3, 12), "mcast_in1", (8, 7), (2, 12)),
        (Product(32, 32, 32), "mcast_2d", (8, 8), (4, 4)),
        (Product(1, 784, 128), "mcast_in0", (8, 8), (1, 2)),
    ],
)
def test_products_are_dealt_by_their_shape(
    product: Product, kind: str, grid: tuple[int, int], part: tuple[int, int]
) -> None:
    best = dealt(found(product)[0])
    assert (best.kind, best.grid) == (kind, grid)
    assert (best.per_core_m, best.per_core_n) == part


@pytest.mark.parametrize("product", [Product(1, 32, 32), Product(25, 12, 48), Product(98, 3, 12)])
@pytest.mark.parametrize("effort", ["quick", "full"])
def test_every_program_covers_the_product(product: Product, effort: str) -> None:
    for config in found(product, effort=effort):
        program = dealt(config)
        columns, rows = program.grid
        across, down = {
            "mcast_in0": (columns * rows, 1),
            "mcast_in1": (1, columns * rows),
            "mcast_2d": (columns, rows),
        }[program.kind]
        assert program.per_core_n * across >= product.columns
        assert program.per_core_m * down >= product.rows
        assert product.inner % program.in0_block_w == 0
        assert columns <= N150.grid[0]
        assert rows <= N150.grid[1]
        assert program.per_core_m % program.out_subblock_h == 0
        assert program.per_core_n % program.out_subblock_w == 0


def test_blocks_of_the_inner_dimension_are_as_long_as_l1_has_room_for() -> None:
    assert dealt(found(Product(1, 32, 32))[0]).in0_block_w == 32
    widths = {dealt(config).in0_block_w for config in found(Product(1, 784, 128), effort="full")}
    assert 1 < max(widths) < 784
    assert len(widths) == find_effort("full").inner_blocks


def test_outputs_stay_in_the_shards_of_the_program_or_go_to_dram() -> None:
    shards = {"mcast_in0": "width", "mcast_in1": "height", "mcast_2d": "block"}
    configs = found(Product(25, 12, 48))
    for in_dram, sharded in zip(configs[::2], configs[1::2], strict=True):
        assert in_dram.output == "dram"
        assert sharded.output == shards[dealt(sharded).kind]
        program = dealt(sharded)
        assert program.out_subblock_h == 1 or program.out_subblock_w == program.per_core_n


def test_float32_sums_fill_half_the_registers() -> None:
    precise = replace(BASE, compute=ComputeConfig(fp32_dest_acc_en=True))
    for base, most in ((BASE, 8), (precise, 4)):
        sizes = [
            dealt(item).out_subblock_h * dealt(item).out_subblock_w
            for item in found(Product(32, 32, 32), base)
        ]
        assert max(sizes) == most
