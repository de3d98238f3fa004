"""Making a study, what it is called, and coming back to one."""

from contextlib import ExitStack
from dataclasses import replace
from itertools import count

from autosched.boards import find_board
from autosched.device.interface import Device
from autosched.device.machine import choose_device, firmware_of, ttnn_version
from autosched.device.which_board import named_board
from autosched.errors import StudyError
from autosched.network.ends import ends_of
from autosched.network.graph import Network, network_plain
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.store.database import Store, open_store
from autosched.store.studies import (
    StudyRecord,
    check_stored_name,
    find_network,
    find_study,
    get_study,
    save_network,
)
from autosched.store.studies import add_study as store_study
from autosched.store.trials import list_trials


def create_study(
    network: Network,
    board: str = "n150",
    *,
    storage: str | None = None,
    name: str | None = None,
    settings: Settings | None = None,
    device: Device | None = None,
    jobs: int | None = None,
) -> Study:
    """Return a study of ``network``, made in ``storage`` or found there under its name.

    ``storage`` is a SQLAlchemy URL (default: the project's SQLite file); ``jobs`` workers probe
    (default: one a core, 4 at most). Example::

        network = autosched.capture(module.eval(), (images,), "resnet50")
        with autosched.create_study(network, "n150") as study:
            study.optimize(trials=20)
            autosched.save_schedule(study.best.schedule, "resnet50_n150.py")

    Raises:
        BoardError, SearchError, StoreError, StudyError: as :func:`open_study`.
    """
    opened = open_store(storage)
    return _opened(
        opened,
        network,
        named_board(board).name,
        settings or Settings(),
        name,
        device=device,
        jobs=jobs,
    )


def load_study(
    name: str,
    *,
    storage: str | None = None,
    network: Network | None = None,
    jobs: int | None = None,
) -> Study:
    """Return a stored study to go on with, by its settings.

    ``network`` may be left out where the study was made from a network file that is still there;
    ``jobs`` is as in :func:`create_study`.

    Raises:
        StudyError: if there is no such study, or its network has changed.
        NetworkFileError: if its network file cannot be used any more.
        StoreError: if the database cannot be opened.
    """
    with open_store(storage) as store:
        record = get_study(store, name)
    settings = Settings.from_plain(record.settings)
    if network is None:
        network = network_of_file(record, settings)
    return _opened(open_store(storage), network, record.board, settings, name, jobs=jobs)


def _opened(
    store: Store,
    network: Network,
    board: str,
    settings: Settings,
    name: str | None,
    *,
    device: Device | None = None,
    jobs: int | None = None,
) -> Study:
    """Return a study that closes ``store`` when it is closed."""
    with ExitStack() as cleaning:
        cleaning.callback(store.close)
        study = open_study(store, network, board, settings, name, device, jobs=jobs)
        study.on_close(cleaning.pop_all().close)
    return study


def network_of_file(record: StudyRecord, settings: Settings) -> Network:
    """Return the network of a study's file, which is executed.

    Raises:
        StudyError: if the study was made from a network in Python.
        NetworkFileError: if the file cannot be used any more.
    """
    if not settings.network_file:
        raise StudyError(
            f"study {record.name!r} was made from a network in Python; hand it over again: "
            "autosched.load_study(name, network=...)"
        )
    from autosched.network.capture.capture import capture  # noqa: PLC0415 - loads torch
    from autosched.network.capture.network_file import load_network_file  # noqa: PLC0415 - loads torch

    loaded = load_network_file(settings.network_file, record.batch)
    network = capture(
        loaded.module,
        loaded.example_inputs,
        loaded.name,
        allow_host=settings.allow_host,
        io=settings.io,
        pack_images=settings.pack_images,
    )
    return loaded.with_samples(network)


def open_study(
    store: Store,
    network: Network,
    board: str,
    settings: Settings,
    name: str | None = None,
    device: Device | None = None,
    *,
    jobs: int | None = None,
) -> Study:
    """Return the study ``name``, made if it is not there yet.

    Its default is by network, batch and board, and a number where another network has that name.

    Of ``jobs`` workers (default: one a core, 4 at most) each probes another candidate; how many
    there are changes nothing of the result.

    Raises:
        BoardError: if the board is unknown, or a card is wanted and there is none.
        SearchError: if a restriction is of no layer.
        StudyError: if the study is there, but of another network, board, device, ttnn version or
            formats.
    """
    known = find_board(board)
    for rule in settings.restrictions:
        rule.layers(network.by_name)
    kind = choose_device(settings.device) if device is None else device.kind
    # A network captured in Python says by itself whether it needs the host, what it is handed, and
    # whether it is packed.
    allow_host = settings.allow_host or bool(network.host_layers)
    settings = replace(
        settings,
        device=kind,
        allow_host=allow_host,
        io=str(ends_of(network)),
        pack_images=network.packing.images,
    )
    record = StudyRecord(
        name=name or own_study_name(store, network, known.name),
        network=network.name,
        network_signature=network.signature,
        board=known.name,
        device_kind=kind,
        ttnn_version=ttnn_version(),
        firmware=firmware_of(kind) if device is None else firmware_of(device.kind, device),
        batch=network.batch,
        settings=settings.to_plain(),
    )
    found = find_study(store, record.name)
    if found is None:
        check_stored_name(record.name)
        record = store_study(store, record)
    else:
        check_same(found, record, store.describe(), network_difference(store, found, network))
        record = found
    if find_network(store, network.signature) is None:
        save_network(store, network.signature, network_plain(network))
    return Study(store, record, network, settings, device, jobs=jobs)


def check_same(found: StudyRecord, wanted: StudyRecord, place: str, difference: str = "") -> None:
    """Raise StudyError if a stored study is not of the same network, board, ttnn and formats.

    ``difference`` says in words how their networks differ, if they do.
    """
    before, now = (Settings.from_plain(item.settings) for item in (found, wanted))
    if found.batch == wanted.batch and before.pack_images != now.pack_images:
        raise StudyError(
            f"study {found.name!r} in {place} has {before.pack_images} images packed together, "
            f"not {now.pack_images}; give this one a name of its own with --study NAME"
        )
    if found.batch == wanted.batch and found.network_signature != wanted.network_signature:
        why = f" ({difference})" if difference else ""
        raise StudyError(
            f"study {found.name!r} in {place} was made for another network{why}; give this one a "
            "name of its own with --study NAME"
        )
    for title, field_name in (
        ("batch", "batch"),
        ("board", "board"),
        ("device", "device_kind"),
        ("ttnn version", "ttnn_version"),
        ("firmware of the card", "firmware"),
    ):
        theirs, ours = getattr(found, field_name), getattr(wanted, field_name)
        if theirs != ours:
            raise StudyError(
                f"study {found.name!r} in {place} was made for another {title} "
                f"({theirs or 'unknown'}, not {ours or 'unknown'}); give this one a name of its "
                "own with --study NAME"
            )
    if before.restrictions != now.restrictions:
        rules = ", ".join(map(str, before.restrictions))
        raise StudyError(
            f"study {found.name!r} in {place} is searched with other restrictions "
            f"({rules or 'none'}); give this one a name of its own with --study NAME"
        )
    if "risk" in found.settings and before.risk != now.risk:
        raise StudyError(
            f"study {found.name!r} in {place} is searched with --risk {before.risk:g}; give this "
            "one a name of its own with --study NAME"
        )
    theirs_asked, ours_asked = (
        (item.min_pcc, item.min_metric, item.search_formats, item.front) for item in (before, now)
    )
    if theirs_asked != ours_asked:
        floors = (
            "" if before.min_pcc is None else f"--min-pcc {before.min_pcc:g}",
            "" if before.min_metric is None else f"--min-metric {before.min_metric:g}",
        )
        asked = " ".join(filter(None, floors)) or "no floor"
        how = "search" if before.search_formats else "fixed"
        raise StudyError(
            f"study {found.name!r} in {place} is searched with {asked} and --formats {how}, which "
            "its trials were judged by; give this one a name of its own with --study NAME"
        )
    if before.formats != now.formats:
        raise StudyError(
            f"study {found.name!r} in {place} is searched with other formats ({before.formats}); "
            "give this one a name of its own with --study NAME"
        )


_NAMED = 3  # layers that a message names before it counts the rest


def default_study_name(network: str, board: str, batch: int = 1, number: int = 1) -> str:
    """Return the name of a network's study: ``resnet50-n150``, or ``resnet50-b16-n150`` by batch.

    Further networks of one name have a ``number``: ``resnet50-n150-2``.
    """
    images = "" if batch == 1 else f"-b{batch}"
    again = "" if number == 1 else f"-{number}"
    return f"{network}{images}-{board}{again}"


def own_study_name(store: Store, network: Network, board: str) -> str:
    """Return the first default name under which there is no study of another network or board.

    A board's name may have meant another grid when the study was named.

    Raises:
        StoreError: if the database refuses.
    """
    # Names did not always have the batch.
    before = find_study(store, default_study_name(network.name, board))
    wanted = (network.signature, board)
    if before is not None and (before.network_signature, before.board) == wanted:
        return before.name
    for number in count(1):
        name = default_study_name(network.name, board, network.batch, number)
        found = find_study(store, name)
        if found is None or (found.network_signature, found.board) == wanted:
            return name
    raise AssertionError  # numbers never end


def network_difference(store: Store, study: StudyRecord, network: Network) -> str:
    """Return in words how a network differs from that of a study, "" if no trial tells.

    Raises:
        StoreError: if the database refuses.
    """
    (first,) = list_trials(store, study, numbers=[0]) or (None,)
    if first is None or first.schedule is None:
        return ""
    theirs, ours = list(first.schedule.layers), list(network.by_name)
    gone = [name for name in theirs if name not in network.by_name]
    new = [name for name in ours if name not in first.schedule.layers]
    words = [f"it has {_list(gone)}"] if gone else []
    words += [f"this one has {_list(new)}"] if new else []
    return " and ".join(words) or "its layers have other parameters, shapes or inputs"


def _list(names: list[str]) -> str:
    what = "layer" if len(names) == 1 else "layers"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what} {', '.join(names[:_NAMED])}{more}"
