"""The steps of ``autosched explain`` and ``report``: a study, read from its database alone."""

from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial

from autosched import __version__
from autosched.boards import find_board
from autosched.budget import Budget
from autosched.cli.steps.inputs import read_schedule
from autosched.errors import StudyError
from autosched.network.graph import Network
from autosched.probing.joint_problem import JointProblem
from autosched.probing.stored_answers import (
    Asked,
    in_the_formats_of,
    place_in_table,
    priced,
)
from autosched.report.differences import Compared, differences_of
from autosched.report.explanation.explanation import Explanation, explain_choice
from autosched.report.margin import margin_of
from autosched.report.output import Screen
from autosched.report.page.headline import PageSource
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.schedule import Schedule
from autosched.search.stored_study import StoredStudy, network_of_study, read_study
from autosched.store.database import Store
from autosched.store.studies import StudyRecord, find_study, find_study_id, get_study
from autosched.store.trials import (
    TrialRecord,
    best_of,
    count_trials,
    default_trial,
    finished_trial,
    get_trial,
    list_trials,
    trial_of_schedule,
)
from autosched.verification.records import TracedStep, records_behind

_SCHEDULES = (".py", ".json")
READING_S = 60.0
"""How long the joint problem of a study may take to be put together."""
_PRICING_S = 20.0
_PROOF_S = 20.0
_NAMED = 5


def explain_layer(store: Store, record: StudyRecord, pattern: str) -> Explanation:
    """Return all that was asked of the one layer that a name or pattern means.

    Raises:
        StudyError: if it means none or several, or the study's network cannot be had.
        StoreError: if the database refuses.
    """
    study = read_study(store, record, Budget.of(READING_S))
    name = one_layer(study.network, pattern)
    best = best_of(store, record)
    found = explanation_of(study, best, name, Budget.of(_PRICING_S))
    rejected = count_trials(store, find_study_id(store, record.name)) if best is None else 0
    return replace(found, rejected_trials=rejected)


def one_layer(network: Network, pattern: str) -> str:
    """Return the name of the one layer that a name or pattern of the shell's kind means.

    Raises:
        StudyError: if there is none, naming what is alike, or there are several.
    """
    names = list(network.by_name)
    if pattern in network.by_name:
        return pattern
    found = [name for name in names if fnmatchcase(name, pattern)]
    if len(found) == 1:
        return found[0]
    if found:
        raise StudyError(
            f"{pattern!r} means {len(found)} layers of {network.name}: {_listed(found)}; name one"
        )
    alike = get_close_matches(pattern, names, n=_NAMED, cutoff=0.4)
    alike = alike or [name for name in names if pattern.strip("*").lower() in name.lower()]
    hint = f"did you mean {_listed(alike)}?" if alike else f"there are {_listed(names)}"
    raise StudyError(f"{network.name} has no layer {pattern!r}; {hint}")


def _listed(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def explanation_of(
    study: StoredStudy, best: TrialRecord | None, name: str, budget: Budget
) -> Explanation:
    """Return the explanation of one layer of a study."""
    asked, unprobed = study.asked(name), study.unprobed
    joint, selected = _joint_for(study, best, name)
    if joint is None and not unprobed:
        unprobed = "the best schedule is not made of what is stored"
    places = [None if joint is None else place_in_table(joint, name, item) for item in asked]
    offered = [place for place in places if place is not None]
    found = {} if joint is None else priced(joint, name, offered, budget)
    prices = {
        item: found.get(place)
        for item, place in zip(asked, places, strict=True)
        if place is not None
    }
    chosen = next(
        (
            item
            for item, place in zip(asked, places, strict=True)
            if place is not None and place == selected
        ),
        None,
    )
    if chosen is None and best is not None:
        chosen = _as_it_ran(asked, best, name)
    explanation = explain_choice(
        study.network.by_name[name],
        asked,
        study.cost,
        chosen,
        prices,
        trial=None if best is None else best.number,
        unprobed=unprobed,
    )
    return replace(explanation, keeps_formats=study.settings.search_formats)


def _joint_for(
    study: StoredStudy, best: TrialRecord | None, name: str
) -> tuple[JointProblem | None, int | None]:
    """Return the problem that prices a layer's candidates, and the place of the chosen one.

    Where formats were searched for, nobody knows here what others cost the outputs: all other
    layers keep those of the best schedule, and there is no problem without one.
    """
    joint = study.joint
    if joint is None:
        return None, None
    schedule = None if best is None else best.schedule
    selection = None if schedule is None else joint.find(schedule)
    if not study.settings.search_formats:
        return joint, None if selection is None else selection.candidates[name]
    if selection is None:
        return None, None
    return in_the_formats_of(joint, selection, name), selection.candidates[name]


def _as_it_ran(asked: tuple[Asked, ...], best: TrialRecord, name: str) -> Asked | None:
    """Return what a trial has for a layer, going by its configuration and its device ops."""
    if best.schedule is None:
        return None
    config = best.schedule.layers.get(name)
    ran = [op for op in best.ops if op.layer == name]
    alike = [item for item in asked if item.probed and item.request.config == config]
    return next((item for item in alike if _ops(item) == _codes(ran)), next(iter(alike), None))


def _ops(asked: Asked) -> list[tuple[object, ...]]:
    return [] if asked.probed is None else _codes(list(asked.probed.outcome.ops))


def _codes(ops: list[DeviceOp]) -> list[tuple[object, ...]]:
    return [(op.code, op.inputs, op.outputs) for op in ops]


def compared(output: Screen, store: Store, text: str, *, safe: bool) -> Compared:
    """Return the schedule that a study, STUDY:TRIAL or a file is, with the trial that ran it.

    Raises:
        ScheduleError: if it is a file that cannot be read.
        StudyError: if there is no such study or trial, or none has run.
        StoreError: if the database refuses.
    """
    if text.endswith(_SCHEDULES):
        schedule = read_schedule(output, text, safe=safe)
        trial = trial_of_schedule(store, schedule.fingerprint())
        return Compared(text, schedule) if trial is None else _compared(text, trial, schedule)
    name, colon, number = text.rpartition(":")
    if colon and number.isdecimal() and find_study(store, text) is None:
        trial, schedule = finished_trial(store, get_study(store, name), int(number))
    else:
        name = text
        trial, schedule = finished_trial(store, get_study(store, text))
    return _compared(f"{name}, trial {trial.number}", trial, schedule)


def _compared(title: str, trial: TrialRecord, schedule: Schedule) -> Compared:
    return Compared(
        title, schedule, trial.ops, trial.latency_us, trial.latency_kind, trial.cost_model
    )


def records_of(store: Store, record: StudyRecord, trial: TrialRecord) -> list[TracedStep]:
    """Return what is stored of each step of a trial's schedule, measured and estimated.

    Raises:
        StudyError: if the trial has no schedule, or the study's network cannot be had.
        StoreError: if the database refuses.
    """
    if trial.schedule is None:
        raise StudyError(f"trial {trial.number} of study {record.name!r} has no schedule")
    return records_behind(
        store,
        network_of_study(store, record),
        trial.schedule,
        trial.ops,
        (record.device, record.scout),
        find_board(record.board).arch,
    )


def page_source(store: Store, record: StudyRecord, against: Compared | None = None) -> PageSource:
    """Read all that a page shows of a study, beside another schedule where one is given.

    Raises:
        ScheduleError: if that schedule is of another network.
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
    differences = None
    if against is not None and best is not None and best.schedule is not None:
        title = f"{record.name}, trial {best.number}"
        differences = differences_of(against, _compared(title, best, best.schedule))
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
        differences,
    )
