from dataclasses import replace

import pytest
from rich.console import Console

from autosched.errors import ScheduleError
from autosched.report.differences import (
    Change,
    Compared,
    differences_of,
    field_word,
    print_differences,
)
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import ShardLayout
from tests.examples import records as examples

CONV = next(
    name for name, config in examples.schedule().layers.items() if isinstance(config, Conv2dConfig)
)


def other(**fields: object) -> Schedule:
    schedule = examples.schedule()
    config = schedule.layers[CONV]
    return replace(schedule, layers={**schedule.layers, CONV: replace(config, **fields)})


def changed(before: Schedule, after: Schedule) -> dict[str, str]:
    found = differences_of(Compared("a", before), Compared("b", after))
    return {item.name: item.change for item in (*found.layers, *found.edges) if item.is_noticed}


def test_a_schedule_does_not_differ_from_itself() -> None:
    assert changed(examples.schedule(), examples.schedule()) == {}


def test_each_field_that_differs_is_named_with_both_values() -> None:
    before = other(shard_layout=ShardLayout.HEIGHT, act_block_h_override=64, full_inner_dim=False)
    after = other(shard_layout=ShardLayout.BLOCK, act_block_h_override=None, full_inner_dim=True)
    words = changed(before, after)[CONV]
    assert "shard_layout height -> block" in words
    assert "act_block_h_override 64 -> none" in words
    assert "full_inner_dim off -> on" in words
    assert "weights_dtype" not in words


def test_no_value_is_none() -> None:
    assert field_word("") == field_word(None) == field_word([]) == "none"
    assert field_word(0) == "0"


def test_layers_of_one_side_stand_where_they_are() -> None:
    first, second, *rest = examples.schedule().layers
    layers = examples.schedule().layers
    before = replace(examples.schedule(), layers={name: layers[name] for name in (first, *rest)})
    after = replace(
        examples.schedule(),
        layers={first: layers[first], second: layers[second], "more": layers[CONV]},
    )
    found = differences_of(Compared("a", before), Compared("b", after))
    assert [item.name for item in found.layers] == [first, second, "more", *rest]
    assert [item.change for item in found.layers] == ["", "added", "added", *("gone" for _ in rest)]


def test_what_a_side_lacks_takes_no_time_there() -> None:
    assert Change("a", None, "height", "added", None, 3.0).difference_us == 3.0
    assert Change("a", "height", None, "gone", 3.0, None).difference_us == -3.0
    assert Change("a", "height", "block", "", None, 3.0).difference_us is None


def test_schedules_without_a_layer_in_common_are_refused() -> None:
    stranger = replace(examples.schedule(), layers={"stranger": examples.schedule().layers[CONV]})
    with pytest.raises(ScheduleError, match="have no layer in common"):
        differences_of(Compared("a", examples.schedule()), Compared("b", stranger))


def test_times_of_other_sources_are_told_apart() -> None:
    schedule = examples.schedule()
    sides = (
        Compared("a", schedule, (), 50.0, TimeKind.ESTIMATED, "model 1"),
        Compared("b", schedule, (), 40.0, TimeKind.ESTIMATED, "model 2"),
    )
    console = Console(width=100)
    with console.capture() as captured:
        print_differences(console, differences_of(*sides), everything=False)
    shown = captured.get()
    assert "cost model: model 1 -> model 2" in shown
    assert "Latency B - A: -10.0 µs (-20.0%)" in shown
    assert "do not compare" in shown
    assert "Layers: no difference" in shown
