"""The search loop: which schedule runs next, and why the search ends.

ttnn's default is the first trial of a study, a schedule to start from the next one, then the best
of a first look at few candidates; from then on a sampler proposes schedules of all candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from autosched.errors import FloorError, SearchError, TimeUpError
from autosched.probing.format_tables import Wanted
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof, prove
from autosched.probing.probe_book import Phase
from autosched.probing.problem_builder import build_problem
from autosched.probing.restrictions import Restriction
from autosched.schedule.outcomes import INCONCLUSIVE, Rejection, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.search.risk import settle
from autosched.search.run import Run, StopReason
from autosched.search.samplers.proposals import Proposals, telling_trials
from autosched.search.soak import soak_best
from autosched.search.trial import run_repaired, run_trial
from autosched.space.efforts import FIRST_LOOK, QUICK, Effort
from autosched.store.trials import (
    DEFAULT_SAMPLER,
    GIVEN_SAMPLER,
    TrialRecord,
    best_of,
    count_trials,
    default_trial,
    fastest_of,
    get_trial,
    list_trials,
    reject_trial,
)

_JOINT = "joint"
_PROOF_LIMIT_S = 20.0
_TOLD_AT_ONCE = 300
# Of so few trials, none is spared for a schedule that risks less.
_FEW_TRIALS = 3


def optimize(run: Run, trials: int | None, start: Schedule | None = None) -> None:
    """Search until there is a reason to stop, which :attr:`Run.stopped` then is.

    Up to ``trials`` trials run; None: as many as the effort has, or until one reaches the bound.

    What has run stands, though a layer has no candidate or no schedule of the candidates fits:
    that is a warning then.

    Raises:
        SearchError: for the same, if nothing has run or the user restricted the candidates.
    """
    limit = run.settings.effort.trials if trials is None else trials
    try:
        is_default_gone = dismiss_wrong(run)
        limit -= run_default(run, again=is_default_gone)
        limit -= run_given(run, start)
        limit -= first_look(run, limit)
        run.stopped = search(run, limit, stops_at_bound=trials is None)
        run.soaked = soak_best(run)
    except TimeUpError:
        run.stopped = StopReason.TIME
    except SearchError as error:
        if run.best is None or run.settings.restrictions:
            raise
        run.observer.on_warning(f"the search has nothing else to run: {error}")
        run.stopped = StopReason.NO_CHOICE
    except KeyboardInterrupt:
        run.stopped = StopReason.INTERRUPTED
        raise


def dismiss_wrong(run: Run) -> bool:
    """Reject ttnn's default and the best trials as far as they are known to go wrong since.

    Or to be below the floor, where an earlier emulation judged them. Other trials are of no
    consequence: what is known to go wrong is no candidate any more. Returns whether the default was
    rejected: by today's lowering it may be right.
    """
    default = default_trial(run.defaults)
    is_default_gone = default is not None and _dismissed(run, default)
    is_any_gone = is_default_gone
    for leading in (fastest_of, best_of):
        while (best := leading(run.store, run.record)) is not None and _dismissed(run, best):
            is_any_gone = True
    if is_any_gone and run.mirror is not None:
        run.mirror.renew(run.trials, partial(get_trial, run.store, run.record))
    return is_default_gone


def _dismissed(run: Run, trial: TrialRecord) -> bool:
    """Reject a trial that goes wrong; where its layouts decide, which are not stored, run it."""
    if trial.rejection is not None or trial.number is None:
        return False
    is_to_judge = run.is_to_judge(trial)
    if run.book.judge is None and not is_to_judge:
        return False
    whole = trial if trial.ops else get_trial(run.store, run.record, trial.number)
    against = _known_against(run, whole)
    if against is None and is_to_judge:
        against = run.judged(whole).rejection
    if against is not None:
        reject_trial(run.store, run.record, trial.number, against)
    return against is not None


def _known_against(run: Run, trial: TrialRecord) -> Rejection | None:
    judge, schedule = run.book.judge, trial.schedule
    assert schedule is not None  # noqa: S101 - a trial as a whole has it
    if judge is None:
        return None
    against = judge.against_ops(schedule, trial.ops)
    if against is None and judge.suspects(schedule):
        outcome = run.device.run(schedule, run.budget)
        if isinstance(outcome, RunOutcome):
            against = judge.against_run(schedule, outcome)
    return against


def run_default(run: Run, *, again: bool = False) -> int:
    """Run ttnn's default schedule if the study has no such trial; return how many trials ran.

    One that hung or crashed is tried again when the study goes on. Beside the points of a front, it
    counts as none: a front that goes on would have one more.
    """
    if not again and any(
        trial.rejection is None or trial.rejection.kind not in INCONCLUSIVE
        for trial in run.defaults
    ):
        return 0
    run.enter(Phase.DEFAULT)
    with run.judging(run.default):
        trial = run_trial(run.device, run.book, run.default, DEFAULT_SAMPLER, run.budget)
    run.finish(trial)
    return 0 if run.settings.front else 1


def run_given(run: Run, schedule: Schedule | None) -> int:
    """Run a schedule to start from, unless the study has such a trial; return how many ran.

    The device may reject it: what it accepts of its layers is still worth a try.
    """
    if schedule is None or schedule.fingerprint() in {item.fingerprint() for item in run.given}:
        return 0
    run.enter(Phase.GIVEN)
    run.joint = None
    own = replace(schedule, provenance=run.provenance)
    run.finish(run_trial(run.device, run.book, own, GIVEN_SAMPLER, run.budget))
    return 1


def first_look(run: Run, limit: int) -> int:
    """Run the best of a few candidates a layer; return how many trials that took.

    A new study soon has a good schedule then, also if its time is up before all is probed.
    """
    assert run.record.id is not None  # noqa: S101 - a search is of a stored study
    begun = count_trials(run.store, run.record.id) > len(run.defaults)
    if begun or limit < 2 or run.settings.effort.name == QUICK:
        return 0  # at effort quick, a first look is most of the search
    # It has the study's own formats, which are seldom exact enough, and does not know the schedule
    # that has what is frozen.
    if run.settings.search_formats or any(rule.freezes for rule in run.settings.restrictions):
        return 0
    if run.book.has_stored(run.network.layer_signature(layer) for layer in run.network):
        return 0  # what is stored is read as a whole soon enough
    run.enter(Phase.FIRST_LOOK)
    try:
        joint = probed(run, FIRST_LOOK, run.settings.restrictions)
        return int(run_asked(run, informed(run, joint, _JOINT)))
    except SearchError:
        return 0  # with all candidates, the network may fit after all
    except TimeUpError:
        run.budget.check()
        return 0  # the solver's own time for a proposal


def search(run: Run, limit: int, *, stops_at_bound: bool) -> StopReason:
    """Probe all candidates, prove the bound, and run what the sampler proposes."""
    if run.settings.search_formats:
        return search_formats(run, limit)
    joint = prepared(run)
    run.enter(Phase.PROVING)
    run.proof = proven(run, joint)
    run.observer.on_bound(run.proof)
    reason = _search_layouts(run, joint, limit, stops_at_bound=stops_at_bound)
    if limit > 0:
        _check_floor(run, joint, at_end=reason is not StopReason.TIME)
    return reason


def _search_layouts(
    run: Run, joint: JointProblem, limit: int, *, stops_at_bound: bool
) -> StopReason:
    proposals = informed(run, joint, run.settings.sampler)
    settles = bool(run.settings.risk) and limit > _FEW_TRIALS and not stops_at_bound
    for done in range(limit):
        if settles and done == limit - 1 and settle(run, joint, proposals):
            break
        run.enter(Phase.SEARCHING, done, limit)
        if run.budget.is_up:
            return StopReason.TIME
        if stops_at_bound and run.is_at_bound:
            settle(run, joint, proposals)
            return StopReason.BOUND
        _check_floor(run, joint)
        if not run_asked(run, proposals):
            return StopReason.TIME if run.budget.is_up else StopReason.EXHAUSTED
    run.enter(Phase.SEARCHING, max(limit, 0), max(limit, 0))
    return StopReason.BOUND if stops_at_bound and run.is_at_bound else StopReason.TRIALS


def _check_floor(run: Run, joint: JointProblem, *, at_end: bool = False) -> None:
    """Give up where the study's formats are not exact enough: FloorError."""
    if run.accuracy is not None:
        from autosched.search.format_errors import (  # noqa: PLC0415 - it loads torch
            check_held_formats,
        )

        check_held_formats(run, joint, at_end=at_end)


def search_formats(run: Run, limit: int) -> StopReason:
    """Probe all candidates in all formats, and run the fastest that are exact enough."""
    from autosched.search.format_errors import (  # noqa: PLC0415 - it loads torch
        ErrorModel,
        measured_errors,
    )
    from autosched.search.format_search import (  # noqa: PLC0415 - it loads torch
        run_exact_enough,
        run_front,
    )

    errors = measured_errors(run)
    # A figure of one's own allows for errors that a PCC says nothing of.
    open_ended = run.settings.front or run.settings.min_pcc is None
    allowed = None if open_ended or run.accuracy is None else run.accuracy.allowed

    def choose(errors: ErrorModel, wanted: Wanted, limit: int) -> StopReason:
        joint = run.joint or probed(
            run, run.settings.effort, run.settings.restrictions, wanted=wanted
        )
        run.joint = joint
        proposals = informed(run, joint, run.settings.sampler)
        if run.settings.front:
            run_front(run, joint, errors, proposals, limit)
            return StopReason.FRONT
        run_exact_enough(run, joint, errors, proposals, limit)
        return StopReason.FLOOR

    def ways() -> Iterator[tuple[ErrorModel, Wanted]]:
        yield errors, Wanted(errors.alone, allowed)
        if allowed is not None:
            yield errors, Wanted(errors.alone, allowed, widely=True)
            kinds = errors.by_kind()
            yield kinds, Wanted(kinds.alone, allowed, nothing=0.0, widely=True)

    before = len(run.trials)
    unreached: list[FloorError] = []
    for model, wanted in ways():
        left = limit - (len(run.trials) - before)
        if unreached:
            if left <= 0:
                break
            run.joint = None
        try:
            return choose(model, wanted, left)
        except FloorError as error:
            unreached.append(error)
    if run.best is None:
        raise min(unreached, key=lambda missed: missed.lost)
    return StopReason.FLOOR


def prepared(run: Run) -> JointProblem:
    """Return the joint problem of all candidates, probed where it is not yet."""
    if run.joint is not None:
        return run.joint
    joint = probed(run, run.settings.effort, run.settings.restrictions)
    if not run.budget.is_up:  # otherwise its bound may rest on what there was no time to probe
        run.joint = joint
    return joint


def probed(
    run: Run,
    effort: Effort,
    rules: Sequence[Restriction],
    *,
    silent: bool = False,
    wanted: Wanted | None = None,
) -> JointProblem:
    """Probe the layers and reshards of the network and return the joint problem.

    With ``wanted`` its candidates come in other formats, too.
    """
    return build_problem(
        run.network,
        run.settings.formats,
        run.board,
        effort,
        run.book,
        run.measured,
        known=() if effort is FIRST_LOOK else [run.default, *run.given],
        rules=rules,
        wanted=wanted,
        in_all_formats=wanted is not None,
        progress=(lambda *_: None) if silent else run.enter,
        budget=run.budget,
    )


def proven(run: Run, joint: JointProblem) -> Proof:
    """Prove the lower bound; where nothing fits, say which restriction is to blame."""
    try:
        return prove(joint, _PROOF_LIMIT_S, run.budget)
    except SearchError as error:
        run.budget.check()
        reason = error
    helpful = [str(rule) for rule in run.settings.restrictions if _fits_without(run, rule)]
    if not helpful:
        raise reason
    raise SearchError(f"{reason}. It becomes feasible without {' or without '.join(helpful)}")


def _fits_without(run: Run, rule: Restriction) -> bool:
    others = [item for item in run.settings.restrictions if item is not rule]
    try:
        prove(probed(run, run.settings.effort, others, silent=True), _PROOF_LIMIT_S, run.budget)
    except SearchError:
        return False
    return True


def informed(run: Run, joint: JointProblem, sampler: str) -> Proposals:
    """Return what a sampler proposes that knows every stored trial of these tables.

    It learns from the most telling of them at once, from the others if it proposes them again: to
    read a trial takes milliseconds.
    """
    trials = run.trials
    telling = list_trials(
        run.store, run.record, with_ops=True, numbers=telling_trials(trials, _TOLD_AT_ONCE)
    )
    whole = {trial.number: trial for trial in telling}
    return Proposals(
        joint,
        sampler,
        run.settings.seed + len(trials),
        [whole.get(trial.number, trial) for trial in trials],
        recall=lambda number: get_trial(run.store, run.record, number),
    )


def run_asked(run: Run, proposals: Proposals) -> bool:
    """Run the next proposal, store it and tell the sampler; return whether there was one."""
    found = proposals.next(run.provenance, run.budget)
    if found is None:
        return False
    selection, schedule = found
    with run.judging(schedule):
        trial = run_repaired(
            run.device, run.book, proposals.joint, schedule, proposals.sampler, run.budget
        )
    stored = run.finish(trial)
    proposals.tell(selection, schedule, stored)
    return True
