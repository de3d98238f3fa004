"""A submitted study as the database has it now: its best, its curve, its layers and edges."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import case, func, select

from autosched.probing.lower_bound import relative_gap
from autosched.report.layer_rows import describe, layer_rows, reshard_rows
from autosched.schedule.outcomes import TimeKind
from autosched.search.stored_study import layers_by_signature
from autosched.service import answers
from autosched.service.asking import AllowedNetworks
from autosched.service.bounds import BoundKeeper, KnownBound, Reached
from autosched.service.submissions import Submission
from autosched.store import models
from autosched.store.database import Store
from autosched.store.database_errors import check_row
from autosched.store.purging import find_quarantined
from autosched.store.studies import StudyRecord, find_study
from autosched.store.trials import (
    COMPLETE,
    DEFAULT_SAMPLER,
    TrialRecord,
    best_of,
    count_trials,
    list_trials,
)

MOST_POINTS = 5000
BestByKind = dict[str | None, Any]
"""The fastest trial's microseconds by the kind of its time."""
_Row = models.TrialRow
_MEASURED, _ESTIMATED = TimeKind.MEASURED.value, TimeKind.ESTIMATED.value


def entries(
    store: Store, items: Sequence[Submission], networks: AllowedNetworks
) -> list[answers.Entry]:
    """Return submissions as a list has them.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    tallies = _tallies(store, {item.study for item in items})
    return [answers.Entry(**_entry(item, networks), **tallies[item.study]) for item in items]


def _entry(item: Submission, networks: AllowedNetworks) -> dict[str, Any]:
    return {
        "id": item.id,
        "state": item.status,
        "network": networks.shown(item.network),
        "board": item.board,
        "study": item.study,
        "created_at": item.created_at,
        "started_at": item.started_at,
        "ended_at": item.ended_at,
        "message": item.message,
        "cancel_asked": item.cancel_asked,
    }


def _tallies(store: Store, names: set[str]) -> dict[str, dict[str, Any]]:
    """Return of studies how many trials they have, and the fastest, measured before estimated."""
    found: dict[str, dict[str, Any]] = {
        name: {"trials": 0, "best_us": None, "best_kind": None} for name in names
    }
    study = models.StudyRow
    query = (
        select(study.name, _Row.state, _Row.latency_kind, func.count(), func.min(_Row.latency_us))
        .join(study, study.id == _Row.study_id)
        .where(study.name.in_(names))
        .group_by(study.name, _Row.state, _Row.latency_kind)
    )
    with store.reading() as session:
        rows = session.execute(query).all()
    for name, state, kind, count, best_us in rows:
        checked = {"state": state, "latency_kind": kind, "latency_us": best_us}
        check_row(_Row, checked, store.describe())
        tally = found[name]
        tally["trials"] += count
        if state == COMPLETE and tally["best_kind"] != _MEASURED:
            tally["best_us"], tally["best_kind"] = best_us, kind
    return found


def detail(
    store: Store,
    item: Submission,
    networks: AllowedNetworks,
    bounds: BoundKeeper,
    says: Sequence[str],
) -> answers.Detail:
    """Return all that is known of a submission now.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    record = find_study(store, item.study)
    known = None if record is None else known_bound(store, item, record, bounds)
    best = None if record is None else best_of(store, record)
    rejected, complete, default = ({}, 0, None) if record is None else _counted(store, record)
    bound = None if known is None else lower_bound(known)
    best_us = None if best is None else best.latency_us
    result = item.result or {}
    return answers.Detail(
        **_entry(item, networks),
        trials=complete + sum(rejected.values()),
        best_us=best_us,
        best_kind=None if best is None or best.latency_kind is None else best.latency_kind.value,
        options={
            name: "a schedule" if name == "start" else value for name, value in item.options.items()
        },
        complete=complete,
        best=None if best is None else _best(best),
        default_us=None if default is None else default.latency_us,
        default_kind=None if default is None else str(default.latency_kind),
        bound=bound,
        gap=relative_gap(best_us, None if bound is None else bound.bound_us),
        unprobed="" if known is None else known.unprobed,
        probes=None if known is None else known.probes,
        layers=list(_layers(best)),
        edges=list(_edges(best)),
        rejections=answers.Rejections(
            trials=rejected,
            probes={} if known is None else dict(known.rejected),
            left_out={} if known is None else dict(known.left_out),
        ),
        stopped=str(result.get("stopped") or ""),
        says=list(says),
    )


def _best(trial: TrialRecord) -> answers.Best:
    assert trial.number is not None and trial.latency_us is not None  # noqa: PT018, S101 - complete
    return answers.Best(
        trial=trial.number,
        latency_us=trial.latency_us,
        latency_kind=str(trial.latency_kind),
        latency_std_us=trial.latency_std_us,
        sampler=trial.sampler,
        cost_model=trial.cost_model,
        peak_l1_bytes=trial.peak_l1_bytes,
    )


def _counted(store: Store, record: StudyRecord) -> tuple[dict[str, int], int, TrialRecord | None]:
    """Return rejected trials by kind, how many ran, and the last that ran of ttnn's default.

    All trials are looked through once, as thousands take their time.
    """
    number_of_default = case((_Row.sampler == DEFAULT_SAMPLER, _Row.number))
    query = (
        select(_Row.state, _Row.rejection_kind, func.count(), func.max(number_of_default))
        .where(_Row.study_id == record.id)
        .group_by(_Row.state, _Row.rejection_kind)
    )
    with store.reading() as session:
        rows = session.execute(query).all()
    complete, rejected, defaults = 0, {}, []
    for state, kind, count, number in rows:
        if state == COMPLETE:
            complete += count
            defaults += [] if number is None else [number]
        else:
            rejected[str(kind)] = count
    found = list_trials(store, record, with_schedules=False, numbers=defaults) if defaults else []
    return rejected, complete, found[-1] if found else None


def _layers(best: TrialRecord | None) -> Iterator[answers.LayerTime]:
    if best is None or best.schedule is None or not best.ops:
        return
    for row in layer_rows(best.schedule, best.ops, best.latency_kind):
        yield answers.LayerTime(
            layer=row.layer,
            configuration=row.configuration,
            time_us=row.time_us,
            time_kind=None if row.time_kind is None else row.time_kind.value,
            share=row.share,
            cores=row.cores,
            l1_bytes=row.l1_bytes,
        )


def _edges(best: TrialRecord | None) -> Iterator[answers.EdgeTime]:
    if best is None or best.schedule is None or not best.ops:
        return
    for row in reshard_rows(best.schedule, best.ops, best.latency_kind):
        kind = None if row.time_kind is None else row.time_kind.value
        yield answers.EdgeTime(**{**row.to_plain(), "time_kind": kind})


def known_bound(
    store: Store, item: Submission, record: StudyRecord, bounds: BoundKeeper
) -> KnownBound | None:
    """Return the bound of a study: what its search has proven at its end, or what is known by now.

    Raises:
        StoreError: if the database refuses.
    """
    progress = _progress(store, record)
    result = item.result or {}
    # The study may have gone on since, by another submission or by hand.
    found = _from_result(result, progress) if result.get("trials") == progress[0] else None
    return found or bounds.ask(record.name, progress)


def _progress(store: Store, record: StudyRecord) -> Reached:
    newest = select(func.max(models.ProbeRow.id))
    with store.reading() as session:
        return count_trials(store, record.id or 0), session.scalar(newest) or 0


def _from_result(result: Mapping[str, Any], progress: Reached) -> KnownBound | None:
    """Return the bound that the search of a submission ended with, if it proved one."""
    names = ("bound_us", "bound_any_order_us", "bound_kind", "bound_estimated_share")
    if any(result.get(name) is None for name in names):
        return None
    together = dict(result.get("rejected") or {})
    for kind, number in dict(result.get("rejected_trials") or {}).items():
        together[kind] = together.get(kind, 0) - number
    return KnownBound(
        progress,
        {name: result[name] for name in names},
        rejected={kind: number for kind, number in together.items() if number > 0},
        left_out=dict(result.get("left_out") or {}),
    )


def lower_bound(known: KnownBound) -> answers.LowerBound | None:
    """Return a bound as it is answered, None if there is none yet."""
    if known.bound is None:
        return None
    return answers.LowerBound(**known.bound, trials=known.progress[0])


def points(
    store: Store,
    record: StudyRecord,
    after: int = -1,
    limit: int = MOST_POINTS,
    best: BestByKind | None = None,
) -> list[answers.TrialPoint]:
    """Return a study's trials after one, each with the best so far: measured before estimated.

    ``best`` is what it was at that one, which is read where it is not given, and becomes what it
    is at the last trial returned.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    columns = (
        _Row.id,
        _Row.number,
        _Row.state,
        _Row.sampler,
        _Row.latency_us,
        _Row.latency_kind,
        _Row.rejection_kind,
        _Row.started_at,
        _Row.duration_s,
    )
    query = select(*columns).where(_Row.study_id == record.id, _Row.number > after)
    best = best_until(store, record, after) if best is None else best
    with store.reading() as session:
        rows = session.execute(query.order_by(_Row.number).limit(limit)).all()
    found = []
    for row in rows:
        check_row(_Row, row._mapping, store.describe())
        if row.state == COMPLETE:
            kind = row.latency_kind
            best[kind] = min(best.get(kind, row.latency_us), row.latency_us)
        shown = next((kind for kind in (_MEASURED, _ESTIMATED) if kind in best), None)
        shown = shown or next(iter(best), None)
        ended = (row.started_at - record.created_at).total_seconds() + row.duration_s
        found.append(
            answers.TrialPoint(
                trial=row.number,
                state=row.state,
                sampler=row.sampler,
                latency_us=row.latency_us,
                latency_kind=row.latency_kind,
                rejection=row.rejection_kind,
                best_us=None if shown is None else best[shown],
                best_kind=shown,
                at_s=max(0.0, ended),
            )
        )
    return found


def best_until(store: Store, record: StudyRecord, number: int) -> BestByKind:
    """Return what the best of a study was at one of its trials.

    Raises:
        StoreError: if the database refuses.
    """
    query = select(_Row.latency_kind, func.min(_Row.latency_us)).where(
        _Row.study_id == record.id, _Row.number <= number, _Row.state == COMPLETE
    )
    with store.reading() as session:
        tallied = session.execute(query.group_by(_Row.latency_kind)).all()
    return {row[0]: row[1] for row in tallied}


def quarantine(store: Store) -> answers.Quarantine:
    """Return what is in quarantine.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    found = find_quarantined(store)
    names = layers_by_signature(store) if found else {}
    return answers.Quarantine(
        quarantined=[
            answers.QuarantinedProbe(
                number=item.number,
                layers=names.get(item.layer_signature, [])[:20],
                layer_signature=item.layer_signature,
                configuration=describe(item.config),
                **vars(item.device),
                kind=item.rejection.kind.value,
                message=item.rejection.message,
                created_at=item.created_at,
            )
            for item in found
        ]
    )
