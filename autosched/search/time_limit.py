"""A search that ends when its time is up, also while it probes."""

import time

from autosched.probing.lower_bound import Proof
from autosched.probing.probe_book import ProbeCounts
from autosched.search.loop import Observer
from autosched.store.trials import TrialRecord


class TimeUpError(Exception):
    """The time of a search is up; it never leaves the search."""


class TimeLimited:
    """An observer that passes everything on, and ends the probing after ``deadline``.

    ``deadline`` is a monotonic time in seconds. The search itself looks at the clock between
    trials.
    """

    def __init__(self, observer: Observer, deadline: float) -> None:
        self._observer = observer
        self._deadline = deadline

    def on_probing(self, layer: str, done: int, total: int, counts: ProbeCounts) -> None:
        """Pass on which layer is probed.

        Raises:
            TimeUpError: if the deadline has passed.
        """
        if time.monotonic() > self._deadline:
            raise TimeUpError
        self._observer.on_probing(layer, done, total, counts)

    def on_bound(self, proof: Proof) -> None:
        """Pass on the proven bound."""
        self._observer.on_bound(proof)

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """Pass on a stored trial."""
        self._observer.on_trial(trial, best)
