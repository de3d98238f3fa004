"""What lies in L1 at each step of a schedule, and how much room is left.

Bytes are those of one core, the fullest: a shard of each sharded tensor, and circular buffers.
Interleaved tensors in L1 are not counted, as in the device's own sum.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from autosched.errors import ScheduleError
from autosched.network.graph import Layer, Network
from autosched.report.layer_rows import place
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Edge, TensorLayout, labelled_edge, move_label

WAITING, INPUT, OUTPUT = "waiting tensors", "inputs", "output"
TEMPORARY, BUFFERS = "temporary", "circular buffers"
ROLES = (WAITING, INPUT, OUTPUT, TEMPORARY, BUFFERS)
"""What L1 is taken by, the longest there first."""


@dataclass(frozen=True)
class Held:
    """Something in L1 during a step: whose it is, what it is for, where it lies, bytes a core."""

    name: str
    role: str
    lies: str
    size_bytes: int


@dataclass(frozen=True)
class MemoryStep:
    """One layer's step, with what is in L1 at its fullest moment."""

    layer: str
    held: tuple[Held, ...]

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(item.size_bytes for item in self.held)

    def of(self, role: str) -> int:
        """The bytes of one role."""
        return sum(item.size_bytes for item in self.held if item.role == role)


@dataclass
class _Tensors:
    """Where tensors lie while they wait, by the layer they are of."""

    layouts: dict[str, TensorLayout]
    buffers: dict[str, str]
    """The layer whose buffer a tensor is in: one that runs nothing hands its input on."""


def memory_steps(
    network: Network, schedule: Schedule, ops: Sequence[DeviceOp]
) -> tuple[MemoryStep, ...]:
    """Return what is in L1 at each step, in execution order.

    Layouts are those of the device ops.
    """
    ran = {name: tuple(group) for name, group in groupby(ops, key=lambda op: op.layer)}
    copies = copied_layouts(ops)
    number_of = {name: number for number, name in enumerate(schedule.layers)}
    last: dict[str, int] = {}
    for edge in network.edges:
        last[edge.producer] = max(last.get(edge.producer, -1), number_of[edge.consumer])
    tensors = _Tensors({}, {})
    steps = []
    for number, name in enumerate(schedule.layers):
        layer = network.by_name[name]
        own = ran.get(name, ())
        frees = name in schedule.frees
        gone = _copied_away(layer, copies, {item for item, at in last.items() if at == number})
        around = list(_around(tensors, layer, copies, gone))
        steps.append(MemoryStep(name, _step(around, layer, own, frees=frees)))
        if own and own[-1].outputs:
            tensors.layouts[name], tensors.buffers[name] = own[-1].outputs[-1].layout, name
        elif layer.inputs and (copy := copies.get(Edge(layer.inputs[0], name))) is not None:
            tensors.layouts[name], tensors.buffers[name] = copy, name
        elif layer.inputs and layer.inputs[0] in tensors.layouts:
            source = layer.inputs[0]
            tensors.layouts[name] = tensors.layouts[source]
            tensors.buffers[name] = tensors.buffers[source]
        for edge, target in schedule.moves.items():
            if edge.consumer == name and edge.producer in tensors.layouts:
                tensors.layouts[edge.producer] = target
                tensors.buffers[edge.producer] = edge.producer
        for read in [item for item in tensors.layouts if last.get(item, -1) <= number]:
            del tensors.layouts[read]
    return tuple(steps)


def output_layouts(
    network: Network, schedule: Schedule, ops: Sequence[DeviceOp]
) -> dict[str, TensorLayout]:
    """Return how each layer's output lies once the layer has run, as far as its ops tell.

    A layer that runs nothing leaves its first input as it reads it: the copy that was made for it,
    else the tensor where it waits.
    """
    copies = copied_layouts(ops)
    made = {op.layer: op.outputs[-1].layout for op in ops if op.outputs}
    found: dict[str, TensorLayout] = {}
    waiting: dict[str, TensorLayout] = {}
    for name in schedule.layers:
        source = next(iter(network.by_name[name].inputs), "")
        left = made.get(name) or copies.get(Edge(source, name)) or waiting.get(source)
        if left is not None:
            found[name] = waiting[name] = left
        waiting |= {
            edge.producer: target
            for edge, target in schedule.moves.items()
            if edge.consumer == name and edge.producer in waiting
        }
    return found


def copied_layouts(ops: Sequence[DeviceOp]) -> dict[Edge, TensorLayout]:
    """Return the layouts of copies that are made for one reader, by their edges."""
    found = {}
    for op in ops:
        try:
            edge = labelled_edge(op.layer)
        except ScheduleError:
            continue
        if op.layer != move_label(edge) and op.outputs:
            found[edge] = op.outputs[-1].layout
    return found


def _copied_away(
    layer: Layer, copies: Mapping[Edge, TensorLayout], ending: Collection[str]
) -> set[str]:
    """Return the inputs of a layer that are freed once they are copied for it."""
    copied = {
        producer
        for index, producer in enumerate(layer.inputs)
        if Edge(producer, layer.name, index) in copies
    }
    kept = {
        producer
        for index, producer in enumerate(layer.inputs)
        if Edge(producer, layer.name, index) not in copies
    }
    return (copied - kept) & set(ending)


def _step(
    around: Sequence[Held], layer: Layer, ops: Sequence[DeviceOp], *, frees: bool
) -> tuple[Held, ...]:
    """Return what is in L1 at the fullest moment of a layer: of its ops, during the largest."""
    moments = [
        (*_kept(around, layer, frees=frees and number > 0), *_of_op(layer.name, ops, number))
        for number in range(len(ops))
    ]
    return max(
        moments, key=lambda held: sum(item.size_bytes for item in held), default=tuple(around)
    )


def _around(
    tensors: _Tensors,
    layer: Layer,
    copies: Mapping[Edge, TensorLayout],
    gone: Collection[str],
) -> Iterator[Held]:
    """Yield what waits while a layer runs, and what it reads."""
    seen: set[str] = set()
    for tensor, layout in tensors.layouts.items():
        buffer = tensors.buffers[tensor]
        if tensor not in gone and buffer not in seen and layout.shard_bytes:
            seen.add(buffer)
            role = INPUT if tensor in layer.inputs else WAITING
            yield Held(tensor, role, place(layout), layout.shard_bytes)
    for index, producer in enumerate(layer.inputs):
        copy = copies.get(Edge(producer, layer.name, index))
        if copy is not None and copy.shard_bytes:
            yield Held(f"{producer}, copied", INPUT, place(copy), copy.shard_bytes)


def _kept(around: Sequence[Held], layer: Layer, *, frees: bool) -> Iterator[Held]:
    """Yield what is still there once a layer's first op has run."""
    copied = f"{layer.inputs[0]}, copied" if layer.inputs else ""
    is_copied = any(item.name == copied for item in around)
    gone = copied if is_copied else copied.removesuffix(", copied")
    yield from (item for item in around if not (frees and item.name == gone))


def _of_op(name: str, ops: Sequence[DeviceOp], number: int) -> Iterator[Held]:
    """Yield what an op of a layer has in L1 itself, and of the op before it."""
    op = ops[number]
    code = op.code.removesuffix("DeviceOperation")
    if number and ops[number - 1].outputs:
        made = ops[number - 1].outputs[-1].layout
        if made.shard_bytes:
            before = ops[number - 1].code.removesuffix("DeviceOperation")
            yield Held(f"{before} of {name}", TEMPORARY, place(made), made.shard_bytes)
    if op.outputs and op.outputs[-1].layout.shard_bytes:
        left = op.outputs[-1].layout
        is_last = number == len(ops) - 1
        label = name if is_last else f"{code} of {name}"
        yield Held(label, OUTPUT if is_last else TEMPORARY, place(left), left.shard_bytes)
    if op.circular_buffer_bytes:
        yield Held(f"{code} of {name}", BUFFERS, "each core", op.circular_buffer_bytes)
