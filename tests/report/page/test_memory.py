from autosched.report.page.memory import WAITING, memory_steps
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
