from dataclasses import replace

import pytest

from autosched.cost.model import CostModel
from autosched.report.output import make_console
from autosched.report.program_table import group_table, guessed, op_groups, op_rows, op_table
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import (
    CoreRange,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)

COST = CostModel.load("wormhole_b0")
DRAM = TensorInfo((1, 1, 256, 64), TensorLayout())
SHARDS = TensorInfo(
    (1, 1, 256, 64),
    TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, 7, 0),), shard_shape=(32, 64)
    ),
)
IN = DeviceOp("InterleavedToShardedDeviceOperation", "", (DRAM,), (SHARDS,), cores=8)
OUT = DeviceOp("ShardedToInterleavedDeviceOperation", "", (SHARDS,), (DRAM,), cores=8)
STRANGE = DeviceOp("StrangeDeviceOperation", "", (DRAM,), (DRAM,), cores=64, layer="head")
ROWS = op_rows(
    (IN, STRANGE, OUT, IN),
    ("to_memory_config 1", "b 1", "to_memory_config 2", "to_memory_config 3"),
    COST,
)


def test_rows_say_what_the_cost_model_says() -> None:
    assert sum(row.share for row in ROWS) == pytest.approx(1.0)
    assert ROWS[0].time_us == pytest.approx(COST.time_ns(IN) / 1e3)
    assert ROWS[0].l1_bytes == SHARDS.layout.shard_bytes
    assert ROWS[0].change == "DRAM bfloat16 -> height 8 bfloat16"
    assert ROWS[0].limit.startswith(next(iter(COST.predict(IN).split)))
    assert ROWS[0].to_plain()["outputs"] == ["1x1x256x64 L1 height 8 cores of 32x64 bfloat16 tile"]
    assert ROWS[0].to_plain()["time_kind"] == "estimated"


def test_a_tensor_of_rows_is_told_from_one_of_tiles() -> None:
    rows = TensorInfo(DRAM.shape, replace(DRAM.layout, page=PageLayout.ROW_MAJOR))
    (row,) = op_rows((replace(OUT, inputs=(DRAM,), outputs=(rows,)),), ("to_layout 1",), COST)
    assert row.change == "DRAM bfloat16 -> DRAM bfloat16 rows"


def test_an_op_without_formulas_is_a_guess() -> None:
    assert guessed(ROWS) == {"Strange": ROWS[1].share}
    assert guessed(ROWS[:1]) == {}


def test_ops_are_put_together_by_what_they_have_in_common() -> None:
    by_op = op_groups(ROWS, lambda row: row.op)
    assert [(row.name, len(row.ops)) for row in by_op] == [
        ("InterleavedToSharded", 2),
        ("Strange", 1),
        ("ShardedToInterleaved", 1),
    ]
    assert by_op[0].time_us == pytest.approx(ROWS[0].time_us + ROWS[3].time_us)
    # A signpost goes before the call.
    assert [row.name for row in op_groups(ROWS, lambda row: row.group)] == [
        "to_memory_config 1",
        "head",
        "to_memory_config 2",
        "to_memory_config 3",
    ]


def test_tables_fit_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    console = make_console()
    console.print(op_table(ROWS))
    console.print(group_table(op_groups(ROWS, lambda row: row.op), "op"))
    shown = capsys.readouterr().out
    assert "no formulas" in shown
    # One line of headings each: no row became a list of its values.
    assert shown.count("cores") == shown.count("L1 KiB") == 2
