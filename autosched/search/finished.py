"""Schedules of stored trials, without a network or a device."""

from autosched.errors import StudyError
from autosched.schedule import Schedule
from autosched.search.study import best_of, with_provenance
from autosched.store.database import Store
from autosched.store.studies import StudyRecord
from autosched.store.trials import TrialRecord, get_trial


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
