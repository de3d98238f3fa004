"""The steps of ``autosched run``: check, capture, open the study, search."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autosched.boards import find_board
from autosched.cli import hints
from autosched.cli.capturing import captured, describe_device
from autosched.cli.output import Output
from autosched.cli.schedule_files import load_start
from autosched.cli.searching import GoingOn, Wishes, open_writable, search
from autosched.device.opening import choose_device
from autosched.device.requests import TimingSettings
from autosched.errors import StudyError
from autosched.report import words
from autosched.report.console import say
from autosched.search.opening import default_study_name, open_study
from autosched.search.restrictions import restrictions
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.space.formats import parse_formats
from autosched.store.database import Store
from autosched.store.studies import StudyRecord, find_study


@dataclass(frozen=True)
class Target:
    """What is to be searched, as the user typed it.

    ``formats`` and ``timing`` map option to value, "" or None where the user named none.
    """

    net: str
    board: str
    device: str
    batch: int | None
    allow_host: bool
    name: str | None
    storage: str | None
    formats: Mapping[str, str]
    timing: Mapping[str, int | None]

    def settings(self, found: StudyRecord | None) -> Settings:
        """Return the settings of a new study, or of one that is there with what the user named.

        Raises:
            SearchError: for a format that is none.
            StudyError: if the study that is there has other formats than those named.
        """
        timing = {key: value for key, value in self.timing.items() if value is not None}
        base = Settings(
            formats=parse_formats(**self.formats),
            timing=TimingSettings(**timing),
            allow_host=self.allow_host,
        )
        if found is None:
            return replace(base, network_file=hints.absolute_path(self.net), device=self.device)
        stored = Settings.from_plain(found.settings)
        if any(self.formats.values()) and base.formats != stored.formats:
            raise StudyError(
                f"study {found.name!r} is searched with other formats ({stored.formats}); give "
                "this one a name of its own with --study NAME"
            )
        device = stored.device if self.device == "auto" else self.device
        return replace(
            stored,
            device=device,
            timing=replace(stored.timing, **timing),
            allow_host=stored.allow_host or self.allow_host,
        )


def run_search(
    output: Output, target: Target, wishes: Wishes, going_on: GoingOn, began: float
) -> None:
    """Search a network file, printing each step.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    wishes.check()
    target.settings(None)
    board = find_board(target.board)
    choose_device(target.device)
    with open_writable(target.storage) as store:
        name = target.name or default_study_name(hints.network_name(target.net), board.name)
        found = find_study(store, name)
        settings = wishes.over(target.settings(found))
        kind = choose_device(settings.device)
        say(output.console, f"Device: {describe_device(kind, board.name, settings.device)}")
        say(output.console, f"Database: {store.describe()}")
        batch = found.batch if found is not None and target.batch is None else target.batch
        network = captured(output, target.net, batch, allow_host=settings.allow_host)
        start = None
        if wishes.start is not None:
            start = load_start(output, wishes.start, network, board.name, settings.formats)
        with open_study(store, network, board.name, settings, name) as study:
            going_on.command = hints.command("resume", study.name, storage=target.storage)
            introduce(output, store, study)
            search(output, study, wishes, target.storage, began, start)


def introduce(output: Output, store: Store, study: Study) -> None:
    """Say which study this is, and on what its numbers rest."""
    before = len(study.trials)
    state = f"goes on after {words.count(before, 'trial')}" if before else "is new"
    settings = study.settings
    say(
        output.console,
        f"Study: {study.name} {state}; sampler {settings.sampler}, effort {settings.effort}",
    )
    for rule in restrictions(settings.pinned, settings.forbidden):
        say(output.console, f"Restriction: {rule}")
    say(output.console, f"Formats: {settings.formats}")
    say(output.console, "  accuracy is not judged yet, so the search leaves the formats alone")
    if settings.device == "mock":
        chosen = study.cost_choice
        say(output.console, f"Times: estimated by cost model {chosen.model.version}")
        say(output.console, f"  {chosen.source}")
    if store.describe().startswith("/"):
        say(output.console, f"Dashboard: optuna-dashboard sqlite:///{store.describe()}")
