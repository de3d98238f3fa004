"""The search loop, and who watches it."""

from typing import TYPE_CHECKING, Protocol

from autosched.probing.probe_book import ProbeCounts
from autosched.store.trials import TrialRecord

if TYPE_CHECKING:
    from autosched.probing.lower_bound import Proof


class Observer(Protocol):
    """Receives the progress of a search; every method may do nothing."""

    def on_probing(self, layer: str, done: int, total: int, counts: ProbeCounts) -> None:
        """Layer number ``done`` of ``total`` is being probed."""

    def on_bound(self, proof: "Proof") -> None:
        """The solver proved how fast a schedule of the probed choices can be at best."""

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
