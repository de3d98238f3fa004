from pathlib import Path

import pytest

from autosched.errors import StoreError
from autosched.evidence.table import (
    Case,
    Evidence,
    is_executed,
    pairs_of,
    read_evidence,
    write_evidence,
)

WORMHOLE = "wormhole_b0"


def case(kind: str, concordance: float = 0.9999, arch: str = WORMHOLE) -> Case:
    return Case(kind, arch, 1, concordance, 7)


def evidence(*cases: Case) -> Evidence:
    table = Evidence("0.81.1")
    for item in cases:
        table = table.with_case(item)
    return table


def test_a_kind_counts_as_executed_where_all_pairs_of_its_words_were():
    pairs = evidence(
        case("conv, block, double"), case("conv, block, full"), case("conv, double, full")
    ).pairs(WORMHOLE)
    assert is_executed("conv, block, double, full", pairs)
    assert not is_executed("conv, height, double", pairs)


def test_what_was_wrong_stands_for_nothing():
    pairs = evidence(case("conv, block", 0.5), case("conv, height")).pairs(WORMHOLE)
    assert pairs == frozenset(pairs_of("conv, height"))


def test_an_architecture_does_not_stand_for_the_other():
    table = evidence(case("conv, block"))
    assert table.pairs("blackhole") == frozenset()
    assert (table.count(WORMHOLE), table.count("blackhole")) == ((1, 0), (0, 0))


def test_the_worst_of_a_kind_stays():
    table = evidence(case("conv, block", 0.2), case("conv, block", 0.9999))
    (kept,) = table.cases.values()
    assert (kept.executed, kept.concordance) == (2, 0.2)
    assert table.count(WORMHOLE) == (1, 1)


def test_a_table_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "executed.json"
    assert read_evidence(path) is None
    table = evidence(case("b"), case("a, c", -1.0), case("a, c", arch="blackhole"))
    write_evidence(table, path)
    first = path.read_bytes()
    assert read_evidence(path) == table
    write_evidence(evidence(*reversed(list(table.cases.values()))), path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("text", ["{", "[]", '{"cases": [{"kind": 1}]}', '{"ttnn_version": "1"}'])
def test_a_damaged_table_is_one_message(tmp_path: Path, text: str):
    path = tmp_path / "executed.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"executed.json is no table of executed kinds"):
        read_evidence(path)
