from pathlib import Path

import pytest

from autosched.errors import StoreError
from autosched.evidence.table import (
    Case,
    Evidence,
    meetings,
    read_evidence,
    write_evidence,
)

WORMHOLE = "wormhole_b0"


def case(kind: str, concordance: float = 0.9999, arch: str = WORMHOLE) -> Case:
    return Case(kind, arch, 1, concordance, "random network 7")


def evidence(*cases: Case) -> Evidence:
    table = Evidence("0.81.1")
    for item in cases:
        table = table.with_case(item)
    return table


def test_a_kind_counts_as_executed_where_all_pairs_of_its_words_met_with_its_operator():
    executed = evidence(
        case("conv, block, double"), case("conv, block, full"), case("conv, double, full")
    ).executed_kinds(WORMHOLE)
    assert "conv, block, double, full" in executed
    assert "conv, height, double" not in executed
    assert "transposed, block, double" not in executed


def test_a_function_meets_its_operator_alone():
    executed = evidence(
        case("conv, block, fused, function gelu"), case("conv, block, double")
    ).executed_kinds(WORMHOLE)
    assert "conv, block, function gelu, double" in executed
    assert "conv, block, function tanh" not in executed
    assert "mul, function gelu" not in executed


@pytest.mark.parametrize("kind", ["sum", "sum, in dram"])
def test_few_words_are_executed_as_they_are(kind: str):
    assert kind in evidence(case(kind)).executed_kinds(WORMHOLE)
    assert kind not in evidence(case(f"{kind} rows")).executed_kinds(WORMHOLE)


def test_what_was_wrong_stands_for_nothing():
    executed = evidence(case("conv, block", 0.5), case("conv, height")).executed_kinds(WORMHOLE)
    assert executed.met == frozenset(meetings("conv, height"))


def test_what_was_wrong_is_not_made_right_by_its_parts():
    executed = evidence(
        case("conv, a, b, c", 0.5), case("conv, a, b"), case("conv, a, c"), case("conv, b, c")
    ).executed_kinds(WORMHOLE)
    assert "conv, a, b, c" not in executed
    assert "conv, a, b" in executed


def test_an_architecture_does_not_stand_for_the_other():
    table = evidence(case("conv, block"))
    assert "conv, block" not in table.executed_kinds("blackhole")
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
