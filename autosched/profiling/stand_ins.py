"""What stands for parts of ttnn while a user's program runs on the mock device.

Functions that a network has as layers are called as they are, and noted. Devices are not opened a
second time. Traces and events, of which ttnn's mock device dies (0.81.1), are marks and nothing:
what a trace captures runs as it is captured, and is not run again.
"""

import sys
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ttnn

from autosched.device.ttnn.calls import fusing, track
from autosched.device.ttnn.graph_capture import MARK_PREFIX, Node
from autosched.device.ttnn.products import stated_mark
from autosched.device.ttnn.ttnn_types import (
    DATA_TYPES,
    PAGE_LAYOUTS,
    layout_of,
)
from autosched.errors import ScheduleError
from autosched.export.ttnn_values import CONV2D_TTNN_DEFAULTS, layer_plain
from autosched.network.legal_values import CONVERT_TO_CHW, CONVERT_TO_HWC
from autosched.profiling.captured_run import (
    CALL_END,
    CALL_PREFIX,
    REPLAY,
    TRACE_BEGIN,
    TRACE_END,
)
from autosched.profiling.program import RecordedCall
from autosched.schedule.configurations import (
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
)
from autosched.schedule.serialization import from_plain
from autosched.schedule.tensors import Memory, PageLayout, TensorInfo, TensorLayout

_begin_capture, _end_capture = ttnn.graph.begin_graph_capture, ttnn.graph.end_graph_capture
_SIGNPOST = "`TT_SIGNPOST: "

_DEVICES = (
    "open_device", "close_device", "CreateDevice", "CreateDevices", "CloseDevice", "CloseDevices",
    "open_mesh_device", "close_mesh_device", "create_mesh_device", "manage_device",
)  # fmt: skip
_EVENTS = ("record_event", "wait_for_event", "event_synchronize", "ReadDeviceProfiler")
_CAPTURES = ("begin_graph_capture", "end_graph_capture")
_BINARY = ("input_tensor_a", "input_tensor_b")
_POOL = (
    "input_tensor", "batch_size", "input_h", "input_w", "channels", "kernel_size", "stride",
    "padding",
)  # fmt: skip
RECORDED: Mapping[str, Sequence[str]] = {
    "conv2d": ("input_tensor", "weight_tensor"),
    "conv_transpose2d": ("input_tensor", "weight_tensor"),
    "max_pool2d": (*_POOL, "dilation"),
    "avg_pool2d": _POOL,
    "linear": _BINARY,
    "add": _BINARY,
    "add_": _BINARY,
    "multiply": _BINARY,
}
"""The functions that are noted, with ttnn's names of what is given by place."""
_TENSORS = ("input_tensor", *_BINARY)
_ENDS: Mapping[str, Sequence[str]] = {
    CONVERT_TO_HWC: ("input_tensor",),
    CONVERT_TO_CHW: ("input_tensor",),
}
"""Likewise, of ``ttnn.experimental``."""


Calls = list[RecordedCall | None]
"""Calls in the order in which they began, None for one that took or left no tensor."""


class DeviceGivenError(RuntimeError):
    """The program opens or closes a device."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"ttnn.{name}: the device is given: it is the argument of the program's function, "
            "which neither opens nor closes one"
        )


@contextmanager
def standing_in(calls: Calls) -> Iterator[None]:
    """Replace those parts of ttnn while the body runs; what is called is noted in ``calls``."""
    before: list[tuple[Any, str, Any]] = []
    for owner, name, new in _replacements(calls):
        before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, new)
    try:
        yield
    finally:
        for owner, name, old in reversed(before):
            setattr(owner, name, old)


@contextmanager
def capturing(mode: Any = None) -> Iterator[list[Node]]:
    """Capture the device work of the body; the list is filled when the body ends."""
    graph: list[Node] = []
    _begin_capture(mode or ttnn.graph.RunMode.NORMAL)
    try:
        yield graph
    finally:
        graph.extend(_end_capture())


def kept_l1_bytes(device: Any) -> int:
    """Return what is allocated of each core's L1."""
    return int(ttnn.get_memory_view(device, ttnn.BufferType.L1).total_bytes_allocated_per_bank)


def _replacements(calls: Calls) -> Iterator[tuple[Any, str, Any]]:
    for name in _DEVICES:
        for owner in (ttnn, ttnn.device):
            if hasattr(owner, name):
                yield owner, name, _refusing(name)
    for name in _EVENTS:
        yield ttnn, name, _nothing
    for name in _CAPTURES:
        yield ttnn.graph, name, _capturing
    # With a program at hand, a capture does not tell its circular buffers.
    yield ttnn.MeshDevice, "enable_program_cache", _nothing
    yield ttnn, "begin_trace_capture", _marking(TRACE_BEGIN)
    yield ttnn, "end_trace_capture", _marking(TRACE_END)
    yield ttnn, "execute_trace", _marking(REPLAY)
    yield ttnn, "release_trace", _nothing
    yield ttnn, "tracy_message", _told
    for name, places in RECORDED.items():
        yield ttnn, name, _Recorded(getattr(ttnn, name), name, places, calls)
    for name, places in _ENDS.items():
        function = getattr(ttnn.experimental, name)
        yield ttnn.experimental, name, _Recorded(function, name, places, calls)


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_args: Any, **_more: Any) -> Any:
        raise DeviceGivenError(name)

    return refuse


def _marking(name: str) -> Callable[..., int]:
    def leave_mark(*_args: Any, **_more: Any) -> int:
        track(name)
        return 0

    return leave_mark


def _nothing(*_args: Any, **_more: Any) -> None:
    """Do nothing: the mock device has nothing to wait for."""


def _capturing(*_args: Any, **_more: Any) -> Any:
    raise RuntimeError("ttnn.graph: the program's graph is captured already, to be profiled")


def _told(message: str, *_more: Any) -> None:
    """Take a signpost of tracy's as the name of what follows."""
    if message.startswith(_SIGNPOST):
        track(MARK_PREFIX + message.removeprefix(_SIGNPOST).partition("\n")[0].strip("` "))


class _Recorded:
    """A function of ttnn's that is noted when it is called; otherwise the function itself."""

    def __init__(self, function: Any, name: str, places: Sequence[str], calls: Calls) -> None:
        self._function = function
        self._name = name
        self._places = places
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        given = {**dict(zip(self._places, args, strict=False)), **keywords}
        # Read before: the call may free them.
        inputs = tuple(_info(given[name]) for name in _TENSORS if _is_there(given.get(name)))
        number = len(self._calls)
        self._calls.append(None)
        track(f"{CALL_PREFIX}{number}")
        program = program_of(given.get("program_config"))
        if program is not None:
            # The graph does not say it.
            track(stated_mark(program))
        with fusing(_fused(given)):
            result = self._function(*args, **keywords)
        track(CALL_END)
        left = result[0] if isinstance(result, list | tuple) else result
        if inputs and _is_there(left):
            output = _info(left)
            config, unsaid = config_of(self._name, given, inputs[0].layout, output.layout)
            self._calls[number] = RecordedCall(
                self._name,
                _facts(given),
                inputs,
                output,
                config,
                unsaid,
                _frees(given),
                _source(),
            )
        return result


def _fused(given: Mapping[str, Any]) -> Any:
    """Return the function that a call asks to be fused, None if there is none."""
    holders = (
        (given.get("conv_config"), "activation"),
        (given.get("program_config"), "fused_activation"),
    )
    asked = [getattr(holder, name, None) for holder, name in holders]
    found = next((item for item in (*asked, given.get("activation")) if item is not None), None)
    if isinstance(found, str):
        kind = getattr(ttnn.UnaryOpType, found.upper(), None)
        return None if kind is None else ttnn.UnaryWithParam(kind)
    return found if hasattr(found, "op_type") else None


def _is_there(value: Any) -> bool:
    return isinstance(value, ttnn.Tensor) and ttnn.is_tensor_storage_on_device(value)


def _info(tensor: Any) -> TensorInfo:
    return TensorInfo(tuple(tensor.shape), layout_of(tensor))


_OF_OTHERS = (str(Path(ttnn.__file__ or "ttnn").parent), str(Path(__file__).parents[1]))


def _source() -> str:
    """Return the line of the program that makes the call, as "model.py:12"."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OF_OTHERS):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _frees(given: Mapping[str, Any]) -> bool:
    config = given.get("conv_config")
    return bool(given.get("deallocate_input") or (config and config.deallocate_activation))


def _facts(given: Mapping[str, Any]) -> dict[str, object]:
    """Return the numbers of a call: sizes, kernel, stride."""
    found: dict[str, object] = {}
    for name, value in given.items():
        if isinstance(value, bool | int):
            found[name] = value
        elif isinstance(value, list | tuple) and all(isinstance(item, int) for item in value):
            found[name] = tuple(value)
    return found


def config_of(
    function: str, given: Mapping[str, Any], source: TensorLayout, left: TensorLayout
) -> tuple[LayerConfig | None, tuple[str, ...]]:
    """Return what a schedule says of a call, and the names of what it cannot say.

    ``source`` and ``left`` are the layouts of its first input and of its output. The compute
    configuration and the format of the weights are what the device op tells later.
    """
    make = {
        "conv2d": _conv2d,
        "conv_transpose2d": _conv2d,
        "linear": _linear,
        CONVERT_TO_HWC: _to_hwc,
        CONVERT_TO_CHW: _to_chw,
    }
    if function.endswith("_pool2d"):
        return _pool(given, source, left)
    return make.get(function, _eltwise)(given, source, left)


_Found = tuple[LayerConfig | None, tuple[str, ...]]


def _conv2d(given: Mapping[str, Any], source: TensorLayout, left: TensorLayout) -> _Found:
    config = given.get("conv_config") or ttnn.Conv2dConfig()
    fields = {name: getattr(config, name) for name in CONV2D_TTNN_DEFAULTS}
    fields["weights_dtype"] = config.weights_dtype or ttnn.bfloat16
    if not config.override_sharding_config:
        fields["core_grid"] = None
    if source.is_sharded and not config.reshard_if_not_optimal:
        # ttnn then keeps the sharding of its input, whatever is asked for.
        fields["shard_layout"] = None
    slices = given.get("slice_config") or given.get("dram_slice_config")
    if slices is None and source.memory is Memory.L1:
        slices = ttnn.Conv2dL1FullSliceConfig
    in_l1 = slices is not None and slices.slice_type.name == "L1Full"
    values = _Conv2d(
        ttnn.Conv2dConfig(
            **fields,
            reshard_if_not_optimal=fields["shard_layout"] is not None,
            override_sharding_config=fields["core_grid"] is not None,
            output_layout=config.output_layout,
        ),
        ttnn.WormholeComputeKernelConfig(math_fidelity=ttnn.MathFidelity.LoFi),
        DATA_TYPES[left.dtype],
        slices,
        ttnn.DRAM_MEMORY_CONFIG if in_l1 and left.memory is Memory.DRAM else None,
    )
    return _as_said(values), ()


def _pool(given: Mapping[str, Any], source: TensorLayout, left: TensorLayout) -> _Found:
    scheme = None if source.is_sharded else given.get("applied_shard_scheme")
    values = _Pool(
        scheme,
        DATA_TYPES[left.dtype],
        PAGE_LAYOUTS[left.page],
        given.get("dram_slice_config"),
        ttnn.DRAM_MEMORY_CONFIG if left.memory is Memory.DRAM else None,
        given.get("reallocate_halo_output", True),
        False,
    )
    return _as_said(values), ()


def _linear(given: Mapping[str, Any], _source: TensorLayout, left: TensorLayout) -> _Found:
    grid = given.get("core_grid")
    place = left.sharding.value if left.is_sharded else left.memory.value
    asked = given.get("program_config")
    program = program_of(asked)
    config = MatmulConfig(
        core_grid=None if grid is None else (grid.x, grid.y),
        output=place,
        output_dtype=left.dtype,
        program=program,
    )
    return config, () if asked is None or program is not None else ("program_config",)


def program_of(config: Any) -> MatmulProgram | None:
    """Return what a schedule says of a program configuration of ttnn's, None of other kinds."""
    match config:
        case ttnn.MatmulMultiCoreReuseMultiCast1DProgramConfig():
            kind = "mcast_in0" if config.mcast_in0 else "mcast_in1"
        case ttnn.MatmulMultiCoreReuseMultiCastProgramConfig():
            kind = "mcast_2d"
        case _:
            return None
    grid = config.compute_with_storage_grid_size
    return MatmulProgram(
        kind,
        (grid.x, grid.y),
        config.in0_block_w,
        config.out_subblock_h,
        config.out_subblock_w,
        config.per_core_M,
        config.per_core_N,
    )


def _eltwise(_given: Mapping[str, Any], _source: TensorLayout, left: TensorLayout) -> _Found:
    return EltwiseConfig(output_dtype=left.dtype, layout=left), ()


def _to_hwc(_given: Mapping[str, Any], _source: TensorLayout, left: TensorLayout) -> _Found:
    return FixedConfig(output=left, method=CONVERT_TO_HWC), ()


def _to_chw(_given: Mapping[str, Any], _source: TensorLayout, _left: TensorLayout) -> _Found:
    return FixedConfig(TensorLayout(page=PageLayout.ROW_MAJOR), CONVERT_TO_CHW), ()


# The reader of schedules knows them by these names.
_Conv2d = namedtuple(  # type: ignore[name-match]
    "Conv2d", ("conv_config", "compute_config", "dtype", "slice_config", "memory_config")
)
_Pool = namedtuple(  # type: ignore[name-match]
    "Pool",
    (
        "applied_shard_scheme", "dtype", "output_layout", "dram_slice_config", "memory_config",
        "reallocate_halo_output", "deallocate_input",
    ),
)  # fmt: skip


def _as_said(values: Any) -> LayerConfig | None:
    """Return ttnn's values as a schedule's, None where it has none for them."""
    try:
        found: LayerConfig = from_plain(LayerConfig, layer_plain(values, "program"), "program")
    except ScheduleError:
        return None
    return found
