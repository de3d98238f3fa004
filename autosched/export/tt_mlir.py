"""Convolutions of a schedule as overrides for the optimizer of tt-mlir.

The option is ``override-conv2d-config`` of ``--ttir-to-ttnn-backend-pipeline``, in effect with
``enable-optimizer``: ``NAME=FIELD#VALUE:FIELD#VALUE,NAME=...``. What it takes is told by
``include/ttmlir/Dialect/TTNN/Pipelines/TTNNPipelines.h`` of github.com/tenstorrent/tt-mlir, and by
``Conv2dConfigOverrideParser`` in ``lib/Dialect/TTNN/Utils/PassOverrides.cpp`` there, which ends
with an assertion at ``core_grid``, and knows no ``dtype`` any more.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping

from autosched.errors import ScheduleError
from autosched.export.module_text import LINE_LENGTH
from autosched.export.ttnn_values import CONV2D_TTNN_DEFAULTS
from autosched.schedule.configurations import ComputeConfig, Conv2dConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import with_freeing_flag
from autosched.schedule.tensors import DataType, PageLayout, ShardLayout

OPTION = "override-conv2d-config"

_DATA_TYPES = {
    DataType.BFLOAT16: "bf16",
    DataType.BFLOAT8_B: "bfp_bf8",
    DataType.BFLOAT4_B: "bfp_bf4",
    DataType.FLOAT32: "f32",
}
# In the order in which the option is documented.
_TAKEN = (
    "weights_dtype",
    "deallocate_activation",
    "reallocate_halo_output",
    "act_block_h_override",
    "act_block_w_div",
    "reshard_if_not_optimal",
    "shard_layout",
    "transpose_shards",
    "output_layout",
    "enable_act_double_buffer",
    "enable_weights_double_buffer",
)
_NAME = re.compile(r"[^\s,=\"'{}]+")


def render_overrides(schedule: Schedule) -> str:
    """Return the option as the last line of a text; lines before it begin with ``#``.

    They say what of the schedule the option has no field for, layer by layer.

    Raises:
        ScheduleError: if the schedule has no convolution, or one whose name the option cannot hold.
    """
    convolutions = {
        name: config for name, config in schedule.layers.items() if isinstance(config, Conv2dConfig)
    }
    made = schedule.provenance
    if not convolutions:
        raise ScheduleError(f"the schedule of {made.network} has no convolution to override")
    for name in convolutions:
        if not _NAME.fullmatch(name):
            raise ScheduleError(f"layer {name!r}: tt-mlir's option cannot hold such a name")
    overrides = ",".join(
        f"{name}={_override(config, frees=name in schedule.frees)}"
        for name, config in convolutions.items()
    )
    comments = (f"# {line}".rstrip() for line in _remarks(schedule, convolutions))
    return "\n".join([*comments, f"{OPTION}={overrides}"]) + "\n"


def _override(config: Conv2dConfig, *, frees: bool) -> str:
    values = _values(config, frees=frees)
    return ":".join(f"{name}#{_text(values[name])}" for name in _TAKEN if name in values)


def _values(config: Conv2dConfig, *, frees: bool) -> dict[str, object]:
    """Return the fields of a ``ttnn.Conv2dConfig`` but those that are left to ttnn."""
    plain = with_freeing_flag(config, frees=frees)
    values = {name: plain[name] for name in CONV2D_TTNN_DEFAULTS}
    values["output_layout"] = config.output_page
    if config.shard_layout is None:
        values.pop("shard_layout")
    else:
        # Without it a sharded input keeps its own layout.
        values["reshard_if_not_optimal"] = True
    return values


def _text(value: object) -> str:
    if isinstance(value, DataType):
        return _DATA_TYPES[value]
    if isinstance(value, ShardLayout):
        return "interleaved" if value is ShardLayout.INTERLEAVED else f"{value}_sharded"
    if isinstance(value, PageLayout):
        return "row_major" if value is PageLayout.ROW_MAJOR else "tile"
    return str(value).lower() if isinstance(value, bool) else str(value)


def unsaid_fields(config: Conv2dConfig) -> dict[str, str]:
    """Return what a convolution's configuration says that the option has no field for."""
    values = _values(config, frees=False)
    found = {
        name: _cores(config) if name == "core_grid" else _text(values[name])
        for name, default in CONV2D_TTNN_DEFAULTS.items()
        if name not in _TAKEN and name in values and values[name] != default
    }
    found["dtype"] = _DATA_TYPES[config.output_dtype]
    if config.slicing != "auto":
        found["slices"] = config.slicing + (f" {config.num_slices}" if config.num_slices else "")
    if config.output_memory != "sharded":
        found["output"] = config.output_memory
    if config.fold_input:
        found["fold_input"] = "true"
    return {**found, "compute": _compute(config.compute)}


def _cores(config: Conv2dConfig) -> str:
    return "+".join(f"{part.x0},{part.y0}-{part.x1},{part.y1}" for part in config.core_grid)


def _compute(config: ComputeConfig) -> str:
    words = {
        "approx": config.math_approx_mode,
        "fp32_dest_acc": config.fp32_dest_acc_en,
        "packer_l1_acc": config.packer_l1_acc,
    }
    return " ".join([str(config.math_fidelity), *(word for word, is_on in words.items() if is_on)])


def _remarks(schedule: Schedule, convolutions: Mapping[str, Conv2dConfig]) -> Iterator[str]:
    made = schedule.provenance
    study = f", study {made.study}, trial {made.trial}" if made.study else ""
    others = len(schedule.layers) - len(convolutions)
    yield from _filled(
        f"autosched export: the convolutions of {made.network} on {made.board}, found with ttnn "
        f"{made.ttnn_version}{study}, for ttmlir-opt "
        f'--ttir-to-ttnn-backend-pipeline="enable-optimizer=true {OPTION}=..." of tt-mlir.'
    )
    yield ""
    yield from _filled(
        "Operations bear autosched's names of layers. tt-mlir finds an operation by the name of "
        "its location: give yours these names, or rename them here. Activations are the network's."
    )
    yield ""
    yield from _filled(
        f"The option has no field for {others} layers of other kinds, {len(schedule.reshards)} "
        f"reshards and {len(schedule.moves)} moves, nor for these of the convolutions:"
    )
    for name, config in convolutions.items():
        said = ", ".join(f"{field} {value}" for field, value in unsaid_fields(config).items())
        yield f"  {name}: {said}"


def _filled(text: str) -> list[str]:
    return textwrap.wrap(text, LINE_LENGTH - 2, break_long_words=False, break_on_hyphens=False)
