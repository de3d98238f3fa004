from dataclasses import replace

import pytest

from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import (
    TILE_BYTES,
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from tests.examples.schedules import BLOCK_60, HEIGHT_64, small_schedule


# Shard bytes: tiles of 32x32 elements; bfloat8_b has 1,024 mantissa bytes and 64 exponents a tile.
@pytest.mark.parametrize(
    ("rows", "columns", "dtype", "page", "expected"),
    [
        (64, 64, DataType.BFLOAT16, PageLayout.TILE, 4 * 2048),
        (64, 64, DataType.BFLOAT8_B, PageLayout.TILE, 4 * 1088),
        (64, 64, DataType.BFLOAT4_B, PageLayout.TILE, 4 * 576),
        (64, 64, DataType.FLOAT32, PageLayout.TILE, 4 * 4096),
        (49, 64, DataType.BFLOAT16, PageLayout.TILE, 4 * 2048),
        (1, 1, DataType.BFLOAT16, PageLayout.TILE, 2048),
        (49, 64, DataType.BFLOAT16, PageLayout.ROW_MAJOR, 49 * 64 * 2),
        (49, 3, DataType.FLOAT32, PageLayout.ROW_MAJOR, 49 * 3 * 4),
    ],
)
def test_shard_bytes(
    rows: int, columns: int, dtype: DataType, page: PageLayout, expected: int
) -> None:
    layout = replace(HEIGHT_64, shard_shape=(rows, columns), dtype=dtype, page=page)
    assert layout.shard_bytes == expected


def test_only_shards_in_l1_take_bytes_per_core() -> None:
    assert TensorLayout(Memory.L1).shard_bytes == 0
    assert replace(HEIGHT_64, memory=Memory.DRAM).shard_bytes == 0


def test_block_floats_add_one_exponent_byte_for_16_values() -> None:
    assert TILE_BYTES[DataType.BFLOAT8_B] == 1024 + 1024 // 16
    assert TILE_BYTES[DataType.BFLOAT4_B] == 1024 // 2 + 1024 // 16


def test_cores_and_words_of_a_layout() -> None:
    assert BLOCK_60.cores == 8 * 7 + 4
    assert str(BLOCK_60) == "L1 block 60 cores of 64x32 bfloat8_b tile"
    assert TensorLayout().cores == 0
    assert str(TensorLayout()) == "DRAM interleaved bfloat16 tile"
    assert str(CoreRange(0, 7, 3, 7)) == "(0,7)-(3,7)"


def test_a_fidelity_is_a_number_of_phases() -> None:
    assert [fidelity.phases for fidelity in Fidelity] == [1, 2, 3, 4]


@pytest.mark.parametrize("edge", [Edge("a", "b"), Edge("layer1.0.conv1", "add", 1)])
def test_an_edge_reads_as_it_is_written(edge: Edge) -> None:
    assert Edge.parse(str(edge)) == edge


def test_a_text_enum_is_its_text() -> None:
    assert f"{ShardLayout.HEIGHT}" == str(ShardLayout.HEIGHT) == ShardLayout.HEIGHT == "height"


def test_the_fingerprint_is_of_the_choices_alone() -> None:
    schedule = small_schedule()
    elsewhere = replace(schedule, provenance=replace(schedule.provenance, trial=7, date="today"))
    assert elsewhere.fingerprint() == schedule.fingerprint()


def test_the_fingerprint_sees_what_is_freed() -> None:
    schedule = small_schedule()
    changed = replace(schedule, frees=schedule.frees - {"conv1"})
    assert changed.fingerprint() != schedule.fingerprint()


@pytest.mark.parametrize("table", ["layers", "reshards", "moves"])
def test_the_fingerprint_sees_every_choice(table: str) -> None:
    schedule = small_schedule()
    changed = replace(schedule, **{table: dict(list(getattr(schedule, table).items())[1:])})
    assert changed.fingerprint() != schedule.fingerprint()
