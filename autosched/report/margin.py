"""How sure it is that the best schedule is the best, by the cost model's own errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from autosched.cost.model import CostModel
from autosched.cost.uncertainty import is_within_error
from autosched.report import words
from autosched.report.output import say
from autosched.schedule.outcomes import TimeKind
from autosched.store.trials import DEFAULT_SAMPLER, TrialRecord, default_trial

_NAMED = 2


@dataclass(frozen=True)
class RunnerUp:
    """The fastest other schedule that ran; ``layers`` are those that it configures otherwise.

    ``probability`` is that of the best one being faster. It ``is_faster`` by its estimate where the
    best one was chosen for its lower risk (``--risk``).
    """

    trial: int
    latency_us: float
    probability: float
    layers: tuple[str, ...]
    is_faster: bool = False

    @property
    def is_within_error(self) -> bool:
        """Whether the two differ by less than the standard error of their difference."""
        return is_within_error(self.probability)


@dataclass(frozen=True)
class Margin:
    """By what an estimated best schedule leads; None where there is nothing beside it."""

    faster_than_default: float | None
    runner_up: RunnerUp | None

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types."""
        other = self.runner_up
        return {
            "probability_faster_than_default": self.faster_than_default,
            "runner_up": None
            if other is None
            else {
                "trial": other.trial,
                "latency_us": other.latency_us,
                "probability_slower": other.probability,
                "within_error": other.is_within_error,
                "layers": list(other.layers),
            },
        }


def margin_of(
    best: TrialRecord | None,
    trials: Sequence[TrialRecord],
    cost: CostModel,
    recall: Callable[[int], TrialRecord],
) -> Margin | None:
    """Return the margin of an estimated best trial; None for a measured one, or none at all.

    ``recall`` returns a trial with its schedule and device ops.
    """
    if best is None or best.latency_kind is not TimeKind.ESTIMATED:
        return None
    default = default_trial(trials)
    probability = None
    if default is not None and _compares(default, best):
        probability = cost.probability_faster(best.ops, _whole(default, recall).ops)
    others = [
        (trial.latency_us, trial)
        for trial in trials
        if trial.sampler != DEFAULT_SAMPLER
        and trial.latency_us is not None
        and _compares(trial, best)
    ]
    nearest = min(others, key=lambda item: item[0], default=None)
    if nearest is None:
        return Margin(probability, None)
    latency_us, trial = nearest
    other = _whole(trial, recall)
    return Margin(
        probability,
        RunnerUp(
            trial=trial.number or 0,
            latency_us=latency_us,
            probability=cost.probability_faster(best.ops, other.ops),
            layers=_differing(best, other),
            is_faster=best.latency_us is not None and latency_us < best.latency_us,
        ),
    )


def _compares(trial: TrialRecord, best: TrialRecord) -> bool:
    is_estimated = trial.latency_kind is TimeKind.ESTIMATED and trial.rejection is None
    is_other = trial.number not in (None, best.number) and trial.fingerprint != best.fingerprint
    return is_estimated and is_other


def _whole(trial: TrialRecord, recall: Callable[[int], TrialRecord]) -> TrialRecord:
    return trial if trial.ops or trial.number is None else recall(trial.number)


def _differing(best: TrialRecord, other: TrialRecord) -> tuple[str, ...]:
    if best.schedule is None or other.schedule is None:
        return ()
    theirs = other.schedule.layers
    return tuple(
        name for name, config in best.schedule.layers.items() if theirs.get(name) != config
    )


def print_margin(console: Console, margin: Margin) -> None:
    """Print how sure the lead over ttnn's default, and over the runner-up, is."""
    if margin.faster_than_default is not None:
        chance = words.probability(margin.faster_than_default)
        say(console, f"Faster than ttnn's default with probability {chance}, by the model's errors")
    other = margin.runner_up
    if other is not None:
        named = ", ".join(other.layers[:_NAMED])
        rest = len(other.layers) - _NAMED
        differing = f"{named} and {rest} more" if rest > 0 else named
        where = f"{differing} otherwise" if differing else "tensors moved otherwise"
        is_close = other.is_within_error
        by = "by less than the model's error" if is_close else "by more than the model's error"
        trial = (
            f"trial {other.trial} ({where}), {words.microseconds(other.latency_us)} {words.MICRO}"
        )
        chance = words.probability(other.probability)
        if other.is_faster:
            say(
                console,
                f"Fastest by its estimate: {trial}, {by}; the best one was chosen as it risks less "
                f"(--risk), and is the faster with probability {chance}",
            )
            return
        say(
            console,
            f"Runner-up: {trial}, which differs {by}; it is slower with probability {chance}",
        )
