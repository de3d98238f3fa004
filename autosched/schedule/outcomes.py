"""What a device answers: outcomes with their device ops, or typed rejections.

A full disk, short memory, a kernel cache or compiler that cannot be used: ttnn throws the same
RuntimeError for these as for a configuration that it refuses, and only the words differ
(:func:`is_machine_failure`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autosched.schedule.tensors import TensorInfo, TensorLayout, TextEnum

HOST_READ = "HostRead"
HOST_WRITE = "HostWrite"
TRANSFERS = (HOST_READ, HOST_WRITE)
"""Codes of ops that move a tensor to the host, and to the device."""


class TimeKind(TextEnum):
    """Whether a device timed it, or the cost model predicted it."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


class RejectionKind(TextEnum):
    """Why a device did not run a configuration.

    What is in :data:`INCONCLUSIVE` says nothing for certain about it.
    """

    INVALID = "invalid configuration"
    L1_OVERFLOW = "L1 overflow"
    CIRCULAR_BUFFER_OVERFLOW = "circular-buffer overflow"
    CIRCULAR_BUFFER_CLASH = "circular-buffer clash"
    LAYOUT_MISMATCH = "layout mismatch"
    HANG = "hang"
    CRASH = "crash"
    UNCLASSIFIED = "unclassified"
    ACCURACY = "accuracy"


LOSSES = (RejectionKind.HANG, RejectionKind.CRASH)
"""What costs a device. A configuration that does so twice is in quarantine: it is not asked again
on that board and version until someone lifts it."""

INCONCLUSIVE = (*LOSSES, RejectionKind.UNCLASSIFIED)
"""What a busy or dying machine may have caused, or words of ttnn's that nobody knows yet."""


@dataclass(frozen=True)
class DeviceOp:
    """One program that ran on the device, as tt-metal's graph capture recorded it.

    ``code`` is the device operation's name (``Conv2dDeviceOperation``), ``attributes`` the text of
    its parameters, ``factory`` its program factory. ``cores`` and ``circular_buffer_bytes`` (per
    core, not counting those laid over tensors) come from its circular buffers. ``layer`` is the
    layer or edge it ran for.
    """

    code: str
    attributes: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    factory: str = ""
    cores: int = 0
    circular_buffer_bytes: int = 0
    layer: str = ""
    time_ns: float | None = None


@dataclass(frozen=True)
class Rejection:
    """A configuration the device did not run, with its own words."""

    kind: RejectionKind
    message: str
    layer: str = ""


@dataclass(frozen=True)
class ProbeOutcome:
    """One layer or reshard that ran alone on the device.

    ``input_layouts`` are the layouts it took without resharding, ``output_layout`` what it left.
    ``peak_l1_bytes`` is the worst sum per core of tensors and circular buffers, with inputs kept
    throughout; ``circular_buffer_bytes`` the largest program's circular buffers;
    ``scratch_bytes`` what circular buffers and temporary tensors (halo output) take at the peak
    beside inputs and output; that peak is lower by ``saved_by_freeing_bytes`` where the op may free
    its first input (0 in records of versions that did not look). ``time_us`` is a measurement on
    silicon and None on the mock device, where the cost model estimates it.
    """

    ops: tuple[DeviceOp, ...]
    input_layouts: tuple[TensorLayout, ...]
    output_layout: TensorLayout
    peak_l1_bytes: int = 0
    circular_buffer_bytes: int = 0
    scratch_bytes: int = 0
    time_us: float | None = None
    saved_by_freeing_bytes: int = 0


@dataclass(frozen=True)
class Soaked:
    """A schedule replayed many times on a card: how often, and in how many seconds.

    ``compared`` of the replays had outputs that were compared with those of the first;
    ``differs_after`` is the first that differed, None if all were the same to the bit.
    """

    replays: int
    seconds: float
    differs_after: int | None = None
    compared: int = 0


@dataclass(frozen=True)
class AloneTime:
    """How long a layer or reshard took alone on a card, by replays of a trace.

    ``time_us`` is the mean of the replays with its standard error; it has the pauses between the
    ops in it, as a network's time has. The ops have times of their own where the card's profiler
    ran, without the pauses.
    """

    ops: tuple[DeviceOp, ...]
    time_us: float
    error_us: float


@dataclass(frozen=True)
class RunOutcome:
    """One forward pass of a whole network.

    ``output_layouts`` are the effective ones by layer. ``latency_us`` and its spread are set on
    silicon only.
    """

    ops: tuple[DeviceOp, ...]
    output_layouts: Mapping[str, TensorLayout]
    peak_l1_bytes: int = 0
    latency_us: float | None = None
    latency_std_us: float | None = None


@dataclass(frozen=True)
class Agreement:
    """How far an executed result agrees with PyTorch's in float32.

    ``pcc`` is Pearson's correlation, ``concordance`` Lin's, which also sees a wrong scale or mean;
    both are -1 where something is not finite. ``largest_error`` is relative to the truth's largest
    value, ``top1`` the share of images whose largest element is the same.

    Of indices, masks and other whole numbers ``equal`` is the share of equal elements, None of
    anything else. Where the host makes such an output, the other figures are those of what it
    reads: near ties may turn an index over, however well the device computed. Elsewhere they are
    that share.
    """

    pcc: float
    concordance: float
    largest_error: float
    top1: float
    equal: float | None = None


@dataclass(frozen=True)
class ExecutedLayer:
    """A layer whose kernels were executed.

    ``alone`` compares it with PyTorch on the inputs that the device itself gave it, ``overall``
    with the whole network in float32.
    """

    name: str
    alone: Agreement
    overall: Agreement


@dataclass(frozen=True)
class Execution:
    """A forward pass whose kernels were executed: the outputs by name, and every layer.

    ``output_layouts`` are the effective ones by layer.
    """

    outputs: Mapping[str, Agreement]
    layers: tuple[ExecutedLayer, ...]
    output_layouts: Mapping[str, TensorLayout]


@dataclass(frozen=True)
class LayerExecution:
    """A layer or reshard executed alone, twice: after two kinds of garbage in the device's memory.

    ``varies`` says that the two results differ, ``agreement`` is that of the worse.
    """

    agreement: Agreement
    varies: bool


class Verdict(TextEnum):
    """What executing a configuration or a schedule showed.

    Only what is in :data:`AGAINST` speaks against a configuration: where the simulator lacks
    something, or a compiler that stands in for SFPI's, nobody knows what a card does. One that is
    lost was killed from outside. A schedule is imprecise if each layer is right alone, on what the
    device gave it, but rounding adds up to outputs that differ.
    """

    RIGHT = "right"
    IMPRECISE = "imprecise"
    WRONG = "wrong"
    VARIES = "varies"
    HANG = "hang"
    ABORT = "abort"
    DOES_NOT_COMPILE = "does not compile"
    NOT_SIMULATED = "not simulated"
    REJECTED = "rejected"
    LOST = "lost"


AGAINST = (Verdict.WRONG, Verdict.VARIES, Verdict.HANG, Verdict.ABORT)
"""What a configuration is left out of a search for."""

# ttsim's kinds of errors that are its own limits.
_SIMULATOR_LACKS = (
    "UnimplementedFunctionality",
    "UnsupportedFunctionality",
    "UntestedFunctionality",
    "MissingSpecification",
)
_PROCESS_ENDED = "the worker process"
_KILLED = ("SIGKILL", "SIGTERM")


def is_killed_from_outside(rejection: Rejection) -> bool:
    """Whether a person or the system killed a worker: that is no fact about what it ran."""
    return rejection.kind is RejectionKind.CRASH and any(
        signal in rejection.message for signal in _KILLED
    )


def judged(concordance: float, min_concordance: float) -> Verdict:
    """Return the verdict on results that agree so far with PyTorch's."""
    return Verdict.RIGHT if concordance >= min_concordance else Verdict.WRONG


def verdict_of(answer: LayerExecution | Rejection, min_concordance: float) -> Verdict:
    """Return the verdict on a layer or reshard that was executed alone.

    An exception that the worker survived is a rejection, whatever kind it has.
    """
    if isinstance(answer, Rejection):
        return _verdict_of_rejection(answer)
    if answer.varies:
        return Verdict.VARIES
    return judged(answer.agreement.concordance, min_concordance)


def _verdict_of_rejection(answer: Rejection) -> Verdict:
    if _NOT_BUILT.search(answer.message):
        return Verdict.DOES_NOT_COMPILE
    if any(words in answer.message for words in _SIMULATOR_LACKS):
        return Verdict.NOT_SIMULATED
    if answer.kind is RejectionKind.HANG:
        return Verdict.HANG
    if answer.kind is RejectionKind.CRASH and answer.message.startswith(_PROCESS_ENDED):
        return Verdict.LOST if is_killed_from_outside(answer) else Verdict.ABORT
    return Verdict.REJECTED


MEMORY_KINDS = (
    RejectionKind.L1_OVERFLOW,
    RejectionKind.CIRCULAR_BUFFER_CLASH,
)


# Of the C library (strerror), shells, C++'s filesystem and allocator, GCC's driver and torch's
# allocator.
_SYSTEM_SAYS = re.compile(
    r"No space left on device"
    r"|Disk quota exceeded"
    r"|Read-only file system"
    r"|Input/output error"
    r"|Stale file handle"
    r"|Too many open files"
    r"|Permission denied"
    r"|Operation not permitted"
    r"|No such file or directory"
    r"|Not a directory"
    r"|Text file busy"
    r"|Exec format error"
    r"|Cannot allocate memory"
    r"|can't allocate memory"
    r"|not enough memory"
    r"|out of memory allocating"
    r"|virtual memory exhausted"
    r"|std::bad_alloc"
    r"|Resource temporarily unavailable"
    r"|filesystem error"
    r"|bad file: "  # yaml-cpp's
    r"|(?i:not an ELF file|cannot map elf|mmap failed)"
    r"|Failed to (?:write|open|create|read|rename) (?:file|directory)"
)
# tt-metal's words where a kernel's binary cannot be made.
_NOT_BUILT = re.compile(r"build failed|Failed to generate binaries")
# What a compiler says of a kernel it refuses, with the line of C++ or assembly. A compiler that is
# killed, crashes or is missing says nothing of the kind.
_OF_THE_KERNEL = re.compile(
    r"(?:^|Log:\s*)\S+:\d+(?::\d+)?: (?:fatal )?[Ee]rror: "
    r"|static assertion failed|undefined reference to"
    r"|region `[^']+' overflowed",
    re.MULTILINE,
)
_CRASHED = re.compile(r"internal compiler error|terminated (?:program|with signal)")
# A kernel that includes what a compiler lacks does not compile with it, as others do.
_MISSING_HEADER = re.compile(r"fatal error: \S+: No such file or directory")
_FRAMES = re.compile(r"^ --- .*$", re.MULTILINE)


def is_machine_failure(text: str) -> bool:
    """Whether a text of ttnn's (or what is kept of it) tells of a failure of the machine."""
    said = _FRAMES.sub("", text)
    if _SYSTEM_SAYS.search(_MISSING_HEADER.sub("", said)):
        return True
    if not _NOT_BUILT.search(said):
        return False
    return bool(_CRASHED.search(said)) or not _OF_THE_KERNEL.search(said)
