"""The steps of ``autosched pareto``: from a study to a front of time against accuracy."""

from dataclasses import dataclass, replace
from pathlib import Path

from autosched.cli import hints
from autosched.cli.steps.search_request import Wishes
from autosched.cli.steps.search_session import Resumed, reopened, watched_search
from autosched.report.front import check_picture, front_of, front_table, write_picture
from autosched.report.output import Screen, say
from autosched.search.settings import Settings
from autosched.store.database import open_writable
from autosched.store.studies import StudyRecord, find_study, get_study

_FLOOR = 0.9
_SUFFIX = "-pareto"


@dataclass(frozen=True)
class Front:
    """A front that is asked for: of which study, from which floor, of how many schedules."""

    study: Resumed
    min_pcc: float | None
    points: int
    picture: str | None
    timeout: str | None


def trace_front(output: Screen, asked: Front, began: float) -> None:
    """Trace a front, or go on with it, and print it.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    wishes = Wishes(trials=asked.points, timeout=asked.timeout)
    wishes.check()
    picture = None if asked.picture is None else Path(asked.picture)
    if picture is not None:
        check_picture(picture)
    with open_writable(asked.study.storage) as store:
        base = get_study(store, asked.study.name)
        own = _record_of(base, find_study(store, base.name + _SUFFIX), asked.min_pcc)
        settings = Settings.from_plain(own.settings)
        with reopened(output, store, own, settings, asked.study) as study:
            watched_search(output, study, wishes, began)
            record = study.record
        points = front_of(store, record)
        say(output.console)
        say(output.console, "Time against accuracy (PCC and concordance of the worst output)")
        output.console.print(front_table(points))
        kind = points[0].kind.value if points else "of none"
        say(output.console, f"Latencies are {kind}; accuracy is emulated on inputs of its own")
        if picture is not None:
            write_picture(store, record, picture)
            say(output.console, f"Picture: {picture}")
        say(output.console, "\nNext:")
        name, storage = record.name, asked.study.storage
        for words in (("export", name, "--trial", "N", "-o", "FILE.py"), ("show", name)):
            say(output.console, f"  {hints.command(*words, storage=storage)}", "cyan")
        output.result(
            {
                "study": record.name,
                "points": [point.to_plain() for point in points],
                "picture": None if picture is None else str(picture),
            }
        )


def _record_of(base: StudyRecord, found: StudyRecord | None, floor: float | None) -> StudyRecord:
    """Return the record of a study's front, which is searched as the study is but for formats."""
    settings = Settings.from_plain(base.settings)
    if settings.front:
        found = base
    before = None if found is None else Settings.from_plain(found.settings).min_pcc
    wanted = replace(
        settings,
        sampler="joint",
        min_pcc=floor or before or _FLOOR,
        min_metric=None,
        search_formats=True,
        front=True,
    )
    name = base.name if settings.front else base.name + _SUFFIX
    return replace(base, name=name, settings=wanted.to_plain())
