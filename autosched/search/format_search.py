"""Formats in the search: what they cost the outputs, and the fastest schedule that is exact enough.

Formats are candidates like layouts: the joint problem is solved for time plus a price on error, and
the price raised until the errors of the chosen formats, added up, leave what a floor asks for. No
choice of as little error, beside what the others have, is faster (H. Everett, "Generalized Lagrange
multiplier method for solving problems of optimum allocation of resources", Operations Research 11,
1963), and each price bounds the time of all choices of a given error from below. Then the schedule
itself is emulated (:mod:`autosched.search.accuracy`): where adding up promised too much, or too
little, the budget is corrected and the problem solved again.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from autosched.errors import FloorError
from autosched.network.graph import Layer, Network
from autosched.numerics.sensitivity import (
    Errors,
    FormatKey,
    format_key,
    from_bytes,
    loss,
    sensitivities,
    to_bytes,
    typical_errors,
)
from autosched.probing.candidates import Choice
from autosched.probing.format_tables import allowed_precisions
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.probing.probe_book import NEVER_EXECUTED, Phase
from autosched.schedule.configurations import Precision
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest
from autosched.schedule.tensors import DataType
from autosched.search.run import AccuracyFloor, Run
from autosched.search.samplers.proposals import Proposals
from autosched.search.trial import run_repaired
from autosched.space.formats import ACTIVATION_TYPES, PRECISIONS
from autosched.space.layer_formats import LayerFormats
from autosched.store.database_errors import damaged
from autosched.store.executions import (
    EMULATION_REVISION,
    ExecutionRecord,
    find_sensitivities,
    save_sensitivity,
)
from autosched.store.trials import TrialRecord, list_trials

# How near to its budget a solution's error has to come.
_NEAR = 0.85
_SOLUTIONS = 8
_LINEARISATIONS = 3
_ROUNDS = 8
_STEP = 8.0
_CLOSE = 1.2
# Of what would just do: two errors are seldom quite in proportion.
_CORRECTED = 0.95
# Large errors add up to less than their sum: how much flatter a loss may grow than predicted.
_FLATTEST = 0.25
_EXACT = 1e-9
# As a share of what a front's floor allows: as exact as can be.
_MOST_EXACT = 1e-6
_BLAMED = 3


class ErrorModel:
    """What candidates cost the outputs, as vectors that add up.

    ``found`` are the errors of each layer's formats, by its name.
    """

    def __init__(self, found: Mapping[str, Mapping[FormatKey, Errors]]) -> None:
        self.found = found
        self._losses: dict[tuple[str, FormatKey, bool], float] = {}
        some = next((errors for keys in found.values() for errors in keys.values()), None)
        self.nothing: Errors = np.zeros((1, 1) if some is None else some.shape, np.float32)

    def key(self, choice: Choice) -> tuple[FormatKey, bool]:
        """Return in which formats a candidate computes, and whether it first converts its input."""
        dtype = choice.output_layout.dtype
        found = format_key(choice.config, dtype)
        converts = (
            found[0] is not None
            and dtype is not DataType.BFLOAT16
            and choice.input_layouts[0].dtype is DataType.BFLOAT16
        )
        return found, converts

    def errors(self, layer: str, key: tuple[FormatKey, bool]) -> Errors:
        """Return the errors of a layer in some formats; none of what nobody measured."""
        own = self.found.get(layer, {})
        formats, converts = key
        found = own.get(formats, self.nothing)
        return found + own.get((None, formats[1], 0), self.nothing) if converts else found

    def alone(self, layer: str, choice: Choice) -> float:
        """Return 1 - PCC of the worst output if nothing but a layer is as in a candidate."""
        key, converts = self.key(choice)
        known = (layer, key, converts)
        if known not in self._losses:
            self._losses[known] = loss(self.errors(layer, (key, converts)))
        return self._losses[known]

    def by_kind(self) -> "ErrorModel":
        """Return the errors as noise of each format's kind, as much as a layer is given to.

        Where all of a layer's errors are hardly more than the rounding of its output, what was
        measured of single formats tells little, and several of them can lose far more together.
        """
        typical = typical_errors({key for keys in self.found.values() for key in keys})
        found: dict[str, dict[FormatKey, Errors]] = {}
        for layer, keys in self.found.items():
            # Of this much noise in its output, so much is seen in the network's.
            gain = float(np.median([loss(errors) / typical[key] for key, errors in keys.items()]))
            found[layer] = {}
            for key in keys:
                errors = self.nothing.copy()
                errors[:, -1] = 2.0 * gain * typical[key]
                found[layer][key] = errors
        return ErrorModel(found)


def measured_errors(run: Run) -> ErrorModel:
    """Return what formats cost the outputs: each layer's is measured once, and kept.

    Raises:
        TimeUpError: if the budget ends first.
    """
    network = run.network
    formats = LayerFormats(network, run.settings.formats)
    precisions = dict.fromkeys(PRECISIONS)
    for layer in network:
        precisions.update(dict.fromkeys(allowed_precisions(layer, formats)))
    subject = _subject(network, tuple(precisions))
    found = {
        name: _read(run, name, blob)
        for name, blob in find_sensitivities(run.store, subject).items()
    }
    total, done = len(network.layers), 0

    def tell(layer: Layer) -> None:
        nonlocal done
        run.budget.check()
        run.enter(Phase.SENSITIVITY, done, total, layer.name)
        done += 1

    for name, errors in sensitivities(network, tuple(precisions), ACTIVATION_TYPES, found, tell):
        save_sensitivity(run.store, subject, name, to_bytes(errors))
        found[name] = errors
    return ErrorModel(found)


def _read(run: Run, layer: str, blob: bytes) -> dict[FormatKey, Errors]:
    try:
        return from_bytes(blob)
    except ValueError as error:
        where = f"{run.store.describe()}, errors of formats of layer {layer}"
        raise damaged(where, str(error)) from None


def _subject(network: Network, precisions: Sequence[Precision]) -> str:
    """Identify what sensitivities depend on: the network, its numbers, and how they are found."""
    hashed = hashlib.blake2b(digest_size=16)
    tensors = [*network.samples]
    for weights in network.weights.values():
        tensors += [item for item in (weights.weight, weights.bias) if item is not None]
    for tensor in tensors:
        hashed.update(tensor.detach().contiguous().numpy().tobytes())
    return digest(
        [network.signature, hashed.hexdigest(), list(map(str, precisions)), EMULATION_REVISION]
    )


@dataclass(frozen=True)
class FormatChoice:
    """A joint choice within a budget of error, and what its errors come to when added up.

    ``added`` is the sum of what each layer's add to the loss beside the errors that ``prices`` are
    of: pairs of a price, in microseconds, and what no choice costs less than at that price.
    """

    selection: Selection
    schedule: Schedule
    loss: float
    added: float
    prices: list[tuple[float, float]]

    def bound_us(self, share: float) -> float:
        """Return what no choice takes less than whose errors add up to so much of this one's."""
        return max(bound_us - price * share * self.added for price, bound_us in self.prices)


class FormatSolver:
    """Finds the fastest joint choice whose errors, added up, stay within a budget."""

    def __init__(
        self, run: Run, joint: JointProblem, errors: ErrorModel, proposals: Proposals
    ) -> None:
        self._run, self._joint, self._errors, self._proposals = run, joint, errors, proposals
        self._price = 0.0
        self._total = errors.nothing
        self._chosen: dict[str, Errors] = {}
        self._prices: list[tuple[float, float]] = []

    def solve(self, budget: float) -> FormatChoice | None:
        """Return the fastest choice found whose loss is within the budget.

        The most exact one found where none is; None where nothing is left to choose.

        Raises:
            SearchError: if time ends, or what was learned leaves no schedule.
        """
        best = None
        for _ in range(_LINEARISATIONS):
            found = self._solve(budget)
            if best is None or (found is not None and found.loss < best.loss):
                best = found
            # Beside the errors of this choice, others may be the least.
            if best is None or best.loss <= budget or found is not best:
                break
            self._chosen = self._of(best.selection)
            self._total = _sum(self._chosen.values(), self._errors.nothing)
            self._prices = []
        return best

    def _solve(self, budget: float) -> FormatChoice | None:
        low, high = 0.0, math.inf
        within: FormatChoice | None = None
        most_exact: FormatChoice | None = None
        price = self._price
        for _ in range(_SOLUTIONS):
            self._run.budget.check()
            found = self._at(price)
            if found is None:
                break
            if most_exact is None or found.loss < most_exact.loss:
                most_exact = found
            if found.loss <= budget:
                within, high = found, price
                if found.loss >= _NEAR * budget or not price:
                    break
            else:
                low = price
            if low and high / low < _CLOSE:
                break
            price = self._next(low, high, budget)
        # The next budget is near this one.
        self._price = low if high == math.inf else high
        return within or most_exact

    def _next(self, low: float, high: float, budget: float) -> float:
        if high == math.inf:
            return low * _STEP if low else self._typical_us / budget / _STEP**2
        return math.sqrt(low * high) if low else high / _STEP

    @cached_property
    def _typical_us(self) -> float:
        return sum(table[0].time_us for table in self._joint.tables.values())

    def _at(self, price: float) -> FormatChoice | None:
        names = [layer.name for layer in self._joint.network]
        marginal = {name: np.array(self._marginal(name)) for name in names}
        penalties = [price * losses for losses in marginal.values()]
        found = self._proposals.penalised(penalties, self._run.provenance, self._run.budget)
        if found is None:
            return None
        selection, schedule, bound_us = found
        chosen = self._of(selection)
        self._prices.append((price, bound_us))
        return FormatChoice(
            selection,
            schedule,
            loss(_sum(chosen.values(), self._errors.nothing)),
            sum(float(marginal[name][selection.candidates.get(name, 0)]) for name in names),
            self._prices,
        )

    def _of(self, selection: Selection) -> dict[str, Errors]:
        return {
            name: self._errors.errors(
                name, self._errors.key(table[selection.candidates.get(name, 0)])
            )
            for name, table in self._joint.tables.items()
        }

    def most_to_blame(self, selection: Selection) -> list[str]:
        """Return the layers whose formats alone cost most, the worst first."""
        lost = {name: loss(errors) for name, errors in self._of(selection).items()}
        return sorted(lost, key=lambda name: -lost[name])[:_BLAMED]

    def _marginal(self, layer: str) -> list[float]:
        """Return what each candidate of a layer adds to the loss of what the others have.

        Nothing is had for canceling: all layers change at once.
        """
        others = self._total - self._chosen.get(layer, self._errors.nothing)
        before = loss(others)
        by_key: dict[tuple[FormatKey, bool], float] = {}
        found = []
        for choice in self._joint.tables[layer]:
            key = self._errors.key(choice)
            if key not in by_key:
                errors = self._errors.errors(layer, key)
                by_key[key] = max(loss(others + errors) - before, 0.0)
            found.append(by_key[key])
        return found


def _sum(items: Iterable[Errors], nothing: Errors) -> Errors:
    total = nothing.copy()
    for item in items:
        total += item
    return total


def run_exact_enough(
    run: Run, joint: JointProblem, errors: ErrorModel, proposals: Proposals, limit: int
) -> None:
    """Run the fastest schedules that meet the floors, as predicted; no more than ``limit``.

    Raises:
        FloorError: if none of these meets them; it names the most exact and the layers to blame.
        SearchError: if no schedule fits.
        TimeUpError: if the budget ends.
    """
    assert run.accuracy is not None  # noqa: S101 - formats are searched with a floor
    allowed = run.accuracy.allowed
    budget, rounds = allowed, min(limit, _ROUNDS)
    most_exact: tuple[FormatChoice, float, ExecutionRecord] | None = None
    fastest_us, fastest = math.inf, None
    seen: set[str] = set()
    losses: list[tuple[float, float]] = []
    solver = FormatSolver(run, joint, errors, proposals)
    for done in range(rounds):
        run.enter(Phase.SEARCHING, done, rounds)
        found = solver.solve(budget)
        if found is None or found.schedule.fingerprint() in seen:
            break
        seen.add(found.schedule.fingerprint())
        trial = _judged(run, joint, found, proposals)
        emulated = run.emulation_of(trial)
        if emulated is None:
            continue  # the device rejects it, which the next solution knows
        # As if all the floors were one of the PCC.
        actual = run.accuracy.share(emulated) * allowed
        if most_exact is None or actual < most_exact[1]:
            most_exact = found, actual, emulated
        latency_us = trial.latency_us or math.inf
        if trial.rejection is None and actual <= allowed and latency_us < fastest_us:
            fastest_us, fastest = latency_us, (found, actual)
        is_near = _NEAR * allowed <= actual <= allowed
        if is_near or (actual > allowed and found.loss > budget):  # there is nothing more exact
            break
        losses.append((found.loss, max(actual, _EXACT)))
        corrected = _between(losses, allowed, _corrected(losses, _CORRECTED * allowed))
        if corrected is None:
            break
        budget = corrected
    if fastest is not None:
        choice, actual = fastest
        run.floor_bound_us = choice.bound_us(allowed / max(actual, _EXACT))
    if limit > 0 and (most_exact is None or most_exact[1] > allowed):
        lost = math.inf if most_exact is None else most_exact[1]
        raise FloorError(_unreachable(run, run.accuracy, solver, most_exact), lost)


def run_front(
    run: Run, joint: JointProblem, errors: ErrorModel, proposals: Proposals, limit: int
) -> None:
    """Run schedules from the fastest that the floor allows to the most exact one.

    Up to ``limit`` of them, those that ran before among them: first both ends, then between the two
    neighbours whose errors are furthest apart.

    Raises:
        FloorError: if no schedule meets the floor.
        SearchError: if no schedule fits.
        TimeUpError: if the budget ends.
    """
    assert run.accuracy is not None  # noqa: S101 - a front has a floor
    try:
        run_exact_enough(run, joint, errors, proposals, limit)
    except FloorError:
        if run.best is None:
            raise
    solver = FormatSolver(run, joint, errors, proposals)
    tried: dict[str, float] = {}

    def add(budget: float) -> float | None:
        """Return the predicted loss of the schedule of a budget, None if it is one of before."""
        found = solver.solve(budget)
        if found is None or found.schedule.fingerprint() in tried:
            return None
        tried[found.schedule.fingerprint()] = found.loss
        _judged(run, joint, found, proposals)
        return found.loss

    ends = [add(run.accuracy.allowed * share) for share in (1.0, _MOST_EXACT)]
    gaps = [sorted(loss_ for loss_ in ends if loss_)] if None not in ends else []
    while gaps and len(tried) < limit:
        run.enter(Phase.SEARCHING, len(tried), limit)
        low, high = gaps.pop(gaps.index(max(gaps, key=lambda gap: gap[1] / gap[0])))
        middle = add(math.sqrt(low * high))
        if middle is not None and low < middle < high:
            gaps += [[low, middle], [middle, high]]


def _between(losses: Sequence[tuple[float, float]], allowed: float, budget: float) -> float | None:
    """Return a budget between the predicted loss that was exact enough and the one that was not.

    ``losses`` are pairs of what was predicted and what came of it. Errors cancel out in one choice
    and not in the next: of two that are near each other, the one that is predicted to lose less may
    lose more, and a line through them leads astray. None where there is no room between them.
    """
    too_much = min((predicted for predicted, actual in losses if actual > allowed), default=None)
    if too_much is None:
        return budget
    enough = max(
        (predicted for predicted, actual in losses if actual <= allowed and predicted < too_much),
        default=None,
    )
    if enough is None:
        return budget
    if too_much < _CLOSE * enough:
        return None
    return budget if enough < budget < too_much else math.sqrt(enough * too_much)


def _corrected(losses: Sequence[tuple[float, float]], wanted: float) -> float:
    """Return which predicted loss may come to what is wanted, from (predicted, actual) before."""
    predicted, actual = losses[-1]
    slope = 1.0
    if len(losses) > 1 and min(predicted, losses[-2][0]) > 0 and predicted != losses[-2][0]:
        before = losses[-2]
        slope = math.log(actual / before[1]) / math.log(predicted / before[0])
    return float(predicted * (wanted / actual) ** (1.0 / min(max(slope, _FLATTEST), 1.0)))


def _judged(
    run: Run, joint: JointProblem, found: FormatChoice, proposals: Proposals
) -> TrialRecord:
    """Return the trial of a choice, run where none is stored that today's emulation judged."""
    known = proposals.known(found.schedule)
    if known is not None and not run.is_to_judge(known):
        return known
    return _run(run, joint, found, proposals)


def _run(run: Run, joint: JointProblem, found: FormatChoice, proposals: Proposals) -> TrialRecord:
    record = run_repaired(
        run.device, run.book, joint, found.schedule, proposals.sampler, run.budget
    )
    stored = run.finish(record)
    # What it takes does not depend on how exact it is.
    proposals.tell(found.selection, found.schedule, replace(stored, rejection=record.rejection))
    return stored


def _unreachable(
    run: Run,
    accuracy: AccuracyFloor,
    solver: FormatSolver,
    most_exact: tuple[FormatChoice, float, ExecutionRecord] | None,
) -> str:
    if most_exact is None:
        return f"no schedule runs that may have {accuracy.floors}"
    found, *_ = most_exact
    # One of an earlier search of the study may be more exact than today's.
    trials = list_trials(run.store, run.record, with_schedules=False)
    stored = (run.emulation_of(trial) for trial in trials)
    emulated = min((record for record in stored if record is not None), key=accuracy.share)
    blamed = ", ".join(solver.most_to_blame(found.selection))
    left_out = run.book.counts.left_out.get(NEVER_EXECUTED, 0)
    unexecuted = (
        f". Candidates left out, as nothing of their kind was ever executed: {left_out}; "
        "--effort full offers them, and autosched simulate --all-formats executes them"
        if left_out and not run.settings.effort.unexecuted
        else ""
    )
    metric = "" if emulated.metric is None else f" and a metric of {emulated.metric:.4g}"
    return (
        f"no schedule that runs has {accuracy.floors}; the most exact found has a PCC of "
        f"{emulated.pcc:.5f}{metric}, emulated. Most of the error is of {blamed}. Ask for less, "
        "or leave these layers more room: pins that hold their formats are in the way, and so is "
        f"--effort quick{unexecuted}"
    )
