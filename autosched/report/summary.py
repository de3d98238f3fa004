"""What a search came to: as JSON, and as the closing screen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from autosched.cost.model import CostModel
from autosched.probing.lower_bound import Proof, relative_gap
from autosched.probing.probe_book import ProbeCounts
from autosched.report import words
from autosched.report.layer_rows import layer_rows, reshard_rows
from autosched.report.margin import Margin, print_margin
from autosched.report.output import say
from autosched.report.tables import layer_table, reshard_table
from autosched.schedule.outcomes import LOSSES, RejectionKind, Soaked, TimeKind
from autosched.store.studies import StudyRecord, StudySummary
from autosched.store.trials import TrialRecord, default_trial

_NO_PROOF = dict.fromkeys(
    ("bound_us", "bound_any_order_us", "bound_kind", "bound_estimated_share"), None
)


@dataclass(frozen=True)
class SearchResult:
    """A study after a search.

    ``proof`` is None as long as not everything is probed. ``counts`` is of the probes that this
    search asked for; ``wall_s`` is the time of the whole command, ``outside_share`` the part of an
    estimate that lies far outside the calibration data, ``host_layers`` the rows of
    :func:`autosched.report.layer_rows.host_rows`, ``stopped`` why the search ended, "" where nobody
    asked. ``floor_bound_us`` is what no probed choice takes less than that loses no more than the
    floor allows, by errors that are added up. ``margin`` is how sure the lead of an estimated best
    trial is.
    """

    study: StudyRecord
    trials: Sequence[TrialRecord]
    best: TrialRecord | None
    proof: Proof | None = None
    floor_bound_us: float | None = None
    counts: ProbeCounts = field(default_factory=ProbeCounts)
    wall_s: float = 0.0
    outside_share: float | None = None
    schedule_path: Path | None = None
    host_layers: Sequence[Mapping[str, Any]] = ()
    stopped: str = ""
    soaked: Soaked | None = None
    margin: Margin | None = None

    @property
    def bound_us(self) -> float | None:
        """The proven lower bound."""
        return None if self.proof is None else self.proof.bound_us

    @property
    def default(self) -> TrialRecord | None:
        """The trial of ttnn's default schedule."""
        return default_trial(self.trials)

    @property
    def default_us(self) -> float | None:
        """The latency of ttnn's default schedule, None where the device rejects it."""
        return None if self.default is None else self.default.latency_us

    @property
    def rejected_trials(self) -> dict[RejectionKind, int]:
        """Rejected trials of the study by kind."""
        return _tally(trial.rejection.kind for trial in self.trials if trial.rejection is not None)

    def to_plain(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        best = self.best
        best_us = None if best is None else best.latency_us
        together = dict(self.counts.rejected)
        for kind, number in self.rejected_trials.items():
            together[kind] = together.get(kind, 0) + number
        return {
            "study": self.study.name,
            "network": self.study.network,
            "board": self.study.board,
            "device": self.study.device_kind,
            "batch": self.study.batch,
            "pack_images": self.study.settings.get("pack_images", 1),
            "trial": None if best is None else best.number,
            "latency_us": best_us,
            "latency_kind": best.latency_kind.value if best and best.latency_kind else None,
            "latency_std_us": None if best is None else best.latency_std_us,
            "verified": best.schedule.provenance.verified if best and best.schedule else None,
            "default_latency_us": self.default_us,
            "margin": None if self.margin is None else self.margin.to_plain(),
            "outside_calibration": self.outside_share,
            **(_NO_PROOF if self.proof is None else self.proof.to_plain()),
            "gap": relative_gap(best_us, self.bound_us),
            "floor_bound_us": self.floor_bound_us,
            "floor_gap": relative_gap(best_us, self.floor_bound_us),
            "trials": len(self.trials),
            "rejected": _by_name(together),
            "rejected_trials": _by_name(self.rejected_trials),
            "unclassified": dict(self.counts.unclassified),
            "stale_probes": self.counts.stale,
            "left_out": dict(self.counts.left_out),
            "stopped": self.stopped or None,
            "soaked": None if self.soaked is None else asdict(self.soaked),
            "wall_s": round(self.wall_s, 3),
            "schedule_path": None if self.schedule_path is None else str(self.schedule_path),
            "host_layers": list(self.host_layers),
        }


def print_result(console: Console, result: SearchResult) -> None:
    """Print the tables of the best trial, and what it gains."""
    best = result.best
    if best is not None and best.schedule is not None:
        print_layers(console, best)
    print_gain(console, result)


def print_layers(console: Console, trial: TrialRecord, cost: CostModel | None = None) -> None:
    """Print a trial's layers, and the edges that reshard; ``cost`` is what estimated it."""
    if trial.schedule is None or not trial.ops:
        say(console, "This trial ran no device op to show.")
        return
    how = (
        "estimated"
        if trial.latency_kind is TimeKind.ESTIMATED
        else "measured by the device's profiler, - where it is off"
    )
    say(console)
    say(console, f"Layers (op times {how})", "bold")
    console.print(layer_table(layer_rows(trial.schedule, trial.ops, trial.latency_kind, cost)))
    say(console)
    reshards = reshard_rows(trial.schedule, trial.ops, trial.latency_kind)
    if reshards:
        say(console, f"Edges that reshard (layouts with their cores; times {how})", "bold")
        console.print(reshard_table(reshards))
    else:
        say(console, "No edge reshards: every layer takes its input as it lies.")
    say(console)


def print_gain(console: Console, result: SearchResult) -> None:
    """Print the best latency beside ttnn's default and the proven bound."""
    best, default = result.best, result.default
    if best is None:
        number = len(result.trials)
        every = f"No trial was accepted, {number:,} rejected."
        say(console, every if number else "No trial has run on the device yet.", "yellow")
    else:
        latency = words.latency(best.latency_us, best.latency_kind, best.latency_std_us)
        say(console, f"Best: {latency}, trial {best.number}", "bold")
        if best.schedule is not None:
            say(console, f"Its kernels: {best.schedule.provenance.verified}")
        if result.outside_share:
            say(
                console,
                f"{words.share(result.outside_share)} of it is spent in ops far outside what the "
                "cost model was calibrated on",
                "yellow",
            )
    if default is not None and default.rejection is not None:
        is_wrong = default.rejection.kind is RejectionKind.ACCURACY
        what = "would go wrong on a card" if is_wrong else "does not run"
        what = "is not exact enough" if default.rejection.message.startswith("PCC") else what
        say(console, f"ttnn's default {what}: {words.rejection(default.rejection)}")
    elif default is not None:
        latency = words.latency(default.latency_us, default.latency_kind, default.latency_std_us)
        say(console, f"ttnn's default: {latency}")
    if best is not None:
        gain = words.gain(result.default_us, best.latency_us, best.latency_kind)
        say(console, f"Gain: {gain or 'unknown'}", "bold")
    if result.margin is not None:
        print_margin(console, result.margin)
    proof = result.proof
    gap = None if best is None else relative_gap(best.latency_us, result.bound_us)
    if proof is not None and gap is not None:
        bound = words.bound(proof.bound_us, proof.kind, proof.estimated_share)
        state = f"gap {gap:.1%}" if gap >= 0 else "the best is not made of these"
        say(console, f"Proven lower bound of the probed choices: {bound}; {state}")
    _print_floor_bound(console, result)
    trials = words.count(len(result.trials), "trial")
    rejected = words.rejections(result.rejected_trials)
    say(console, f"{trials} in the study{f', rejected: {rejected}' if rejected else ''}")
    print_doubtful(console, result.counts)
    _print_soaked(console, result.soaked)
    if result.stopped:
        # With formats of layers' own there is none: error limits what is chosen.
        is_done = result.bound_us is not None or result.study.settings.get("search_formats")
        early = "" if is_done else ", before the bound was proven"
        say(console, f"The search ended: {result.stopped}{early}")


def _print_floor_bound(console: Console, result: SearchResult) -> None:
    best, bound_us = result.best, result.floor_bound_us
    if best is None or bound_us is None or best.latency_kind is None:
        return
    gap = relative_gap(best.latency_us, bound_us) or 0.0
    state = f"gap {gap:.1%}" if gap >= 0 else "the best is not made of these"
    say(
        console,
        "Of the probed choices that lose no more than the floor allows, by errors that are added "
        f"up, none takes less than {words.latency(bound_us, best.latency_kind)}; {state}",
    )


def print_quarantined(console: Console, held: int, board: str) -> None:
    """Print how many configurations of a study's layers nobody asks any more, if there are any."""
    if held:
        say(
            console,
            f"In quarantine: {words.count(held, 'configuration')} of its layers, which hung or "
            f"crashed the device; see autosched quarantine list --board {board}",
            "yellow",
        )


def _print_soaked(console: Console, soaked: Soaked | None) -> None:
    if soaked is not None and soaked.replays:
        took = words.seconds(soaked.seconds)
        found = (
            f"the outputs of {soaked.compared:,} replays were those of the first, to the bit"
            if soaked.compared
            else "its outputs were not compared, as its inputs come into L1"
        )
        say(console, f"Replayed {soaked.replays:,} times in {took} (measured): {found}")


def print_doubtful(console: Console, counts: ProbeCounts) -> None:
    """Print which probes were rejected for no reason that is known to be the candidate's own."""
    lost = sum(counts.rejected.get(kind, 0) for kind in LOSSES)
    if lost:
        text = (
            f"{words.count(lost, 'probe')} hung or crashed the device; what did so twice is in "
            "quarantine, and not tried again on this board with this ttnn; see autosched quarantine"
        )
        say(console, text, "yellow")
    for said, number in counts.unclassified.items():
        text = (
            f"{words.count(number, 'probe')} ended in words of ttnn's that autosched does not "
            f"know; nothing was stored of that, it will be asked again: {said}"
        )
        say(console, text, "yellow")


def print_next(console: Console, commands: Sequence[str]) -> None:
    """Print what to type next."""
    say(console, "\nNext:")
    for command in commands:
        say(console, f"  {command}", "cyan")


def _tally(kinds: Any) -> dict[RejectionKind, int]:
    counts: dict[RejectionKind, int] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def _by_name(counts: Mapping[RejectionKind, int]) -> dict[str, int]:
    return {kind.value: number for kind, number in sorted(counts.items())}


def record_plain(study: StudyRecord) -> dict[str, Any]:
    """Return what a study was made with."""
    return {
        "study": study.name,
        "network": study.network,
        "network_signature": study.network_signature,
        "board": study.board,
        "device": study.device_kind,
        "batch": study.batch,
        "ttnn_version": study.ttnn_version,
        "firmware": study.firmware,
        "settings": dict(study.settings),
        "created_at": study.created_at.isoformat(),
    }


def study_plain(summary: StudySummary) -> dict[str, Any]:
    """Return an entry of ``autosched list``."""
    kind = summary.best_latency_kind
    return {
        **record_plain(summary.study),
        "trials": summary.trials,
        "complete": summary.complete,
        "latency_us": summary.best_latency_us,
        "latency_kind": None if kind is None else kind.value,
    }


def trial_plain(trial: TrialRecord) -> dict[str, Any]:
    """Return a trial without its schedule and ops."""
    rejected = trial.rejection
    return {
        "trial": trial.number,
        "sampler": trial.sampler,
        "state": trial.state,
        "latency_us": trial.latency_us,
        "latency_kind": None if trial.latency_kind is None else trial.latency_kind.value,
        "latency_std_us": trial.latency_std_us,
        "peak_l1_bytes": trial.peak_l1_bytes,
        "cost_model": trial.cost_model,
        "fingerprint": trial.fingerprint,
        "rejection": None
        if rejected is None
        else {"kind": rejected.kind.value, "layer": rejected.layer, "message": rejected.message},
        "started_at": trial.started_at.isoformat(),
        "duration_s": trial.duration_s,
    }


def shown_plain(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    best: TrialRecord | None,
    by_layer: TrialRecord | None,
    margin: Margin | None = None,
    cost: CostModel | None = None,
) -> dict[str, Any]:
    """Return what ``autosched show`` prints: ``trials`` is the number of finished ones.

    ``by_layer`` is the trial that is shown layer by layer, if one is, and ``cost`` the model that
    estimated it, if it is at hand.
    """
    default = default_trial(trials)
    plain = {
        **record_plain(study),
        "trials": len(trials),
        "complete": sum(trial.rejection is None for trial in trials),
        "best": None if best is None else trial_plain(best),
        "default_latency_us": None if default is None else default.latency_us,
        "margin": None if margin is None else margin.to_plain(),
    }
    if by_layer is not None and by_layer.schedule is not None:
        parts = (by_layer.schedule, by_layer.ops, by_layer.latency_kind)
        plain["shown"] = trial_plain(by_layer)
        plain["layers"] = [row.to_plain() for row in layer_rows(*parts, cost)]
        plain["reshards"] = [row.to_plain() for row in reshard_rows(*parts)]
    return plain
