"""A search as it goes: permanent lines, and on a terminal a live status below them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from autosched.probing.lower_bound import Proof, relative_gap
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.report import words
from autosched.report.output import note, say, styled
from autosched.store.trials import CAUTIOUS_SAMPLER, DEFAULT_SAMPLER, GIVEN_SAMPLER, TrialRecord

if TYPE_CHECKING:
    from autosched.schedule.outcomes import RejectionKind


_PROBING = (Phase.LAYERS, Phase.RESHARDS)
_TOLD = (*_PROBING, Phase.SENSITIVITY, Phase.FORMATS)
_PLAIN_EVERY_S = 10.0
_BAR_WIDTH = 24
_WIDTH_FOR_BAR = 72


_PROPOSED = {DEFAULT_SAMPLER: "ttnn's default", GIVEN_SAMPLER: "the schedule given"}


def trial_line(trial: TrialRecord) -> str:
    """Return "Trial 3, joint: 857.4 µs (estimated)", or why it was rejected."""
    if trial.rejection is None:
        outcome = words.latency(trial.latency_us, trial.latency_kind)
    else:
        outcome = f"rejected, {words.rejection(trial.rejection)}"
    return f"Trial {trial.number}, {_PROPOSED.get(trial.sampler, trial.sampler)}: {outcome}"


class SearchScreen:
    """Shows the phases of a search; an observer of ``Study.optimize``.

    ``deadline`` is the monotonic time at which it ends, if any.
    """

    def __init__(self, console: Console, deadline: float | None = None) -> None:
        self.proof: Proof | None = None
        self.default: TrialRecord | None = None
        self._console = console
        self._deadline = deadline
        self._phase = ""
        self._began = self._spoke = time.monotonic()
        self._done, self._total, self._detail = 0, 0, ""
        self._counts = ProbeCounts()
        self._best: TrialRecord | None = None
        self._rejected: dict[RejectionKind, int] = {}
        self._stale = 0
        self._told_versions = False
        self._spinner = Spinner("dots" if console.encoding.startswith("utf") else "line")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the live status on the screen while the body runs, if it is a terminal."""
        live = Live(
            get_renderable=self._status,
            console=self._console,
            transient=True,
            refresh_per_second=8,
        )
        with live if self._console.is_interactive else nullcontext():
            yield

    def begin(self, phase: str, detail: str = "") -> None:
        """Enter a phase that nobody reports progress of."""
        self._enter(phase)
        self._detail = detail

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        """Show what the search is doing, and how much of that is done."""
        if phase.value != self._phase:
            self._enter(phase.value)
        self._done, self._total, self._detail, self._counts = done, total, detail, counts
        if counts.stale > self._stale:
            self._tell_stale(counts.stale)
        if counts.other_versions and not self._told_versions:
            self._tell_other_versions(counts)
        if phase not in _TOLD or self._console.is_interactive:
            return
        if time.monotonic() - self._spoke > _PLAIN_EVERY_S:
            probes = f"; {self._probes()}" if phase in _PROBING else ""
            self._say(f"{self._phase}: {done} of {total}, {detail}{probes}")

    def on_bound(self, proof: Proof) -> None:
        """Say how the probing ended, and what no schedule can beat."""
        self.proof = proof
        self._say(f"Probed: {self._probes()}")
        if self._counts.left_out:
            self._say(f"  {words.left_out(self._counts.left_out)}")
        note = "" if proof.optimal else ", not tight"
        self._say(
            f"Lower bound: no schedule of the probed choices takes less than {_bound(proof)}{note}"
        )
        if proof.any_order_us < proof.bound_us * (1 - words.WORTH_SAYING):
            self._say(
                f"  (in this order of the layers; in any order "
                f"{words.microseconds(proof.any_order_us)} {words.MICRO})"
            )

    def on_warning(self, text: str) -> None:
        """Say what went wrong beside the search."""
        say(self._console, f"Warning: {text}", "yellow")

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """Say what a trial gave: each one in a log, those that matter on a terminal."""
        improved = trial.rejection is None and best is not None and best.number == trial.number
        self._best = best
        if trial.sampler == DEFAULT_SAMPLER:
            self.default = trial
        if trial.sampler in {DEFAULT_SAMPLER, GIVEN_SAMPLER}:
            self._say(trial_line(trial))
            return
        if trial.rejection is not None:
            kind = trial.rejection.kind
            self._rejected[kind] = self._rejected.get(kind, 0) + 1
        if improved or not self._console.is_interactive:
            is_cautious = trial.sampler == CAUTIOUS_SAMPLER
            why = "chosen: it risks less" if is_cautious else "the best so far"
            note = f", {why}" if improved else ""
            self._say(f"{trial_line(trial)}{note}")

    def _tell_other_versions(self, counts: ProbeCounts) -> None:
        """Say once that what other versions of ttnn, or of firmware, answered is asked again."""
        self._told_versions = True
        found = ", ".join(
            f"{words.count(number, 'stored probe')} of ttnn {version}"
            for version, number in sorted(counts.other_versions.items())
        )
        self._say(
            f"Stale: {found}; what is needed is probed again, and autosched drift compares the two"
        )

    def _tell_stale(self, stale: int) -> None:
        """Say once why what is stored takes its time again."""
        self._stale = stale
        self._say(
            f"Stale: {words.count(stale, 'stored probe')} of another revision of the lowering, "
            "or of a machine that failed; what is needed of them is probed again"
        )

    def _enter(self, phase: str) -> None:
        if self._phase:
            took = words.seconds(time.monotonic() - self._began)
            probes = f"; {self._probes()}" if self._counts.run or self._counts.reused else ""
            note(self._console, f"{self._phase}: {took}{probes}")
        self._phase, self._began = phase, time.monotonic()
        self._done, self._total, self._detail = 0, 0, ""

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        say(self._console, line)

    def _probes(self) -> str:
        counts = self._counts
        text = f"{words.count(counts.run, 'probe')} run, {counts.reused:,} reused"
        rejected = sum(counts.rejected.values())
        return f"{text}, {rejected:,} rejected" + _in_brackets(words.rejections(counts.rejected))

    def _status(self) -> Group:
        row = Table.grid(padding=(0, 1))
        for _ in range(5):
            row.add_column(no_wrap=True, overflow="ellipsis")
        place = f"{self._done} of {self._total}" if self._total else ""
        has_bar = self._total and self._console.width >= _WIDTH_FOR_BAR
        bar = ProgressBar(self._total, self._done, width=_BAR_WIDTH) if has_bar else ""
        row.add_row(self._spinner, self._phase, bar, place, self._left())
        lines = [
            styled(f"  {line}", "dim", no_wrap=True, overflow="ellipsis") for line in self._facts()
        ]
        return Group(row, *lines)

    def _facts(self) -> Iterator[str]:
        if self._detail:
            yield self._detail
        if self._phase in {phase.value for phase in _PROBING}:
            yield self._probes()
        if self._best is None:
            return
        best = self._best
        yield f"best {words.latency(best.latency_us, best.latency_kind)}, trial {best.number}"
        if self.default is not None and self.default.number != best.number:
            yield words.gain(self.default.latency_us, best.latency_us, best.latency_kind)
        if self.proof is not None:
            gap = relative_gap(best.latency_us, self.proof.bound_us)
            told = "" if gap is None else f", gap {gap:.1%}"
            yield f"lower bound {_bound(self.proof)}{told}"
        if self._rejected:
            yield f"rejected: {words.rejections(self._rejected)}"

    def _left(self) -> str:
        """Return an estimate of what is left of the phase, never beyond the deadline."""
        now = time.monotonic()
        limit = None if self._deadline is None else max(0.0, self._deadline - now)
        if self._total and self._done >= self._total:
            return ""
        if self._done and self._total:
            left = (now - self._began) / self._done * (self._total - self._done)
            return f"{words.about(left if limit is None else min(left, limit))} left"
        if limit is not None:
            return f"at most {words.seconds(limit)} left"
        return words.seconds(now - self._began)


def _bound(proof: Proof) -> str:
    return words.bound(proof.bound_us, proof.kind, proof.estimated_share)


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
