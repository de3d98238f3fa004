"""What a captured graph says of a run of a user's program.

Ops serve calls: the functions of ttnn's that the program itself called, "conv2d 3" the third of
its name. What a trace captured counts once, and what ran outside of traces does not, where there
are any. What :func:`ttnn.from_torch` and its like run is the host's part.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autosched.cost.ops.attributes import config_flag, fidelity_of
from autosched.device.ttnn.graph_capture import (
    FUSED_PREFIX,
    MARK_PREFIX,
    STATED_PREFIX,
    TRANSFER_PREFIX,
    Buffers,
    Node,
    peak_l1_bytes,
    read_device_ops,
)
from autosched.errors import ProgramError
from autosched.profiling.program import ProgramProfile, RecordedCall
from autosched.schedule.configurations import ComputeConfig, Conv2dConfig, MatmulConfig
from autosched.schedule.outcomes import DeviceOp

CALL_PREFIX = "autosched-call:"
"""A tracked function with this prefix begins the recorded call of the number after it."""
CALL_END = CALL_PREFIX + "end"
TRACE_BEGIN, TRACE_END, REPLAY = (f"autosched-trace:{word}" for word in ("begin", "end", "replay"))
_MARKS = (MARK_PREFIX, STATED_PREFIX, FUSED_PREFIX, CALL_PREFIX, TRACE_BEGIN, TRACE_END, REPLAY)
_ON_HOST = ("from_torch", "to_torch", "as_tensor", "from_device", "to_device")
_MULTIPLIES = ("Conv2d", "Matmul")


@dataclass(frozen=True)
class _Place:
    """Where an op stands in the graph: the call it serves, and whether a trace captured it."""

    position: int
    caller: str
    call: int | None
    traced: bool

    @property
    def on_host(self) -> bool:
        return self.caller.partition(" ")[0] in _ON_HOST


def read_run(
    graph: Sequence[Node],
    buffers: Buffers,
    kept_l1_bytes: int,
    calls: Sequence[RecordedCall | None],
    notes: Sequence[str],
    file: str,
) -> ProgramProfile:
    """Return the profile of a captured run.

    ``kept_l1_bytes`` of each core were taken before it; ``calls`` were recorded during it.

    Raises:
        ProgramError: if nothing ran on the device.
    """
    places = list(_places(graph))
    ops = read_device_ops(graph, buffers)
    has_traces = any(place.traced for place in places)
    counted = [
        (op, place)
        for op, place in zip(ops, places, strict=True)
        if not place.on_host and place.traced is has_traces
    ]
    if not counted:
        raise ProgramError(
            f"{file} ran nothing on the device: its function is to compute on the device that it "
            "is given"
        )
    peak, position = _peak(graph, buffers, kept_l1_bytes, places)
    kept = [place for _, place in counted]
    return ProgramProfile(
        ops=tuple(op for op, _ in counted),
        callers=tuple(place.caller for place in kept),
        peak_l1_bytes=peak,
        peak_op=next((n for n, place in enumerate(kept) if place.position == position), -1),
        kept_l1_bytes=kept_l1_bytes,
        calls=tuple(_effective(calls, counted)),
        notes=(*_left_out(graph, places, has_traces), *notes),
    )


def _places(graph: Sequence[Node]) -> Iterator[_Place]:
    seen: Counter[str] = Counter()
    caller, call, traced = "", None, False
    for position, node in enumerate(graph):
        if node["node_type"] != "function_start":
            continue
        name = node["params"]["name"]
        is_op = "program_factory_type" in node["params"] or name.startswith(TRANSFER_PREFIX)
        if name.startswith(CALL_PREFIX):
            call = None if name == CALL_END else int(name.removeprefix(CALL_PREFIX))
        elif name in (TRACE_BEGIN, TRACE_END):
            traced = name == TRACE_BEGIN
        elif node["stacking_level"] == 1 and not name.startswith(_MARKS):
            short = "host" if name.startswith(TRANSFER_PREFIX) else name.rpartition(".")[2]
            seen[short] += 1
            caller = f"{short} {seen[short]}"
        if is_op:
            yield _Place(position, caller, call, traced)


def _peak(
    graph: Sequence[Node], buffers: Buffers, kept_l1_bytes: int, places: Sequence[_Place]
) -> tuple[int, int]:
    """Return the L1 peak, and where the op starts at which it is reached."""

    def until(end: int) -> int:
        return peak_l1_bytes(graph[:end], kept_l1_bytes, buffers, frees=True)

    peak = until(len(graph))
    ends = [*(place.position for place in places[1:]), len(graph)]
    return peak, places[bisect_left(ends, peak, key=until)].position


def _left_out(graph: Sequence[Node], places: Sequence[_Place], has_traces: bool) -> Iterator[str]:
    on_host = sum(place.on_host for place in places)
    if on_host:
        yield f"{on_host} ops of ttnn.from_torch and its like are left out: the host's part"
    if has_traces:
        outside = sum(not place.traced and not place.on_host for place in places)
        replays = sum(
            node["node_type"] == "function_start" and node["params"]["name"] == REPLAY
            for node in graph
        )
        yield (
            f"a trace is counted once, replayed {replays} times; {outside} ops outside of traces "
            "are left out"
        )


def _effective(
    calls: Sequence[RecordedCall | None], counted: Sequence[tuple[DeviceOp, _Place]]
) -> Iterator[RecordedCall]:
    """Yield the calls that are counted, with the multiplication that the device really did."""
    own: dict[int, list[DeviceOp]] = {}
    for op, place in counted:
        if place.call is not None:
            own.setdefault(place.call, []).append(op)
    for number, call in enumerate(calls):
        if call is None or number not in own:
            continue
        main = next((op for op in own[number] if op.code.startswith(_MULTIPLIES)), None)
        config = call.config
        if main is not None and isinstance(config, Conv2dConfig | MatmulConfig):
            weights = main.inputs[1].layout.dtype
            config = replace(config, compute=_compute(main), weights_dtype=weights)
        yield replace(call, config=config)


def _compute(op: DeviceOp) -> ComputeConfig:
    text = op.attributes
    return ComputeConfig(
        math_fidelity=fidelity_of(text),
        math_approx_mode="math_approx_mode=0" not in text,
        fp32_dest_acc_en=config_flag(text, "fp32_dest_acc_en"),
        packer_l1_acc=config_flag(text, "packer_l1_acc"),
    )
