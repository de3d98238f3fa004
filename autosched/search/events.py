"""What a search tells whoever watches it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from autosched.schedule import RejectionKind
from autosched.store.trials import TrialRecord

if TYPE_CHECKING:
    from autosched.search.proof import Proof  # which needs ProbeCounts


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

    def on_bound(self, proof: "Proof") -> None:
        """The solver proved how fast a schedule of the probed tables can be at best."""

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """A trial has been stored."""


class SilentObserver:
    """Watches nothing."""

    def on_probing(self, layer: str, done: int, total: int, counts: ProbeCounts) -> None:
        """Do nothing."""

    def on_bound(self, proof: "Proof") -> None:
        """Do nothing."""

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """Do nothing."""
