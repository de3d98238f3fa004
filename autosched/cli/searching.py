"""What ``run`` and ``resume`` share: a search with its screen, its result and its way out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from autosched.cli import hints, interrupts
from autosched.cli.durations import parse_duration
from autosched.cli.output import Output
from autosched.cli.targets import check_target
from autosched.export.loading import load_schedule
from autosched.report.console import say
from autosched.report.hosts import host_rows
from autosched.report.progress import SearchScreen
from autosched.report.summary import SearchResult, print_next, print_result
from autosched.schedule import Schedule, TimeKind
from autosched.search.events import ProbeCounts
from autosched.search.restrictions import restrictions
from autosched.search.samplers.registry import check_sampler
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.space.efforts import find_effort
from autosched.store.database import Store, open_store
from autosched.store.trials import TrialRecord


@dataclass(frozen=True)
class Wishes:
    """What the user named for a search; None where the study's own setting, or a default, holds."""

    sampler: str | None = None
    effort: str | None = None
    seed: int | None = None
    trials: int | None = None
    timeout: str | None = None
    export: str | None = None
    start: str | None = None
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what can be refused before anything slow is done.

        Raises:
            SearchError: for an unknown sampler or effort, a timeout that is no duration, or a pin
                or prohibition that is none.
            ScheduleError: if the schedule could not be written where it is wanted, or the one to
                start from cannot be read.
        """
        if self.sampler is not None:
            check_sampler(self.sampler)
        if self.effort is not None:
            find_effort(self.effort)
        if self.timeout is not None:
            parse_duration(self.timeout)
        if self.export is not None:
            check_target(Path(self.export))
        if self.start is not None:
            load_schedule(self.start)
        restrictions(self.pinned, self.forbidden)

    def over(self, settings: Settings) -> Settings:
        """Return settings with what the user named."""
        return replace(
            settings,
            sampler=settings.sampler if self.sampler is None else self.sampler,
            effort=settings.effort if self.effort is None else self.effort,
            seed=settings.seed if self.seed is None else self.seed,
            pinned=self.pinned or settings.pinned,
            forbidden=self.forbidden or settings.forbidden,
        )


class GoingOn:
    """The command that goes on after an interruption; another one once the study is stored."""

    def __init__(self, command: str) -> None:
        self.command = command


@contextmanager
def interruptible(output: Output, going_on: GoingOn) -> Iterator[None]:
    """Say how to go on if a signal ends the body, whatever a library made of it."""
    try:
        yield
    except BaseException:
        if not interrupts.received():
            raise
        say(output.console, "\nInterrupted; every finished trial and probe is stored. Go on with:")
        say(output.console, f"  {going_on.command}", "cyan")
        raise interrupts.Interrupted from None


def open_writable(url: str | None) -> Store:
    """Open the database and make sure that it takes what the search will find.

    Raises:
        StoreError: if it cannot be opened, or not be written.
    """
    store = open_store(url)
    try:
        store.check_writable()
    except BaseException:
        store.close()
        raise
    return store


class _Screen(SearchScreen):
    """A search screen that ends the search when a signal's exception was swallowed."""

    def on_probing(self, layer: str, done: int, total: int, counts: ProbeCounts) -> None:
        interrupts.check()
        super().on_probing(layer, done, total, counts)

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        super().on_trial(trial, best)
        interrupts.check()


def search(
    output: Output,
    study: Study,
    wishes: Wishes,
    storage: str | None,
    began: float,
    start: Schedule | None = None,
) -> None:
    """Search, and print or write what it came to; ``began`` is when the command started."""
    settings = study.settings
    timeout_s = None if wishes.timeout is None else parse_duration(wishes.timeout)
    deadline = None if timeout_s is None else began + timeout_s
    limit = find_effort(settings.effort).trials if wishes.trials is None else wishes.trials
    screen = _Screen(output.console, limit, deadline)
    with screen.shown():
        screen.begin("ttnn's default", f"opening the {settings.device} device")
        best = study.optimize(
            trials=wishes.trials,
            timeout_s=None if deadline is None else max(0.0, deadline - time.monotonic()),
            observer=screen,
            start=start,
        )
    path = None
    if wishes.export is not None and best is not None and best.schedule is not None:
        path = best.schedule.export(wishes.export)
    result = SearchResult(
        study=study.record,
        trials=study.trials,
        best=best,
        bound_us=study.bound_us,
        rejected_probes=study.probe_counts.rejected,
        wall_s=time.monotonic() - began,
        outside_share=_outside_share(study, best),
        schedule_path=path,
        host_layers=host_rows(study.network),
    )
    report(output, result, settings, storage)


def _outside_share(study: Study, best: TrialRecord | None) -> float | None:
    """Return how much of an estimate is far outside the calibration data, None if measured."""
    if best is None or best.latency_kind is not TimeKind.ESTIMATED:
        return None
    return study.cost.outside_share(best.ops)


def report(output: Output, result: SearchResult, settings: Settings, storage: str | None) -> None:
    """Print a search's result, and as JSON where that is asked for."""
    print_result(output.console, result)
    if result.bound_us is None:
        say(output.console, "The time was up before all candidates were probed.", "yellow")
    exported = "" if result.schedule_path is None else str(result.schedule_path)
    if exported:
        say(output.console, f"Exported: {exported}")
    print_next(output.console, hints.after_search(result.study.name, storage, settings, exported))
    output.result(result.to_plain())
