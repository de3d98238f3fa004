"""What formats cost the outputs: errors of each layer's, measured one by one, that add up.

And which layers' formats are to blame where no schedule is as exact as asked.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
from autosched.search.run import Run
from autosched.space.formats import ACTIVATION_TYPES, PRECISIONS
from autosched.space.layer_formats import LayerFormats
from autosched.store.database_errors import damaged
from autosched.store.executions import (
    EMULATION_REVISION,
    ExecutionRecord,
    find_sensitivities,
    save_sensitivity,
)
from autosched.store.trials import get_trial, list_trials

_BLAMED = 3
# Trials in one format that lose so much more than is allowed tell of all their layouts.
_TELLING = 3
_FAR = 1.2


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


def chosen_errors(
    errors: ErrorModel, joint: JointProblem, selection: Selection
) -> dict[str, Errors]:
    """Return the errors of each layer's candidate in a joint choice, by name."""
    return {
        name: errors.errors(name, errors.key(table[selection.candidates.get(name, 0)]))
        for name, table in joint.tables.items()
    }


def check_held_formats(run: Run, joint: JointProblem, *, at_end: bool = False) -> None:
    """Check whether the formats that a study holds may meet its floor.

    Layouts change the order of sums alone: a few trials that miss a PCC by far tell of them all.

    Raises:
        FloorError: if they cannot, or none has ``at_end``; it names the most exact trial and the
            layers to blame.
        TimeUpError: if the budget ends before it is known which these are.
    """
    accuracy, min_pcc = run.accuracy, run.settings.min_pcc
    if accuracy is None or run.best is not None:
        return
    emulated = {trial.number: run.emulation_of(trial) for trial in run.trials}
    judged = {number: found for number, found in emulated.items() if found is not None}
    if not judged:
        return
    least = min((1.0 - (found.pcc or 0.0)) for found in judged.values())
    is_far = min_pcc is not None and least > _FAR * (1.0 - min_pcc)
    if not at_end and not (is_far and len(judged) >= _TELLING):
        return
    ranked = sorted(judged, key=lambda number: accuracy.share(judged[number]))
    of_tables = (joint.find(schedule) for schedule in _schedules(run, ranked))
    selection = next((found for found in of_tables if found is not None), None)
    blamed = "" if selection is None else _blamed(joint, measured_errors(run), selection)
    raise FloorError(
        f"no schedule in the formats that the study holds has {accuracy.floors}; of "
        f"{len(judged)}, the most exact has {_figures(judged[ranked[0]])}.{blamed} Ask for less, "
        "or let --formats search choose them, in a study of another name (--study)",
        accuracy.share(judged[ranked[0]]) * accuracy.allowed,
    )


def _schedules(run: Run, numbers: Iterable[int | None]) -> Iterator[Schedule]:
    for number in numbers:
        schedule = None if number is None else get_trial(run.store, run.record, number).schedule
        if schedule is not None:
            yield schedule


def _blamed(joint: JointProblem, errors: ErrorModel, selection: Selection) -> str:
    """Say which layers' formats alone cost most, the worst first."""
    lost = {name: loss(own) for name, own in chosen_errors(errors, joint, selection).items()}
    worst = sorted(lost, key=lambda name: -lost[name])[:_BLAMED]
    return f" Most of the error is of {', '.join(worst)}."


def _figures(emulated: ExecutionRecord) -> str:
    metric = "" if emulated.metric is None else f" and a metric of {emulated.metric:.4g}"
    return f"a PCC of {emulated.pcc:.5f}{metric}, emulated"


def missed_floor(
    run: Run, joint: JointProblem, errors: ErrorModel, selection: Selection | None
) -> str:
    """Return the message for a search whose most exact joint choice, if any ran, misses a floor."""
    accuracy = run.accuracy
    assert accuracy is not None  # noqa: S101 - there is a floor
    if selection is None:
        return f"no schedule runs that may have {accuracy.floors}"
    # One of an earlier search of the study may be more exact than today's.
    trials = list_trials(run.store, run.record, with_schedules=False)
    stored = (run.emulation_of(trial) for trial in trials)
    emulated = min((record for record in stored if record is not None), key=accuracy.share)
    left_out = run.book.counts.left_out.get(NEVER_EXECUTED, 0)
    unexecuted = (
        f". Candidates left out, as nothing of their kind was ever executed: {left_out}; "
        "--effort full offers them, and autosched simulate --all-formats executes them"
        if left_out and not run.settings.effort.unexecuted
        else ""
    )
    return (
        f"no schedule that runs has {accuracy.floors}; the most exact found has "
        f"{_figures(emulated)}.{_blamed(joint, errors, selection)} Ask for less, or leave "
        "these layers more room: pins that hold their formats are in the way, and so is --effort "
        f"quick{unexecuted}"
    )
