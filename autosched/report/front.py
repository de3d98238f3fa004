"""A front of time against accuracy: its schedules as a table, as JSON, and as a picture."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from autosched.errors import StudyError
from autosched.report import words
from autosched.report.tables import simple_table
from autosched.schedule.configurations import precision_of
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.schedule import Schedule
from autosched.store.database import LOCK_TIMEOUT_S, Store
from autosched.store.executions import find_emulations
from autosched.store.optuna_mirror import find_mirror, quiet_optuna
from autosched.store.optuna_tables import opened_optuna
from autosched.store.studies import StudyRecord
from autosched.store.trials import list_trials

PICTURES = (".html", ".png", ".svg")
_INCHES = (8, 5)


@dataclass(frozen=True)
class FrontPoint:
    """A schedule than which no other is both faster and more exact; PCC of its worst output.

    ``formats`` counts the layers of a format by fidelity, as in "bfloat8_b LoFi 40".
    """

    trial: int
    latency_us: float
    kind: TimeKind
    pcc: float
    concordance: float | None
    metric: float | None
    formats: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {**vars(self), "kind": self.kind.value, "formats": list(self.formats)}


def front_of(store: Store, study: StudyRecord) -> list[FrontPoint]:
    """Return the front of a study's judged trials, the fastest first.

    Raises:
        StoreError: if the database refuses.
    """
    emulated = find_emulations(store, study)
    points = []
    for trial in list_trials(store, study):
        found = emulated.get(trial.fingerprint)
        ran = trial.rejection is None and trial.latency_us is not None
        if found is None or found.pcc is None or not ran or trial.schedule is None:
            continue
        assert trial.latency_us is not None  # noqa: S101 - it ran
        assert trial.latency_kind is not None  # noqa: S101 - and so
        assert trial.number is not None  # noqa: S101 - it is stored
        points.append(
            FrontPoint(
                trial.number,
                trial.latency_us,
                trial.latency_kind,
                found.pcc,
                found.concordance,
                found.metric,
                _precisions(trial.schedule),
            )
        )
    return _best(points)


def _best(points: Iterable[FrontPoint]) -> list[FrontPoint]:
    front: list[FrontPoint] = []
    for point in sorted(points, key=lambda item: (item.latency_us, -item.pcc)):
        if not front or point.pcc > front[-1].pcc:
            front.append(point)
    return front


def _precisions(schedule: Schedule) -> tuple[str, ...]:
    """Return how many layers with weights have which precision, the most frequent first."""
    found = map(precision_of, schedule.layers.values())
    counts = Counter(
        f"{item.weights} {item.fidelity}{' float32 sums' if item.float32_sums else ''}"
        for item in found
        if item is not None
    )
    return tuple(f"{name} {count}" for name, count in counts.most_common())


def front_table(points: Sequence[FrontPoint]) -> Table:
    """Return a front as a table."""
    time, pcc = f"latency {words.MICRO}", "PCC"
    has_metric = any(point.metric is not None for point in points)
    own = ("metric",) if has_metric else ()
    numbers = ("trial", time, pcc, "concordance", *own)
    table = simple_table(
        "", (*numbers, "layers with weights, by weights and fidelity"), right=numbers
    )
    for point in points:
        metric = (f"{point.metric:.4g}",) if point.metric is not None else ("-",) * len(own)
        concordance = "-" if point.concordance is None else f"{point.concordance:.6f}"
        table.add_row(
            str(point.trial),
            words.microseconds(point.latency_us),
            f"{point.pcc:.6f}",
            concordance,
            *metric,
            ", ".join(point.formats),
        )
    return table


def check_picture(path: Path) -> None:
    """Check a place for a picture before the work that leads to it.

    Raises:
        StudyError: for another ending, or a missing directory.
    """
    if path.suffix not in PICTURES:
        raise StudyError(f"{path}: a picture is written as {', '.join(PICTURES)}; name it so")
    if not path.parent.is_dir():
        raise StudyError(f"{path}: there is no directory {path.parent}; create it first")


def write_picture(store: Store, study: StudyRecord, path: Path) -> None:
    """Write Optuna's picture of a front, from the study that optuna-dashboard shows.

    Raises:
        StudyError: if Optuna has none, or the file cannot be written.
    """
    import optuna  # noqa: PLC0415 - slow to import

    with quiet_optuna(), opened_optuna(store.url, LOCK_TIMEOUT_S) as storage:
        called = find_mirror(storage, study.name)
        if called is None:
            raise StudyError(f"study {study.name!r} has no Optuna study to draw; go on with it")
        front = optuna.load_study(study_name=called, storage=storage)
        try:
            if path.suffix == ".html":
                from optuna.visualization import plot_pareto_front  # noqa: PLC0415 - loads plotly

                figure = plot_pareto_front(front)
                figure.update_layout(title=study.name, template="plotly_white")
                figure.write_html(str(path), include_plotlyjs=True)
            else:
                _draw(front, study.name, path)
        except OSError as error:
            raise StudyError(f"{path} cannot be written: {error.strerror or error}") from None


def _draw(front: Any, name: str, path: Path) -> None:
    try:
        from matplotlib.figure import Figure  # noqa: F401, PLC0415 - what Optuna's needs
    except ImportError:
        raise StudyError(
            f"{path}: a {path.suffix} needs matplotlib (pip install matplotlib); .html does not"
        ) from None
    from optuna.visualization.matplotlib import plot_pareto_front  # noqa: PLC0415 - as above

    axes = plot_pareto_front(front)
    axes.set_title(name)
    figure = axes.figure.get_figure(root=True)
    figure.set_size_inches(*_INCHES)
    figure.savefig(path, bbox_inches="tight", dpi=120)
