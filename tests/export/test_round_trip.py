"""A schedule that leaves and comes back is the same, whatever it says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.loading import load_schedule
from autosched.export.saving import render_json, save_schedule
from autosched.schedule.schedule import Schedule
from tests.examples.schedules import schedules, small_schedule


@pytest.mark.parametrize("ending", ["py", "json"])
def test_every_kind_of_layer_comes_back_equal(tmp_path: Path, ending: str) -> None:
    schedule = small_schedule()
    path = save_schedule(schedule, tmp_path / f"tiny.{ending}")
    back = load_schedule(path)
    assert back == schedule
    assert list(back.layers) == list(schedule.layers)
    assert back.fingerprint() == schedule.fingerprint()


def test_an_export_from_before_folding_and_sliced_pools_is_read(tmp_path: Path) -> None:
    text = render_schedule(small_schedule())
    later = (
        "    fold_input: bool = False\n",
        "    dram_slice_config: ttnn.Conv2dSliceConfig | None",
        "    program_config: ttnn.MatmulMultiCoreReuseMultiCastProgramConfig | None",
    )
    assert all(line in text for line in later)
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith(later)]
    path = tmp_path / "old.py"
    path.write_text("".join(kept))
    assert load_schedule(path) == small_schedule()


def test_json_from_before_schedules_said_what_is_freed_is_read() -> None:
    old = Path(__file__).parent / "data" / "tiny_n150_flags.json"
    assert '"deallocate_activation": true' in old.read_text()
    assert load_schedule(old) == small_schedule()
    assert load_schedule(old).frees


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schedule=schedules())
def test_any_legal_schedule_comes_back_equal_from_both_forms(
    tmp_path: Path, schedule: Schedule
) -> None:
    for ending in ("py", "json"):
        back = load_schedule(save_schedule(schedule, tmp_path / f"random.{ending}"))
        assert back == schedule
        assert list(back.layers) == list(schedule.layers)


@settings(max_examples=20)
@given(schedule=schedules())
def test_equal_schedules_give_equal_bytes(schedule: Schedule) -> None:
    twin = Schedule(
        schedule.provenance,
        dict(schedule.layers),
        dict(schedule.reshards),
        dict(schedule.moves),
        frozenset(sorted(schedule.frees, reverse=True)),
    )
    assert render_schedule(twin) == render_schedule(schedule)
    assert render_json(twin) == render_json(schedule)


def executed(schedule: Schedule, fingerprint: str = "") -> Schedule:
    made = replace(
        schedule.provenance,
        executed_on="simulator",
        executed_verdict="right",
        executed_pcc=0.99891,
        executed_fingerprint=fingerprint or schedule.fingerprint(),
    )
    return replace(schedule, provenance=made)


@pytest.mark.parametrize("ending", ["py", "json"])
def test_what_came_of_executing_it_stays_with_the_schedule(tmp_path: Path, ending: str) -> None:
    schedule = executed(small_schedule())
    path = save_schedule(schedule, tmp_path / f"tiny.{ending}")
    assert load_schedule(path) == schedule


def test_the_head_says_what_came_of_executing_it() -> None:
    schedule = executed(small_schedule())
    assert "\nverified:   simulator, PCC 0.9989\n" in render_schedule(schedule)
    wrong = replace(schedule.provenance, executed_verdict="wrong", executed_pcc=0.5)
    assert "simulator, WRONG, PCC 0.5000\n" in render_schedule(replace(schedule, provenance=wrong))


@pytest.mark.parametrize("ending", ["py", "json"])
def test_what_was_published_of_its_choices_stays_with_the_schedule(
    tmp_path: Path, ending: str
) -> None:
    schedule = small_schedule()
    made = replace(schedule.provenance, published_us=(90.0, 110.0))
    path = save_schedule(replace(schedule, provenance=made), tmp_path / f"tiny.{ending}")
    assert load_schedule(path).provenance == made
    path.write_text(path.read_text().replace("110.0", "80.0"))
    with pytest.raises(ScheduleError, match=r"published_us is .*; legal is \(least, most\) time"):
        load_schedule(path)


def test_the_head_says_what_was_published() -> None:
    schedule = small_schedule()
    for published, words in (((90.0, 110.0), "90 to 110 us"), ((90.0, 90.0), "90 us")):
        made = replace(schedule.provenance, published_us=published)
        text = render_schedule(replace(schedule, provenance=made))
        assert f"\npublished:  {words} for the model" in text
    assert "published:" not in render_schedule(schedule)


@pytest.mark.parametrize("render", [render_schedule, render_json])
def test_another_schedule_is_not_written_as_executed(render: Callable[[Schedule], str]) -> None:
    assert render(executed(small_schedule(), "of another")) == render(small_schedule())


@pytest.mark.parametrize("ending", ["py", "json"])
def test_an_edited_schedule_was_not_executed(tmp_path: Path, ending: str) -> None:
    path = save_schedule(executed(small_schedule()), tmp_path / f"tiny.{ending}")
    text = path.read_text()
    old, new = {
        "py": ("act_block_h_override=64", "act_block_h_override=96"),
        "json": ('"act_block_h_override": 64', '"act_block_h_override": 96'),
    }[ending]
    assert old in text
    path.write_text(text.replace(old, new))
    assert load_schedule(path).provenance == small_schedule().provenance
