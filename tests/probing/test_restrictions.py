"""What the user pins and forbids."""

from dataclasses import replace

import pytest

from autosched.errors import SearchError
from autosched.probing.candidates import ProbedTables, Tables
from autosched.probing.joint_problem import JointProblem
from autosched.probing.restrictions import (
    Restriction,
    allowed,
    check_effect,
    field_of,
    format_pins,
    freezing_pins,
    keep_frozen,
)
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import CoreRange, Memory, ShardLayout
from autosched.search.open_study import open_study
from autosched.search.settings import Settings
from autosched.solver.solver import solve
from autosched.space.formats import FormatPin
from autosched.store.database import Store
from autosched.store.trials import DEFAULT_SAMPLER
from tests.examples.devices import Scripted
from tests.examples.networks import residual
from tests.examples.studied import QUICK, Studied


def restrictions(pins: list[str], forbidden: list[str]) -> list[Restriction]:
    return list(Settings(pinned=pins, forbidden=forbidden).restrictions)


def restricted(tables: Tables, rules: list[Restriction]) -> Tables:
    """The tables as the rules leave them, once they are made."""
    check_effect(rules, tables)
    return {name: allowed(rules, name, choices) for name, choices in tables.items()}


def test_a_restriction_is_read_and_written() -> None:
    rule = Restriction.parse("layer1.*:shard_layout=HEIGHT", pins=True)
    assert rule == Restriction("layer1.*", "shard_layout", "height", pins=True)
    assert str(rule) == "--pin 'layer1.*:shard_layout=height'"
    assert str(replace(rule, pins=False)).startswith("--forbid ")


@pytest.mark.parametrize("text", ["conv1", "conv1:", "conv1:shard_layout", ":a=b", "conv1:=b"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SearchError, match="LAYERS:FIELD=VALUE, such as"):
        restrictions([], [text])


def test_a_pin_leaves_one_value_and_a_prohibition_the_others(studied: Studied) -> None:
    tables = studied.joint.tables
    pin = Restriction("conv*", "shard_layout", "height", pins=True)
    ban = replace(pin, pins=False)
    for name in ("conv1", "conv2"):
        pinned = restricted(tables, [pin])[name]
        others = restricted(tables, [ban])[name]
        assert {field_of(choice, "shard_layout") for choice in pinned} == {"height"}
        assert set(pinned) | set(others) == set(tables[name])
        assert not set(pinned) & set(others)
    assert restricted(tables, [pin])["sum"] == tables["sum"]


def test_layers_without_the_field_are_left_alone(studied: Studied) -> None:
    tables = studied.joint.tables
    rule = Restriction("*", "enable_act_double_buffer", "false", pins=True)
    found = restricted(tables, [rule])
    assert found["sum"] == tables["sum"]
    assert len(found["conv1"]) < len(tables["conv1"])


def test_a_pattern_leaves_a_layer_alone_that_has_nothing_else(studied: Studied) -> None:
    """The output is in DRAM; forbidding DRAM everywhere is about all others."""
    tables = studied.joint.tables
    found = restricted(tables, restrictions([], ["*:memory=dram"]))
    assert found["y"] == tables["y"]
    assert all(choice.output_layout.memory is Memory.L1 for choice in found["conv1"])
    with pytest.raises(SearchError, match="leaves no candidate of layer y, which has memory dram"):
        allowed(restrictions([], ["y:memory=dram"]), "y", tables["y"])


def test_what_follows_from_liveness_cannot_be_pinned(studied: Studied) -> None:
    with pytest.raises(SearchError, match="no such field"):
        restricted(studied.joint.tables, restrictions(["conv1:deallocate_activation=false"], []))


def test_fields_of_the_matrix_engine_and_the_outputs_format_are_fields(studied: Studied) -> None:
    tables = studied.joint.tables
    conv, total = tables["conv1"][0], tables["sum"][0]
    assert field_of(conv, "math_fidelity") == str(conv.config.compute.math_fidelity).lower()
    assert field_of(conv, "packer_l1_acc") in {"true", "false"}
    assert field_of(total, "math_fidelity") is None
    assert field_of(total, "output_dtype") == str(total.output_layout.dtype)
    assert field_of(tables["y"][0], "output_dtype") == "bfloat16"


def test_a_pin_of_a_format_decides_it_and_a_wrong_one_is_refused() -> None:
    rules = restrictions(
        ["conv1:weights_dtype=BFLOAT4_B", "conv1:shard_layout=height"], ["*:math_fidelity=lofi"]
    )
    assert format_pins(rules) == (FormatPin("conv1", "weights_dtype", "bfloat4_b"),)
    with pytest.raises(SearchError, match="--pin 'c:weights_dtype=float8': weights_dtype 'float8'"):
        restrictions(["c:weights_dtype=float8"], [])


def test_values_are_spelled_as_words(studied: Studied) -> None:
    choice = studied.joint.tables["conv1"][0]
    config = Conv2dConfig(shard_layout=ShardLayout.BLOCK, core_grid=(CoreRange(0, 0, 6, 7),))
    choice = replace(choice, config=config)
    assert field_of(choice, "shard_layout") == "block"
    assert field_of(choice, "core_grid") == "(0,0)-(6,7)"
    assert field_of(choice, "full_inner_dim") == "false"
    assert field_of(choice, "force_split_reader") == "none"
    assert field_of(choice, "memory") == str(choice.output_layout.memory)
    assert field_of(choice, "bogus") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cnv1:shard_layout=height", "no such layer among 10, such as conv1"),
        ("conv1:shardlayout=height", "no such field, but .*shard_layout"),
        ("conv1:shard_layout=round", "leaves nothing; these layers have shard_layout .*height"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(studied: Studied, text: str, words: str) -> None:
    with pytest.raises(SearchError, match=words):
        restricted(studied.joint.tables, restrictions([text], []))


def test_the_search_keeps_to_them(studied: Studied, probed: Store) -> None:
    settings = replace(QUICK, pinned=("conv1:shard_layout=height",), forbidden=("sum:memory=dram",))
    device = Scripted(studied.device())
    with open_study(probed, residual(), "n150", settings, "pinned", device) as study:
        tables = study.prepare().tables
    assert {choice.config.shard_layout for choice in tables["conv1"]} == {ShardLayout.HEIGHT}  # type: ignore[union-attr]
    assert all(choice.output_layout.memory is Memory.L1 for choice in tables["sum"])


def test_an_unknown_layer_is_refused_before_anything_is_stored(
    studied: Studied, probed: Store
) -> None:
    settings = replace(QUICK, pinned=("nothing:shard_layout=block",))
    with pytest.raises(SearchError, match="no such layer"):
        open_study(probed, residual(), "n150", settings, "pinned", Scripted(studied.device()))
    settings = replace(QUICK, pinned=())
    with open_study(probed, residual(), "n150", settings, "pinned", Scripted(studied.device())):
        pass


def fits(joint: JointProblem, rules: list[Restriction], capacity: int) -> bool:
    tables = restricted(joint.tables, rules)
    board = replace(joint.board, l1_bank_bytes=capacity)
    try:
        solve(JointProblem(joint.network, tables, joint.reshards, joint.spills, board).problem)
    except SearchError:
        return False
    return True


def test_where_nothing_fits_the_restriction_to_blame_is_named(
    studied: Studied, probed: Store
) -> None:
    """With so little L1, conv1 fits in blocks only, and its pin makes the search fail."""
    settings = Settings(
        effort="quick", pinned=["conv1:shard_layout=height"], forbidden=["fc:memory=l1"]
    )
    rules = list(settings.restrictions)
    capacity = next(
        size
        for size in range(80_000, 0, -1_000)
        if fits(studied.joint, rules[1:], size) and not fits(studied.joint, rules, size)
    )
    with open_study(
        probed, residual(), "n150", settings, "pinned", Scripted(studied.device())
    ) as study:
        study.board = replace(study.board, l1_bank_bytes=capacity)
        with pytest.raises(SearchError, match=r"without --pin 'conv1:shard_layout=height'$"):
            study.optimize(trials=2)


def test_the_best_of_a_restricted_search_keeps_to_the_restrictions(
    studied: Studied, probed: Store
) -> None:
    """However fast ttnn's default is: it may be against them."""
    settings = Settings(effort="quick", pinned=["conv1:shard_layout=width"])
    with open_study(
        probed, residual(), "n150", settings, "slow", Scripted(studied.device())
    ) as study:
        best = study.optimize(trials=2)
        assert best is not None
        assert best.sampler != DEFAULT_SAMPLER
        assert best.schedule is not None
        config = best.schedule.layers["conv1"]
        assert isinstance(config, Conv2dConfig)
        assert config.shard_layout is ShardLayout.WIDTH


def test_frozen_layers_have_what_a_schedule_has_and_nothing_else(studied: Studied) -> None:
    schedule = studied.best.schedule
    assert schedule is not None
    rules = freezing_pins(schedule, ["conv*"])
    assert [rule.pattern for rule in rules] == [
        name for name in schedule.layers if name.startswith("conv")
    ]
    assert [Restriction.parse(rule.text, pins=True) for rule in rules] == list(rules)
    tables = ProbedTables(studied.joint.tables, studied.joint.tables)
    kept = keep_frozen(rules, tables)
    for name, choices in kept.kept.items():
        is_frozen = name.startswith("conv")
        assert is_frozen or choices == tables.kept[name]
        assert not is_frozen or kept.left_out[name] == ()
        if is_frozen:
            moved = [replace(c.config, reallocate_halo_output=False) for c in choices]
            own = replace(schedule.layers[name], reallocate_halo_output=False)
            assert set(moved) == {own}


def test_what_the_device_does_not_take_cannot_be_frozen(studied: Studied) -> None:
    rule = Restriction("conv1", "configuration", "another", pins=True)
    with pytest.raises(SearchError, match="layer conv1 cannot be frozen: the device rejects"):
        keep_frozen([rule], ProbedTables(studied.joint.tables, {}))


def test_a_frozen_pattern_of_no_layer_is_refused(studied: Studied) -> None:
    schedule = studied.best.schedule
    assert schedule is not None
    with pytest.raises(SearchError, match=r"--freeze 'nope\*': no such layer among"):
        freezing_pins(schedule, ["nope*"])
