from dataclasses import replace

from autosched.report.page.memory import WAITING, memory_steps, output_layouts
from autosched.schedule.tensors import Edge
from tests.examples.studied import Studied


def test_the_fullest_moment_is_the_devices_own(either: Studied) -> None:
    for trial in either.trials:
        if trial.schedule is not None and trial.rejection is None:
            steps = memory_steps(either.network, trial.schedule, trial.ops)
            assert [step.layer for step in steps] == list(trial.schedule.layers)
            assert max(step.size_bytes for step in steps) == trial.peak_l1_bytes


def test_a_skip_waits(skipped: Studied) -> None:
    assert skipped.best.schedule is not None
    steps = memory_steps(skipped.network, skipped.best.schedule, skipped.best.ops)
    readers: dict[str, list[str]] = {}
    for edge in skipped.network.edges:
        readers.setdefault(edge.producer, []).append(edge.consumer)
    for number, step in enumerate(steps):
        later = {item.layer for item in steps[number:]}
        for item in step.held:
            if item.role == WAITING:
                assert later & set(readers[item.name])
                assert step.layer not in readers[item.name]


def test_a_copy_for_a_layer_that_runs_nothing_is_what_waits(skipped: Studied) -> None:
    """A mean in DRAM that is copied to L1 for the layer that only names its shape anew."""
    trial = skipped.best
    assert trial.schedule is not None
    mean = [op for op in trial.ops if op.layer == "mean"][-1]
    sharded = next(op for op in trial.ops if op.layer == "sum").outputs[-1]
    edge = Edge("mean", "flat")
    copy = replace(mean, layer=str(edge), inputs=mean.outputs, outputs=(sharded,))
    place = trial.ops.index(mean) + 1
    ops = (*trial.ops[:place], copy, *trial.ops[place:])
    assert output_layouts(skipped.network, trial.schedule, trial.ops)["flat"].shard_bytes == 0
    assert output_layouts(skipped.network, trial.schedule, ops)["flat"] == sharded.layout
    step = next(
        step for step in memory_steps(skipped.network, trial.schedule, ops) if step.layer == "fc"
    )
    assert "flat" in {item.name for item in step.held}


def test_a_layer_that_runs_nothing_leaves_its_input_where_it_waits(studied: Studied) -> None:
    """A mean that is moved as soon as it is made, then read by a layer without ops."""
    trial = studied.best
    assert trial.schedule is not None
    target = next(op for op in trial.ops if op.layer == "stem").outputs[-1].layout
    schedule = replace(trial.schedule, moves={Edge("mean", "mean"): target})
    found = output_layouts(studied.network, schedule, trial.ops)
    assert found["flat"] == target != found["mean"]
