"""Which stored answers a schedule rests on."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timezone
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from autosched.schedule.outcomes import ProbeOutcome, RunOutcome, Verdict
from autosched.store import models
from autosched.store.database import Store, open_store
from autosched.store.executions import SIMULATED, ExecutionRecord, ExecutionSite, save_execution
from autosched.verification.records import TracedStep, records_behind
from autosched.verification.verifier import schedule_steps
from tests.examples.networks import BOARD
from tests.examples.studied import Studied


@pytest.fixture
def copy(studied: Studied, tmp_path: Path) -> Iterator[Store]:
    """The study's database, to be changed."""
    path = tmp_path / "copy.sqlite3"
    with (
        closing(sqlite3.connect(studied.url.removeprefix("sqlite:///"))) as original,
        closing(sqlite3.connect(path)) as target,
    ):
        original.backup(target)  # what lies beside the file, too
    with open_store(f"sqlite:///{path}") as opened:
        yield opened


def traced(store: Store, studied: Studied) -> dict[str, TracedStep]:
    schedule = studied.best.schedule
    assert schedule is not None
    devices = (studied.record.device, studied.record.scout)
    found = records_behind(store, studied.network, schedule, studied.best.ops, devices, BOARD.arch)
    return {step.place: step for step in found}


def test_every_layer_and_reshard_has_its_probe(copy: Store, studied: Studied) -> None:
    steps = traced(copy, studied)
    assert studied.best.schedule is not None
    edges = {str(edge) for edge in studied.best.schedule.reshards}
    assert set(steps) >= set(studied.network.by_name) | edges
    for step in steps.values():
        assert [record.table for record in step.records][:1] == ["probe"], step.place
        assert not any(record.is_stale for record in step.records)
        assert all(record.stored_at.tzinfo is timezone.utc for record in step.records)
    for op in studied.best.ops:
        if op.layer in studied.network.by_name:
            answers = [record.answer for record in steps[op.layer].records]
            codes = {
                op.code for item in answers if isinstance(item, ProbeOutcome) for op in item.ops
            }
            assert op.code in codes


def test_executions_of_its_layers_are_among_them(copy: Store, studied: Studied) -> None:
    assert studied.best.schedule is not None
    outcome = studied.records.runs[studied.best.schedule.fingerprint()]
    assert isinstance(outcome, RunOutcome)
    site = ExecutionSite(BOARD.arch, studied.record.ttnn_version, SIMULATED, "0123")
    steps = schedule_steps(studied.network, studied.best.schedule, outcome.output_layouts)
    for step in steps:
        save_execution(copy, step.key(site), ExecutionRecord(Verdict.RIGHT, 0.9999, 0.9998))
    found = traced(copy, studied)
    for place in (place for step in steps for place in step.places):
        executed = [record for record in found[place].records if record.table == "execution"]
        assert [record.answer for record in executed] == ["right, concordance 0.99980"], place
        assert "simulated, compiler 0123" in executed[0].site


def test_what_other_code_answered_is_marked(copy: Store, studied: Studied) -> None:
    with copy.writing() as session:
        session.execute(update(models.ProbeRow).values(revision="of before"))
    probes = [record for step in traced(copy, studied).values() for record in step.records]
    assert probes
    assert all(record.is_stale for record in probes)


def test_a_layer_without_a_probe_has_none(copy: Store, studied: Studied) -> None:
    layer = next(iter(studied.network))
    signature = studied.network.layer_signature(layer)
    with copy.writing() as session:
        session.execute(delete(models.ProbeRow).where(models.ProbeRow.layer_signature == signature))
    found = traced(copy, studied)
    assert found[layer.name].records == ()
    assert found.keys() == studied.network.by_name.keys()
