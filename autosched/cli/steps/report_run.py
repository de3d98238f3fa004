"""The steps of ``autosched report``: a study as a page, and as pictures."""

from functools import partial

from autosched import __version__
from autosched.budget import Budget
from autosched.cli.steps.explain_run import READING_S
from autosched.report.margin import margin_of
from autosched.report.page.contents import PageSource
from autosched.search.stored_study import read_study
from autosched.store.database import Store
from autosched.store.studies import StudyRecord
from autosched.store.trials import (
    TrialRecord,
    best_of,
    default_trial,
    finished_trial,
    get_trial,
    list_trials,
)

_PROOF_S = 20.0


def page_source(store: Store, record: StudyRecord) -> PageSource:
    """Read all that a page shows of a study.

    Raises:
        StudyError: if the study's network cannot be had.
        StoreError: if the database refuses.
    """
    study = read_study(store, record, Budget.of(READING_S))
    trials = list_trials(store, record, with_schedules=False)
    best: TrialRecord | None = None
    if best_of(store, record) is not None:
        best, _ = finished_trial(store, record)
    dismissed = default_trial(trials)
    default = None
    if dismissed is not None and dismissed.rejection is None and dismissed.number is not None:
        default = get_trial(store, record, dismissed.number)
    return PageSource(
        record,
        study.network,
        study.board,
        trials,
        best,
        default,
        study.cost,
        study.book.known_counts,
        study.proof(_PROOF_S),
        margin_of(best, trials, study.cost, partial(get_trial, store, record)),
        study.unprobed,
        str(study.settings.formats),
        __version__,
    )
