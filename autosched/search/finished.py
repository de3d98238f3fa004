"""Stored trials and their schedules, without a network or a device."""

from collections.abc import Sequence
from dataclasses import replace

from autosched.errors import StudyError
from autosched.schedule import Schedule
from autosched.search.settings import Settings
from autosched.store.database import Store
from autosched.store.studies import StudyRecord
from autosched.store.trials import TrialRecord, best_trial, get_trial

DEFAULT_SAMPLER = "default"
"""What trials of ttnn's default schedule carry in place of a sampler's name."""
GIVEN_SAMPLER = "given"
"""What trials of schedules carry that the user gave to start from."""


def finished_trial(
    store: Store, study: StudyRecord, number: int | None = None
) -> tuple[TrialRecord, Schedule]:
    """Return a trial (default: the fastest) and its schedule with its full provenance.

    Raises:
        StudyError: if there is no such trial, or none has run yet, or the device rejected it.
        StoreError: if the database refuses.
    """
    found = best_of(store, study) if number is None else get_trial(store, study, number)
    if found is None:
        raise StudyError(
            f"no trial of study {study.name!r} has run yet; go on with: autosched resume "
            f"{study.name}"
        )
    if found.rejection is not None:
        raise StudyError(
            f"trial {number} of study {study.name!r} was rejected by the device "
            f"({found.rejection.kind}); choose one of those that ran: autosched show {study.name}"
        )
    trial = with_provenance(found, study)
    assert trial.schedule is not None  # noqa: S101 - both queries read it
    return trial, trial.schedule


def best_of(store: Store, record: StudyRecord) -> TrialRecord | None:
    """Return a study's fastest trial with its device ops.

    Where candidates are pinned or forbidden, ttnn's default and schedules given to start from
    count only as long as nothing else has run: they may be against the restrictions.
    """
    settings = Settings.from_plain(record.settings)
    if settings.pinned or settings.forbidden:
        found = best_trial(store, record, leaving_out=(DEFAULT_SAMPLER, GIVEN_SAMPLER))
        if found is not None:
            return found
    return best_trial(store, record)


def default_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the trial of ttnn's default schedule; the last one, where it had to be repeated."""
    return next((item for item in reversed(trials) if item.sampler == DEFAULT_SAMPLER), None)


def with_provenance(trial: TrialRecord, study: StudyRecord) -> TrialRecord:
    """Return a stored trial whose schedule says where it comes from."""
    if trial.schedule is None:
        return trial
    provenance = replace(
        trial.schedule.provenance,
        study=study.name,
        trial=trial.number,
        latency_us=trial.latency_us,
        latency_kind=trial.latency_kind,
        cost_model=trial.cost_model,
        date=trial.started_at.date().isoformat(),
    )
    return replace(trial, schedule=replace(trial.schedule, provenance=provenance))
