from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from autosched.errors import StudyError
from autosched.report.front import FrontPoint, check_picture, front_of, front_table
from autosched.schedule.outcomes import TimeKind, Verdict
from autosched.store.database import Store, open_store
from autosched.store.executions import ExecutionRecord, emulation_record, save_verification
from autosched.store.studies import add_study
from autosched.store.trials import add_trial
from tests.examples import records as examples


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/front.sqlite3") as opened:
        yield opened


def point(latency_us: float, pcc: float) -> FrontPoint:
    return FrontPoint(0, latency_us, TimeKind.ESTIMATED, pcc, 0.9, None, ("bfloat8_b LoFi 3",))


def test_what_another_beats_in_both_is_left_out(store: Store) -> None:
    study = add_study(store, examples.study())
    for latency_us, pcc in ((30.0, 0.99), (20.0, 0.95), (25.0, 0.94), (40.0, 0.985)):
        schedule = examples.schedule()
        found = replace(examples.trial(), latency_us=latency_us, schedule=schedule)
        stored = add_trial(store, study, replace(found, fingerprint=f"of {latency_us}"))
        result = ExecutionRecord(Verdict.RIGHT, pcc, pcc, metric=pcc / 2)
        save_verification(store, study, emulation_record(stored.fingerprint, result))
    front = front_of(store, study)
    assert [(item.latency_us, item.pcc) for item in front] == [(20.0, 0.95), (30.0, 0.99)]
    assert front[0].metric == 0.475


def test_the_table_names_formats_and_a_figure_where_there_is_one() -> None:
    for metric, shown in ((None, False), (0.5, True)):
        console = Console(width=120)
        with console.capture() as captured:
            console.print(front_table([replace(point(20.0, 0.95), metric=metric)]))
        assert ("metric" in captured.get()) == shown
        assert "0.950000" in captured.get()
        assert "bfloat8_b LoFi 3" in captured.get()


@pytest.mark.parametrize("place", [lambda at: at / "a.gif", lambda at: at / "no" / "a.png"])
def test_a_picture_needs_its_place(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    check_picture(tmp_path / "a.svg")
    with pytest.raises(StudyError):
        check_picture(place(tmp_path))
