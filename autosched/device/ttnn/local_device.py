"""A ttnn device in this process: the mock device, or a card by the same code.

The search owns one through a worker process (:mod:`autosched.device.worker`), because ttnn can
segfault, abort and hang. Open it with :func:`autosched.device.machine.open_local_device`: the
mock device's environment has to be in place before ttnn is imported.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
import ttnn

from autosched.boards import ETHERNET, L1_SMALL_BYTES, Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import (
    ProbeRequest,
    ReshardRequest,
    TensorShape,
    TimingSettings,
    check_time,
)
from autosched.device.rejections import classify, refusal_words
from autosched.device.ttnn.calls import Context, PreparedShapes, reshard
from autosched.device.ttnn.graph_capture import (
    MARK_PREFIX,
    Buffers,
    Node,
    dataflow_buffers,
    lacks_buffers,
    peak_l1_bytes,
    read_device_ops,
)
from autosched.device.ttnn.inputs_outputs import upload_shape
from autosched.device.ttnn.runner import (
    LayerFailedError,
    Runner,
    Upload,
    check_grid,
    left_by,
    run_layer,
)
from autosched.device.ttnn.timing import Forward, profiled, traced_us, wall_us
from autosched.device.ttnn.ttnn_types import DATA_TYPES, PAGE_LAYOUTS, memory_config
from autosched.errors import AutoschedError, BoardError, DeviceError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Input, LayerOp
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Memory, PageLayout, ShardLayout, TensorLayout

_TRACE_REGION_BYTES = 64 << 20

# Ops that only bring the input where the layer wants it.
_LAYOUT_OPS = (
    "InterleavedToSharded",
    "Reshard",
    "ShardedToInterleaved",
    "Tilize",
    "Untilize",
    "Typecast",
    "Copy",
)


class LocalDevice:
    """Runs probes and whole networks on a ttnn device that it opens and owns.

    ``kind`` is "mock" or "silicon". On the mock device no time is ever taken and neither traces
    nor events are touched.
    """

    def __init__(self, board: Board, kind: str, timing: TimingSettings) -> None:
        self.board = board
        self.kind = kind
        self.timing = timing
        extra: dict[str, Any] = {} if kind == "mock" else {"trace_region_size": _TRACE_REGION_BYTES}
        extra |= _dispatch(board)
        try:
            self.device = ttnn.open_device(device_id=0, l1_small_size=L1_SMALL_BYTES, **extra)
        except RuntimeError as error:
            raise DeviceError(
                f"ttnn cannot open the {kind} device {board.name}: {refusal_words(error)}"
            ) from None
        try:
            check_grid(self.device, board)
        except BoardError:
            ttnn.close_device(self.device)
            raise
        self._shapes = PreparedShapes() if kind == "mock" else None
        self._context: Context | None = None
        self._probe_context: Context | None = None
        self._uploaded: list[Any] = []
        self._uploads: list[Upload] = []

    def close(self) -> None:
        """Close the ttnn device; idempotent."""
        self._context, self._probe_context = None, None
        self._uploaded, self._uploads = [], []
        if self.device is not None:
            ttnn.close_device(self.device)
        self.device = None

    def __enter__(self) -> "LocalDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` executes, with its weights."""
        check_time(budget)
        on_card = self.kind != "mock"
        self._context = Context(
            self.device, self.board, network, runs_host_layers=on_card, shapes=self._shapes
        )
        self._uploaded, self._uploads = [], []

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        """Run one candidate alone."""
        check_time(budget)
        layouts = request.input_layouts
        if layouts is None:
            first = self._probe_in(request, request.sources, dry=False)
            if isinstance(first, Rejection):
                return first
            layouts = _native_layouts(first)
        return self._probe_in(request, layouts)

    def reshard(
        self, request: ReshardRequest, budget: Budget = UNLIMITED
    ) -> ProbeOutcome | Rejection:
        """Bring a tensor from one layout into another, alone."""
        check_time(budget)
        context = Context(self.device, self.board, Network("reshard", ()))
        return self._captured(
            context,
            [device_shape(request.shape)],
            [request.source],
            lambda tensors: reshard(tensors.pop(), request.target),
        )

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``; on a card, time it by trace replay."""
        check_time(budget)
        if self._context is None:
            raise DeviceError("no network is loaded: call load() before run()")
        network = self._context.network
        runner = Runner(network, schedule, self.device, self.board, self._context)
        try:
            outcome = self._run_captured(runner)
            return outcome if self.kind == "mock" else self._timed(runner, outcome)
        except LayerFailedError as error:
            return error.rejection
        except AutoschedError:
            raise
        except Exception as error:  # a trace that outgrows its region, for one
            return classify(error)
        finally:
            self._context.forget_unused_weights()

    def _inputs(self, runner: Runner) -> list[Any]:
        """Return zeros as the schedule takes its inputs.

        They are uploaded once for as long as schedules take the same; in L1 the first reader may
        free them, so that they are uploaded for each forward pass.
        """
        uploads = runner.uploads()
        stays = all(layout.memory is Memory.DRAM for _, layout in uploads)
        if uploads == self._uploads and self._uploaded:
            return list(self._uploaded)
        inputs = [layer for layer in runner.network if isinstance(layer.op, Input)]
        self._uploaded, self._uploads = [], uploads
        found = runner.upload([torch.zeros(layer.shape) for layer in inputs])
        if stays:
            self._uploaded = list(found)
        return found

    def _run_captured(self, runner: Runner) -> RunOutcome:
        layouts: dict[str, TensorLayout] = {}
        self.device.disable_and_clear_program_cache()
        inputs = self._inputs(runner)
        with _capture() as graph:
            runner.forward(_handed_over(inputs), _mark, layouts)
        # Inputs in L1 are uploaded within: freed, they would be no tensor of a dry run.
        buffers = self._dry_buffers(
            graph, runner.context, lambda: runner.forward(self._inputs(runner), _mark)
        )
        input_bytes = sum(layout.shard_bytes for _, layout in runner.uploads())
        return RunOutcome(
            ops=read_device_ops(graph, buffers),
            output_layouts=layouts,
            peak_l1_bytes=peak_l1_bytes(graph, input_bytes, buffers, frees=True),
        )

    def _dry_buffers(
        self, graph: Sequence[Node], context: Context, call: Callable[[], object]
    ) -> Buffers:
        """Repeat what ``graph`` captured without dispatch, for the buffers that it lacks."""
        if not lacks_buffers(graph):
            return {}
        self.device.disable_and_clear_program_cache()
        with context.keeping_weights(), _capture(ttnn.graph.RunMode.NO_DISPATCH) as dry:
            call()
        return dataflow_buffers(graph, dry)

    def _timed(self, runner: Runner, outcome: RunOutcome) -> RunOutcome:
        """Time a forward pass on a card: warm-ups, then replays of one captured trace.

        A trace holds device work alone, so a network with host layers is run anew each time.
        """

        def forward() -> Forward:
            inputs = self._inputs(runner)
            return lambda: runner.forward(_handed_over(inputs))

        self.device.enable_program_cache()
        for _ in range(self.timing.warm_ups):
            wall_us(self.device, forward())
        if runner.network.host_layers:
            times_us = [wall_us(self.device, forward()) for _ in range(self.timing.replays)]
        else:
            times_us = traced_us(self.device, forward(), self.timing.replays)
        return RunOutcome(
            ops=profiled(self.device, forward(), outcome.ops),
            output_layouts=outcome.output_layouts,
            peak_l1_bytes=outcome.peak_l1_bytes,
            latency_us=statistics.fmean(times_us),
            latency_std_us=statistics.pstdev(times_us),
        )

    def _probe_in(
        self, request: ProbeRequest, layouts: Sequence[TensorLayout], dry: bool = True
    ) -> ProbeOutcome | Rejection:
        context, layer = self._context_of(request)

        def call(tensors: list[Any]) -> Any:
            return run_layer(context, layer, request.config, tensors, frees=_frees(request))

        if isinstance(request.op, Input):
            shapes = [
                upload_shape(shape, request.op, request.config) for shape in request.input_shapes
            ]
        else:
            shapes = [device_shape(shape) for shape in request.input_shapes]
        return self._captured(context, shapes, layouts, call, dry)

    def _context_of(self, request: ProbeRequest) -> tuple[Context, Layer]:
        """Return the context of the request's layer; consecutive probes of a layer share one."""
        network = network_of(request.op, request.input_shapes, request.shape)
        if self._probe_context is None or self._probe_context.network != network:
            self._probe_context = Context(
                self.device, self.board, network, runs_host_layers=False, shapes=self._shapes
            )
        return self._probe_context, network.layers[-1]

    def _captured(
        self,
        context: Context,
        shapes: Sequence[TensorShape],
        layouts: Sequence[TensorLayout],
        call: Callable[[list[Any]], Any],
        dry: bool = True,
    ) -> ProbeOutcome | Rejection:
        self.device.disable_and_clear_program_cache()
        # The list is emptied before the exception is classified and again at the end: a tensor
        # that outlives its probe takes L1 from the next one.
        tensors: list[Any] = []
        try:
            tensors += self._allocated(shapes, layouts)
            with _capture() as graph:
                output = call(tensors)
            output_layout = left_by(output)
            del output
            tensors.clear()
            buffers = (
                self._dry_buffers(graph, context, lambda: call(self._allocated(shapes, layouts)))
                if dry
                else {}
            )
        except AutoschedError:
            raise
        except Exception as error:  # ttnn asserts and throws whatever it likes
            return classify(error)
        finally:
            tensors.clear()
        ops = read_device_ops(graph, buffers)
        input_bytes = sum(layout.shard_bytes for layout in layouts)
        peak = peak_l1_bytes(graph, input_bytes, buffers)
        freeing_peak = peak_l1_bytes(graph, input_bytes, buffers, frees=True)
        return ProbeOutcome(
            ops=ops,
            input_layouts=tuple(layouts),
            output_layout=output_layout,
            peak_l1_bytes=peak,
            circular_buffer_bytes=max((op.circular_buffer_bytes for op in ops), default=0),
            # Below zero for a reshape that runs nothing: its output is its input.
            scratch_bytes=peak - input_bytes - output_layout.shard_bytes,
            saved_by_freeing_bytes=peak - freeing_peak,
        )

    def _allocated(
        self, shapes: Sequence[TensorShape], layouts: Sequence[TensorLayout]
    ) -> list[Any]:
        return [
            self._allocate(shape, layout) for shape, layout in zip(shapes, layouts, strict=True)
        ]

    def _allocate(self, shape: TensorShape, layout: TensorLayout) -> Any:
        return ttnn.allocate_tensor_on_device(
            ttnn.Shape(_with_padded_rows(shape, layout)),
            DATA_TYPES[layout.dtype],
            PAGE_LAYOUTS[layout.page],
            self.device,
            memory_config(layout),
        )


def _handed_over(tensors: list[Any]) -> list[Any]:
    """Return what a list holds and empty it, so that whoever takes it may free it."""
    taken = list(tensors)
    tensors.clear()
    return taken


def _dispatch(board: Board) -> dict[str, Any]:
    """Return the option of ``open_device`` that says which cores dispatch commands.

    Only Wormhole has a choice; Blackhole's columns are tt-metal's own default.
    """
    if board.arch != "wormhole_b0":
        return {}
    kinds = ttnn.DispatchCoreType
    kind = kinds.ETH if board.dispatch == ETHERNET else kinds.WORKER
    return {"dispatch_core_config": ttnn.DispatchCoreConfig(kind)}


def device_shape(shape: TensorShape) -> TensorShape:
    """Return the shape a tensor of PyTorch's ``shape`` has between layers on the device."""
    if len(shape) == 4:
        batch, channels, height, width = shape
        return (1, 1, batch * height * width, channels)
    rows = 1
    for size in shape[:-1]:
        rows *= size
    return (1, 1, rows, shape[-1])


def _with_padded_rows(shape: TensorShape, layout: TensorLayout) -> TensorShape:
    """Return a shape with the channels that height shards of rows have, as ttnn pads them.

    ``convert_to_hwc`` makes of 3 channels 8 that are there in the shape, too.
    """
    if layout.page is PageLayout.TILE or layout.sharding is not ShardLayout.HEIGHT:
        return shape
    assert layout.shard_shape is not None  # noqa: S101 - it is sharded
    return (*shape[:-1], layout.shard_shape[1])


def _frees(request: ProbeRequest) -> bool:
    """Whether a convolution or pool frees its first input: wherever that may make room.

    Given in DRAM it lies in nobody's way; where ttnn itself brings it into L1, its copy does.
    """
    given = request.input_layouts
    return given is None or any(layout.memory is Memory.L1 for layout in given[:1])


def network_of(op: LayerOp, input_shapes: Sequence[TensorShape], shape: TensorShape) -> Network:
    """Return the network of one layer, which comes last, and its inputs; shapes are PyTorch's."""
    if isinstance(op, Input):
        return Network("probe", (Layer("probe", op, (), shape),))
    inputs = tuple(
        Layer(f"input{index}", Input(), (), input_shape)
        for index, input_shape in enumerate(input_shapes)
    )
    return Network(
        "probe", (*inputs, Layer("probe", op, tuple(layer.name for layer in inputs), shape))
    )


def _native_layouts(outcome: ProbeOutcome) -> tuple[TensorLayout, ...]:
    """Return the layouts in which the layer's own first op took the inputs.

    A layer with several inputs takes them all in the layouts it was given.
    """
    if len(outcome.input_layouts) != 1:
        return outcome.input_layouts
    for op in outcome.ops:
        if not op.code.startswith(_LAYOUT_OPS):
            return (op.inputs[0].layout,) if op.inputs else outcome.input_layouts
    return outcome.input_layouts


@contextmanager
def _capture(mode: Any = ttnn.graph.RunMode.NORMAL) -> Iterator[list[Node]]:
    """Capture the device work of the body; the list is filled when the body ends."""
    graph: list[Node] = []
    ttnn.graph.begin_graph_capture(mode)
    try:
        yield graph
    finally:
        graph.extend(ttnn.graph.end_graph_capture())


def _mark(name: str) -> None:
    """Say in the capture which layer or edge the following nodes serve.

    An empty tracked function: one that stayed open around the layer would be closed by ttnn at
    the first operation in it.
    """
    ttnn._ttnn.graph.track_function_start(MARK_PREFIX + name)
    ttnn._ttnn.graph.track_function_end()
