"""What the hand-tuned schedules share: layouts as ttnn makes them, a trial run, and the report.

A model's module restates its public source's choices as values by layer name. Where the source
leaves a layout to ttnn, the mock device says what it becomes.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import autosched
from autosched.boards import find_board
from autosched.cost.model import CostModel
from autosched.device.interface import ProbeRequest
from autosched.device.machine import ttnn_version
from autosched.device.worker import WorkerDevice
from autosched.errors import ScheduleError
from autosched.export.saving import save_schedule
from autosched.network.graph import Layer, Network
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, PoolConfig
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection, TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

BASELINES = Path(__file__).parents[1]
SOURCE = "hand-tuned, after the public tt-metal model"
B8, B16 = DataType.BFLOAT8_B, DataType.BFLOAT16
ROWS, TILES = PageLayout.ROW_MAJOR, PageLayout.TILE
IMAGE = TensorLayout(page=ROWS)
"""How an image comes from the host."""

Layouts = Mapping[str, TensorLayout]
"""Where each tensor waits, by the layer that made it."""


class Baseline:
    """The choices of one hand-tuned model; a model overrides what it chooses.

    ``pack_images`` of the batch lie side by side in channels. ``published_us`` is the least and
    the most device time of a batch that its authors give for silicon, or None.
    """

    study: str
    board: str = "n150"
    batch: int = 1
    pack_images: int = 1
    published_us: tuple[float, float] | None = None

    @property
    def target(self) -> Path:
        """The file that ``autosched bench`` looks for."""
        return BASELINES / f"{self.study}_{self.board}_b{self.batch}_hand_tuned.py"

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        """Return a layer's configuration, given the layouts it takes its inputs in."""
        raise NotImplementedError

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        """Return the layouts in which a layer takes its inputs: as they lie."""
        return tuple(layouts[name] for name in layer.inputs)

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        """Return where tensors wait once a layer has run, its own among them, if they move.

        In the layout that it has, a tensor is packed to the free end of L1.
        """
        return {}

    def as_timed(
        self, ops: Sequence[DeviceOp], device: WorkerDevice
    ) -> tuple[str, Sequence[DeviceOp]] | None:
        """Return the ops that the published time sums up, and what they are; None for all."""
        return None


@dataclass(frozen=True)
class _Walk:
    """A network in the order of its layers, and what was chosen so far."""

    baseline: Baseline
    network: Network
    device: WorkerDevice
    layouts: dict[str, TensorLayout]
    layers: dict[str, LayerConfig]
    reshards: dict[Edge, TensorLayout]
    moves: dict[Edge, TensorLayout]
    frees: set[str]

    def run(self, layer: Layer) -> None:
        """Choose for one layer, and note where its output is left."""
        taken = self.baseline.taken(layer, self.layouts)
        for index, (name, wanted) in enumerate(zip(layer.inputs, taken, strict=True)):
            if wanted != self.layouts[name]:
                self.reshards[Edge(name, layer.name, index)] = wanted
        config = self.layers[layer.name] = self.baseline.config(layer, taken)
        if self._frees_input(layer, config):
            self.frees.add(layer.name)
        shapes = self.network.input_shapes(layer) or (layer.shape,)
        request = ProbeRequest(layer.op, shapes, layer.shape, config, taken or (IMAGE,))
        self.layouts[layer.name] = probed(self.device, layer.name, request).output_layout
        for name, place in self.baseline.moved(layer, self.layouts).items():
            self.moves[Edge(name, layer.name)] = self.layouts[name] = place

    def _frees_input(self, layer: Layer, config: LayerConfig) -> bool:
        """Whether a layer frees its input in its midst, as nobody reads it later."""
        if not isinstance(config, Conv2dConfig | PoolConfig):
            return False
        source = layer.inputs[0]
        is_last = self.network.last_uses[source] == layer.name
        return is_last and self.layouts[source].memory is Memory.L1


def sharded(
    layout: ShardLayout,
    columns: int,
    rows: int,
    shard: tuple[int, int],
    dtype: DataType = B8,
    page: PageLayout = TILES,
) -> TensorLayout:
    """Return shards over the first ``columns`` x ``rows`` cores."""
    grid = (CoreRange(0, 0, columns - 1, rows - 1),)
    return TensorLayout(Memory.L1, layout, dtype, page, grid, shard)


def joined(taken: tuple[TensorLayout, ...]) -> TensorLayout:
    """Return the shards of tensors that are put side by side on their cores.

    They have the same cores and rows.
    """
    shapes = [layout.shard_shape for layout in taken if layout.memory is Memory.L1]
    columns = sum(shape[1] for shape in shapes if shape is not None)
    assert shapes[0] is not None  # noqa: S101 - all are in shards
    return replace(taken[0], shard_shape=(shapes[0][0], columns))


def probed(device: WorkerDevice, name: str, request: ProbeRequest) -> ProbeOutcome:
    """Return what a layer came to on the device, alone.

    Raises:
        ScheduleError: if the device rejects it.
    """
    answer = device.probe(request)
    if isinstance(answer, Rejection):
        raise ScheduleError(f"{name}: {answer.kind}: {answer.message}")
    return answer


def hand_tuned(baseline: Baseline, network: Network, device: WorkerDevice) -> Schedule:
    """Return the schedule, its layouts as ttnn makes them.

    Raises:
        ScheduleError: if the device rejects a layer.
    """
    walk = _Walk(baseline, network, device, {}, {}, {}, {}, set())
    for layer in network:
        walk.run(layer)
    made_for = Provenance(
        network.name,
        network.signature,
        baseline.board,
        ttnn_version(),
        baseline.batch,
        find_board(baseline.board).grid,
        pack_images=baseline.pack_images,
        study=SOURCE,
        published_us=baseline.published_us,
    )
    return Schedule(made_for, walk.layers, walk.reshards, walk.moves, frozenset(walk.frees))


def make(baseline: Baseline, say: Callable[[str], None] = print) -> Path:
    """Make a schedule, run it once on the mock device, write it, and return the file.

    Raises:
        ScheduleError: if the device rejects it.
    """
    file = BASELINES.parent / f"{baseline.study}.py"
    loaded = autosched.load_network_file(str(file), baseline.batch)
    network = autosched.capture(
        loaded.module, loaded.example_inputs, loaded.name, pack_images=baseline.pack_images
    )
    board = find_board(baseline.board)
    cost = CostModel.load(board.arch)
    with WorkerDevice(board) as device:
        schedule = hand_tuned(baseline, network, device)
        device.load(network)
        outcome = device.run(schedule)
        if isinstance(outcome, Rejection):
            raise ScheduleError(f"{outcome.layer}: {outcome.kind}: {outcome.message}")
        timed = baseline.as_timed(outcome.ops, device)
    say(f"{baseline.study} on {baseline.board}, batch {baseline.batch}")
    if timed is not None:
        say(f"{timed[0]}:")
        report(timed[1], cost, baseline.published_us, say)
    say(f"As it is, from DRAM; peak L1 {outcome.peak_l1_bytes} bytes:")
    total_us = report(outcome.ops, cost, baseline.published_us, say)
    made_for = replace(
        schedule.provenance,
        latency_us=round(total_us, 1),
        latency_kind=TimeKind.ESTIMATED,
        cost_model=cost.version,
    )
    return save_schedule(replace(schedule, provenance=made_for), baseline.target)


def report(
    ops: Sequence[DeviceOp],
    cost: CostModel,
    published_us: tuple[float, float] | None,
    say: Callable[[str], None],
) -> float:
    """Say the estimate of ops by class beside the published figure, and return it in us."""
    by_code: dict[str, float] = defaultdict(float)
    for op in cost.estimate(ops):
        by_code[op.code] += (op.time_ns or 0.0) / 1e3
    total_us = sum(by_code.values())
    for code, time_us in sorted(by_code.items(), key=lambda item: -item[1]):
        say(f"{time_us:10.1f} us {time_us / total_us:6.1%}  {code}")
    say(f"{total_us:10.1f} us estimated by {cost.version}")
    if published_us is not None:
        low, high = published_us
        apart = total_us / ((low + high) / 2) - 1
        times = f"{low:10.0f} us" + (f" to {high:.0f} us" if high > low else "")
        say(f"{times} published for silicon: {apart:+.1%}{' of the middle' if high > low else ''}")
    return total_us
