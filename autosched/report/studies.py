"""Studies and trials as JSON types."""

from collections.abc import Sequence
from typing import Any

from autosched.report.layers import layer_rows, reshard_rows
from autosched.search.finished import default_trial
from autosched.store.studies import StudyRecord, StudySummary
from autosched.store.trials import TrialRecord


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
    study: StudyRecord, trials: Sequence[TrialRecord], best: TrialRecord | None, *, layers: bool
) -> dict[str, Any]:
    """Return what ``autosched show`` prints: ``trials`` is the number of finished ones."""
    default = default_trial(trials)
    plain = {
        **record_plain(study),
        "trials": len(trials),
        "complete": sum(trial.rejection is None for trial in trials),
        "best": None if best is None else trial_plain(best),
        "default_latency_us": None if default is None else default.latency_us,
    }
    if layers and best is not None and best.schedule is not None:
        plain["layers"] = [row.to_plain() for row in layer_rows(best.schedule, best.ops)]
        plain["reshards"] = [row.to_plain() for row in reshard_rows(best.schedule, best.ops)]
    return plain
