"""What a search tells whoever watches it."""

from dataclasses import dataclass, field
from typing import Protocol

from autosched.schedule import RejectionKind
from autosched.store.trials import TrialRecord


@dataclass
class ProbeCounts:
    """How many probes were run on the device, how many were known, and what was rejected."""

    run: int = 0
    reused: int = 0
    rejected: dict[RejectionKind, int] = field(default_factory=dict)


class Observer(Protocol):
    """Receives the progress of a search; every method may do nothing."""

    def on_probing(self, layer: str, done: int, total: int, counts: ProbeCounts) -> None:
        """Layer number ``done`` of ``total`` is being probed."""

    def on_bound(self, bound_us: float, optimal: bool) -> None:
        """The solver proved that no schedule of the probed tables is faster than this."""

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """A trial has been stored."""


class SilentObserver:
    """Watches nothing."""

    def on_probing(self, layer: str, done: int, total: int, counts: ProbeCounts) -> None:
        """Do nothing."""

    def on_bound(self, bound_us: float, optimal: bool) -> None:
        """Do nothing."""

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """Do nothing."""
