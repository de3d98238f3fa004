"""The steps of ``autosched resume``: find the study, capture its network again, search."""

from autosched.cli import hints
from autosched.cli.capturing import captured, describe_device
from autosched.cli.new_search import introduce
from autosched.cli.output import Output
from autosched.cli.searching import Wishes, open_writable, search
from autosched.device.opening import choose_device
from autosched.errors import NetworkFileError, StudyError
from autosched.network.graph import Network
from autosched.report.console import say
from autosched.search.opening import open_study
from autosched.search.settings import Settings
from autosched.store.studies import StudyRecord, get_study


def resume_search(
    output: Output, name: str, storage: str | None, wishes: Wishes, began: float
) -> None:
    """Go on with a stored study.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    wishes.check()
    with open_writable(storage) as store:
        record = get_study(store, name)
        settings = wishes.over(Settings.from_plain(record.settings))
        kind = choose_device(settings.device)
        device = describe_device(kind, record.board, settings.device)
        say(output.console, f"Device: {device}")
        say(output.console, f"Database: {store.describe()}")
        network = _captured_again(output, record, settings)
        with open_study(store, network, record.board, settings, name) as study:
            introduce(output, store, study)
            search(output, study, wishes, storage, began)


def _captured_again(output: Output, record: StudyRecord, settings: Settings) -> Network:
    if not settings.network_file:
        raise StudyError(
            f"study {record.name!r} was made from a network in Python; go on with it there: "
            f"autosched.load_study({record.name!r}, network=...)"
        )
    try:
        return captured(output, settings.network_file, record.batch, allow_host=settings.allow_host)
    except NetworkFileError as error:
        moved = hints.command("run", "NEW/PLACE/NET.PY", "--study", record.name)
        raise NetworkFileError(
            f"{error} If the file of study {record.name!r} has moved: {moved}"
        ) from None
