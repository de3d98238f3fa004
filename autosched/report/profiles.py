"""A trial's ops as a profiler report."""

from pathlib import Path

from autosched.boards import find_board
from autosched.cost.perf_csv import write_perf_csv
from autosched.errors import ProfileError
from autosched.schedule import TimeKind
from autosched.store.studies import StudyRecord
from autosched.store.trials import TrialRecord


def write_ops(trial: TrialRecord, study: StudyRecord, path: str) -> Path:
    """Write an estimated trial's ops as an ``ops_perf_results`` CSV, each marked as estimated.

    Raises:
        ProfileError: if the trial was measured, or the file cannot be written.
    """
    if trial.latency_kind is not TimeKind.ESTIMATED:
        raise ProfileError(
            f"{path}: trial {trial.number} was measured; tt-metal's profiler writes its report"
        )
    arch = find_board(study.board).arch
    return write_perf_csv(trial.ops, path, arch, trial.cost_model)
