"""A network file captured, and the device named, as the screen says it."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from autosched.cli import exits
from autosched.device.machine import EMULATOR, SIMULATOR, ttnn_version
from autosched.errors import NetworkFileError, ScheduleError, StudyError
from autosched.export.loading import is_executed, load_schedule
from autosched.export.validation import check_layers, check_provenance
from autosched.network.ends import ORDERS, Ends, with_ends
from autosched.network.graph import Network
from autosched.report import words
from autosched.report.layer_rows import warn_of_host_layers
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.schedule.configurations import Conv2dConfig, MatmulConfig
from autosched.schedule.schedule import Schedule
from autosched.search.settings import Settings
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, pins_of
from autosched.store.studies import StudyRecord

if TYPE_CHECKING:
    import torch

    from autosched.network.capture.capture_check import CaptureCheck
    from autosched.network.capture.network_file import LoadedFile


def captured_network(
    output: Screen,
    net: str,
    batch: int | None,
    *,
    allow_host: bool = False,
    check: bool = True,
    io: str | None = None,
    pack_images: int = 1,
) -> Network:
    """Load and capture a network file, with a warning of layers that run on the host.

    ``io`` is the order of images at both ends; the file's own if it is None.

    Raises:
        NetworkFileError, UnsupportedOperatorError: if it cannot be used, or so many images of its
            batch cannot be packed into channels.
        WrongCaptureError: if the network computes something else; not without ``check``.
    """
    return captured_with_inputs(
        output, net, batch, allow_host=allow_host, check=check, io=io, pack_images=pack_images
    )[0]


def captured_with_inputs(
    output: Screen,
    net: str,
    batch: int | None,
    *,
    allow_host: bool = False,
    check: bool = True,
    io: str | None = None,
    pack_images: int = 1,
) -> "tuple[Network, tuple[torch.Tensor, ...]]":
    """Do that, and return the inputs to compare results on, too."""
    loaded = loaded_file(output, net, batch)
    network = captured_file(output, loaded, allow_host=allow_host, check=check, io=io)
    return packed_network(output, network, pack_images, check=check), loaded.calibration_inputs


def packed_network(output: Screen, network: Network, images: int, *, check: bool) -> Network:
    """Pack so many images into channels, compare that, and say where they come apart.

    Raises:
        NetworkFileError: if they cannot be packed; it names the layer.
        WrongCaptureError: if something else is computed; not without ``check``.
    """
    if images == 1:
        return network
    from autosched.network.capture.capture_check import check_packing
    from autosched.network.rewrites.packed_images import pack_images

    packed = pack_images(network, images)
    worst = check_packing(network, packed) if check else None
    compared = "" if worst is None else f"; outputs {worst:.1g} of their spread apart in PyTorch"
    say(output.console, f"Images: {images} of {network.batch} packed into channels{compared}")
    apart = packed.packing.apart
    if apart:
        more = f" and {words.count(len(apart) - 1, 'more layer')}" if len(apart) > 1 else ""
        say(output.console, f"  taken apart for layer {apart[0]}{more}")
    return packed


def loaded_file(output: Screen, net: str, batch: int | None) -> "LoadedFile":
    """Run a network file.

    Raises:
        NetworkFileError: if it cannot be used.
    """
    screen = SearchScreen(output.console)
    with screen.shown():
        screen.begin("reading", f"{net}, with PyTorch")
        from autosched.network.capture.network_file import load_network_file, split_path

        split_path(net)
        say(output.console, f"Reading network file {net} (it is executed)")
        loaded = load_network_file(net, batch)
        exits.check_interrupt()
    return loaded


def captured_file(
    output: Screen,
    loaded: "LoadedFile",
    *,
    allow_host: bool = False,
    check: bool = True,
    io: str | None = None,
) -> Network:
    """Capture what a network file defines, and compare it with that.

    ``io`` is the order of images at both ends; the file's own if it is None.

    Raises:
        NetworkFileError, UnsupportedOperatorError, WrongCaptureError: as
            :func:`captured_network`.
    """
    ends = loaded.ends if io is None else Ends.parse(io)
    screen = SearchScreen(output.console)
    with screen.shown():
        screen.begin("capture", f"{loaded.path.name}, with PyTorch")
        from autosched.network.capture.capture import capture_unchecked
        from autosched.network.capture.capture_check import CaptureCheck, check_capture

        module, examples = loaded.module, loaded.example_inputs
        captured = capture_unchecked(module, examples, loaded.name, allow_host=allow_host)
        exits.check_interrupt()
        found = CaptureCheck()
        if check:
            screen.begin("compare", f"{loaded.path.name} with what was captured, in PyTorch")
            found = check_capture(module, examples, captured, allow_host=allow_host)
            exits.check_interrupt()
    network = loaded.with_samples(with_ends(captured.network, ends))
    kinds = {network.layer_signature(layer) for layer in network}
    say(
        output.console,
        f"Network: {network.name}, {words.count(len(network.layers), 'layer')} of "
        f"{len(kinds)} kinds, batch {network.batch}",
    )
    _say_compared(output, found, check=check)
    if ends != Ends():
        inputs, outputs = (ORDERS[order] for order in (ends.inputs, ends.outputs))
        say(output.console, f"  images come {inputs}; they are handed back {outputs}")
    warn_of_host_layers(output.console, network)
    return network


def _say_compared(output: Screen, found: "CaptureCheck", *, check: bool) -> None:
    from autosched.network.capture.capture_check import LIMIT

    if found.difference is None:
        why = "it would take PyTorch minutes" if check else "--no-check"
        say(output.console, f"  not compared with the module: {why}", "yellow")
        return
    worst = max(found.difference, found.drawn or 0.0)
    if worst > LIMIT:
        say(output.console, "  compared in PyTorch: each layer right, the outputs but for rounding")
        return
    how = f"differ by {worst:.1g} of their spread at most" if worst else "are the module's"
    parameters = "own" if found.drawn is None else "own and drawn"
    say(
        output.console,
        f"  compared in PyTorch: outputs {how} ({parameters} parameters)",
    )


def describe_device(kind: str, board: str, wanted: str) -> str:
    """Return which device was taken, and why."""
    if kind == SIMULATOR:
        return f"simulated {board}; ttnn's kernels are executed, and no time is known"
    if kind == EMULATOR:
        return f"emulated {board}: PyTorch rounds as its kernels do; nothing runs, no time is known"
    if kind == "silicon":
        return f"{board}, a card on this machine; times are measured"
    why = "no card on this machine" if wanted == "auto" else "as asked"
    return f"mock {board} ({why}); times are estimated"


def network_file_of(
    record: StudyRecord, settings: Settings, named: str | None, *, safe: bool
) -> str:
    """Return the network file of a study: the one that the user ``named``, else its own.

    Raises:
        StudyError: if it has none, or with ``safe`` if the user named none: a database may come
            from others, and the file that it names would be executed.
    """
    if named is not None:
        return named
    if safe:
        raise StudyError(
            f"--safe: study {record.name!r} names the network file "
            f"{settings.network_file or '(none)'}, which would be executed; name the one to "
            "execute with --net NET.PY"
        )
    if not settings.network_file:
        raise StudyError(
            f"study {record.name!r} was made from a network in Python; name its file with --net "
            f"NET.PY, or go on there: autosched.load_study({record.name!r}, network=...)"
        )
    return settings.network_file


def captured_of_study(
    output: Screen, record: StudyRecord, net: str, *, check: bool
) -> "tuple[Network, tuple[torch.Tensor, ...]]":
    """Capture the network of a study from its file, as its search did, with inputs to compare on.

    Raises:
        NetworkFileError, UnsupportedOperatorError, WrongCaptureError: as
            :func:`captured_network`.
        StudyError: if the file has another network by now.
    """
    settings = Settings.from_plain(record.settings)
    network, inputs = captured_with_inputs(
        output,
        net,
        record.batch,
        allow_host=settings.allow_host,
        check=check,
        io=settings.io,
        pack_images=settings.pack_images,
    )
    if network.signature != record.network_signature:
        raise StudyError(
            f"{net} is another network now than study {record.name!r} was made "
            "for; search it with autosched run under a --study NAME of its own"
        )
    return network, inputs


def read_schedule(output: Screen, file: str, *, safe: bool = False) -> Schedule:
    """Say which file is read and whether that executes it, and read a schedule.

    Raises:
        ScheduleError: if it cannot be read, or ``safe`` is set and it is more than an export.
    """
    how = "it is executed" if is_executed(file) and not safe else "as data"
    say(output.console, f"Reading schedule {file} ({how})")
    return load_schedule(file, safe=safe)


def check_start(
    output: Screen, schedule: Schedule, file: str, network: Network, board: str, formats: Formats
) -> None:
    """Check a schedule to start a search from; one of another ttnn will do.

    Raises:
        ScheduleError: if it is of another network or board, or has other formats than the search.
    """
    made_with = schedule.provenance.ttnn_version
    try:
        check_provenance(schedule, network.signature, board, made_with)
    except ScheduleError as error:
        raise ScheduleError(f"--start {file}: {error}") from None
    check_layers(schedule, file, network)
    _check_formats(schedule, file, network, formats)
    if made_with != ttnn_version():
        say(
            output.console,
            f"{file} was made with ttnn {made_with}; what ttnn {ttnn_version()} rejects of it is "
            "left out",
            "yellow",
        )


def read_pins(
    output: Screen, file: str, network: Network, formats: Formats, *, safe: bool
) -> tuple[str, ...]:
    """Return the pins by which the layers have a schedule's formats; its board does not matter.

    Raises:
        ScheduleError: if it cannot be read, or is of another network.
    """
    schedule = read_schedule(output, file, safe=safe)
    made_for = schedule.provenance
    try:
        check_provenance(schedule, network.signature, made_for.board, made_for.ttnn_version)
    except ScheduleError as error:
        raise ScheduleError(f"--formats-of {file}: {error}") from None
    check_layers(schedule, file, network)
    pins = pins_of(schedule, network, formats)
    return tuple(f"{pin.pattern}:{pin.field}={pin.value}" for pin in pins)


def _check_formats(schedule: Schedule, file: str, network: Network, formats: Formats) -> None:
    """Check that weights have the search's format: it does not search formats."""
    wanted = LayerFormats(network, formats)
    for layer in network:
        config = schedule.layers[layer.name]
        if not isinstance(config, Conv2dConfig | MatmulConfig):
            continue
        theirs, ours = config.weights_dtype, wanted.weights_dtype(layer)
        if theirs is not ours:
            raise ScheduleError(
                f"--start {file}: layer {layer.name} has weights in {theirs}, and this search has "
                f"{ours}; say --weights {theirs}, or --formats-of {file} if layers differ, with a "
                "--study NAME of its own"
            )


def hand_tuned(
    output: Screen, net: str, network: Network, board: str
) -> tuple[Network, Schedule | None]:
    """Return the hand-tuned schedule beside a network file, and the network packed as it has it.

    None, and the network as it is, if there is no such schedule, or it is of another network.
    """
    file = hand_tuned_path(net, network, board)
    if not file.exists():
        return network, None
    schedule = read_schedule(output, str(file))
    made_for, packed = schedule.provenance, network
    with suppress(NetworkFileError):
        packed = packed_network(output, network, made_for.pack_images, check=True)
    if made_for.network_signature != packed.signature:
        say(output.console, f"{file} was made for another {network.name}: left out", "yellow")
        return network, None
    return packed, schedule


def hand_tuned_path(net: str, network: Network, board: str) -> Path:
    """Return where a network's hand-tuned schedule for a board is looked for."""
    file = net if net.endswith(".py") else net.rpartition(":")[0]
    name = f"{network.name}_{board}_b{network.batch}_hand_tuned.py"
    return Path(file).parent / "baselines" / name
