from dataclasses import replace

from autosched.device.interface import ProbeRequest
from autosched.network.operators import Activation, Unary
from autosched.probing.probe_book import Probed
from autosched.probing.stored_answers import Asked
from autosched.report.explanation.explanation import Contender
from autosched.report.explanation.explanation_tables import told_apart
from autosched.schedule.configurations import EltwiseConfig
from autosched.schedule.outcomes import ProbeOutcome, TimeKind
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

SHAPE = (1, 8, 32, 32)


def height(cores: int, rows: int) -> TensorLayout:
    return TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, cores - 1, 0),), shard_shape=(rows, 8)
    )


def candidate(source: TensorLayout, target: TensorLayout, **fields: object) -> Contender:
    config = replace(EltwiseConfig(), **fields)
    request = ProbeRequest(Unary(Activation("gelu")), (SHAPE,), SHAPE, config)
    outcome = ProbeOutcome((), (source,), target)
    asked = Asked(request, Probed(outcome, 1.0, TimeKind.ESTIMATED, 0.1))
    kind = TimeKind.ESTIMATED
    return Contender(asked, 1.0, 0.1, kind, 1, 0, "", {}, False, 0.0, None, True, None)


def test_what_is_said_otherwise_stays() -> None:
    items = [candidate(DRAM_TILE, height(4, 32)), candidate(DRAM_TILE, height(8, 32))]
    assert told_apart(items, ["a", "b"]) == ["a", "b"]


def test_cores_are_said_of_the_side_that_differs() -> None:
    items = [candidate(DRAM_TILE, height(cores, 32)) for cores in (1, 8)]
    assert told_apart(items, ["a", "a"]) == ["a, to 1 core", "a, to 8 cores"]


def test_no_more_is_said_than_tells_them_apart() -> None:
    rows = replace(height(4, 32), page=PageLayout.ROW_MAJOR)
    items = [
        candidate(height(4, 32), height(4, 32)),
        candidate(rows, rows),
        candidate(height(2, 64), height(2, 64)),
    ]
    assert told_apart(items, ["a"] * 3) == [
        "a, from 4 cores, tiles", "a, from 4 cores, rows", "a, from 2 cores, tiles",
    ]  # fmt: skip


def test_formats_shards_order_and_places() -> None:
    first = height(4, 32)
    for other, said in (
        (replace(first, dtype=DataType.BFLOAT8_B), ["bfloat16", "bfloat8_b"]),
        (replace(first, shard_shape=(64, 8)), ["shards of 32x8", "shards of 64x8"]),
        (replace(first, transposed=True), ["shards by rows", "shards by columns"]),
        (
            replace(first, grid=(CoreRange(0, 0, 1, 1),)),
            ["cores (0,0)-(3,0)", "cores (0,0)-(1,1)"],
        ),
    ):
        items = [candidate(first, first), candidate(first, other)]
        assert told_apart(items, ["a", "a"]) == [f"a, to {words}" for words in said]


def test_last_come_fields_of_the_configuration() -> None:
    other = height(4, 32)
    items = [candidate(other, other), candidate(other, other, layout=other)]
    one, two = told_apart(items, ["a", "a"])
    assert one != two
    assert one.startswith("a, with ")
