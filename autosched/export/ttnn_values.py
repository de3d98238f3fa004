"""How ttnn spells the values of :mod:`autosched.schedule`, and the objects of a module read back.

An exported module's ttnn objects become plain values, ready for ``from_plain``. ttnn (0.81.1) is
not imported here: objects are told apart by what they carry, and what does not fit is reported with
the field it stands in.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from autosched.errors import ScheduleError
from autosched.schedule.configurations import ComputeConfig, Fidelity
from autosched.schedule.tensors import DataType, Memory, PageLayout, ShardLayout

CONV2D_TTNN_DEFAULTS: Mapping[str, object] = {
    "shard_layout": None,
    "act_block_h_override": 0,
    "act_block_w_div": 1,
    "enable_act_double_buffer": False,
    "enable_weights_double_buffer": False,
    "full_inner_dim": False,
    "enable_activation_reuse": False,
    "force_split_reader": None,
    "config_tensors_in_dram": False,
    "core_grid": (),
    "transpose_shards": False,
    "enable_kernel_stride_folding": None,
    "reallocate_halo_output": True,
    "deallocate_activation": False,
    "weights_dtype": None,
}
"""What ``ttnn.Conv2dConfig()`` holds; a field with this value is left out of an export.

Ours has the same names but one: whether the layer frees its input is said once for all layers.
"""

COMPUTE_TTNN_DEFAULTS: Mapping[str, object] = {
    "math_fidelity": None,
    "math_approx_mode": True,
    "fp32_dest_acc_en": False,
    "packer_l1_acc": False,
}
"""What ``ttnn.WormholeComputeKernelConfig()`` holds; it serves Blackhole too."""

SLICE_TYPES: Mapping[str, str] = {
    "dram_height": "DRAMSliceHeight",
    "dram_width": "DRAMSliceWidth",
}
"""Slicings by part, and the type of ttnn's slice configuration (``ttnn.Conv2d...``)."""

MATMUL_PROGRAMS: Mapping[str, str] = {
    "mcast_in0": "MatmulMultiCoreReuseMultiCast1DProgramConfig",
    "mcast_in1": "MatmulMultiCoreReuseMultiCast1DProgramConfig",
    "mcast_2d": "MatmulMultiCoreReuseMultiCastProgramConfig",
}
"""Kinds of programs, and ttnn's configuration of each."""

MATMUL_MEMORY: Mapping[str, str] = {
    "dram": "ttnn.DRAM_MEMORY_CONFIG",
    "l1": "ttnn.L1_MEMORY_CONFIG",
    "width": "ttnn.L1_WIDTH_SHARDED_MEMORY_CONFIG",
    "height": "ttnn.L1_HEIGHT_SHARDED_MEMORY_CONFIG",
    "block": "ttnn.L1_BLOCK_SHARDED_MEMORY_CONFIG",
}


def dtype_name(dtype: DataType) -> str:
    """Return ttnn's name of an element format."""
    return f"ttnn.{dtype}"


def page_name(page: PageLayout) -> str:
    """Return ttnn's name of a page layout."""
    return f"ttnn.{page.upper()}_LAYOUT"


def sharding_name(sharding: ShardLayout) -> str:
    """Return ttnn's name of a way to spread a tensor."""
    suffix = "" if sharding is ShardLayout.INTERLEAVED else "_SHARDED"
    return f"ttnn.TensorMemoryLayout.{sharding.upper()}{suffix}"


def buffer_name(memory: Memory) -> str:
    """Return ttnn's name of a memory."""
    return f"ttnn.BufferType.{memory.upper()}"


def fidelity_name(fidelity: Fidelity) -> str:
    """Return ttnn's name of a math fidelity."""
    return f"ttnn.MathFidelity.{fidelity}"


def compute_name(config: ComputeConfig) -> str:
    """Return the constant an export keeps a compute configuration in."""
    name = config.math_fidelity.upper()
    if config.fp32_dest_acc_en:
        name += "_FP32"
    if not config.math_approx_mode:
        name += "_EXACT"
    return name if config.packer_l1_acc else name + "_NO_L1_ACC"


Plain = dict[str, Any]
_SHARDED_SUFFIX = "_SHARDED"


def layer_plain(value: Any, where: str) -> Plain:
    """Return one entry of ``LAYERS`` as the plain form of a layer configuration.

    It says itself whether the layer frees its input, as ttnn's arguments do.

    Raises:
        ScheduleError: naming ``where``, if it is no configuration or has a foreign value.
    """
    kind = type(value).__name__
    read = _LAYERS.get(kind)
    if read is None or not hasattr(value, "_asdict"):
        legal = ", ".join(_LAYERS)
        raise ScheduleError(f"{where}: {_shown(value)} is no layer configuration ({legal})")
    return {"kind": kind.lower(), **read(value, where)}


def layout_plain(value: Any, where: str) -> Plain:
    """Return a ``Placement`` as the plain form of a tensor layout.

    Raises:
        ScheduleError: naming ``where``, if it is no placement or has a foreign value.
    """
    _expect(value, "Placement", where)
    config = _expect(value.memory_config, "MemoryConfig", f"{where}: memory_config")
    plain = {
        "memory": _word(config.buffer_type),
        "sharding": _word(config.memory_layout),
        "dtype": _word(value.dtype),
        "page": _word(value.layout),
    }
    spec = config.shard_spec
    if spec is not None:
        plain["grid"] = _grid(spec.grid)
        plain["shard_shape"] = list(spec.shape)
        plain["transposed"] = spec.orientation.name == "COL_MAJOR"
    return plain


def _conv2d(value: Any, where: str) -> Plain:
    config = _expect(value.conv_config, "Conv2dConfig", f"{where}: conv_config")
    _check_derived(config, where)
    own = {name: _plain(getattr(config, name)) for name in CONV2D_TTNN_DEFAULTS}
    own["core_grid"] = own["core_grid"] or []
    return {
        **own,
        "output_page": _word(config.output_layout),
        "output_dtype": _word(value.dtype),
        "output_memory": _output_memory(value.memory_config, where),
        **_slicing(value.slice_config, where),
        # Exports from before it existed have no such field.
        "fold_input": getattr(value, "fold_input", False),
        "compute": _compute(value.compute_config, f"{where}: compute_config"),
    }


def _check_derived(config: Any, where: str) -> None:
    """Refuse edits of fields that a schedule does not choose, rather than lose them."""
    fresh = type(config)()
    expected = {
        "reshard_if_not_optimal": (config.shard_layout is not None, "a shard_layout"),
        "override_sharding_config": (config.core_grid is not None, "a core_grid"),
    }
    for name, (value, cause) in expected.items():
        if getattr(config, name) != value:
            raise ScheduleError(
                f"{where}: {name} is {getattr(config, name)}; legal is {value}: it is True with "
                f"{cause} and False without"
            )
    for name in ("activation", "override_output_sharding_config", "padding_mode"):
        if getattr(config, name) != getattr(fresh, name):
            raise ScheduleError(
                f"{where}: {name} is not a schedule's to choose; leave it out of conv_config"
            )


def _matmul(value: Any, where: str) -> Plain:
    grid = value.core_grid
    return {
        "core_grid": None if grid is None else [_expect(grid, "CoreGrid", where).x, grid.y],
        "output": _matmul_output(value.memory_config, where),
        "weights_dtype": _word(value.weights_dtype),
        "output_dtype": _word(value.dtype),
        "compute": _compute(value.compute_kernel_config, f"{where}: compute_kernel_config"),
        # Exports from before it existed have no such field.
        "program": _program(getattr(value, "program_config", None), where),
    }


def _program(config: Any, where: str) -> Plain | None:
    if config is None:
        return None
    kind = type(config).__name__
    if kind not in MATMUL_PROGRAMS.values():
        legal = " or ".join(dict.fromkeys(MATMUL_PROGRAMS.values()))
        raise ScheduleError(f"{where}: program_config: expected a {legal}, not {_shown(config)}")
    _check_program(config, where)
    grid = config.compute_with_storage_grid_size
    is_1d = hasattr(config, "mcast_in0")
    return {
        "kind": ("mcast_in0" if config.mcast_in0 else "mcast_in1") if is_1d else "mcast_2d",
        "grid": [grid.x, grid.y],
        "in0_block_w": config.in0_block_w,
        "out_subblock_h": config.out_subblock_h,
        "out_subblock_w": config.out_subblock_w,
        "per_core_m": config.per_core_M,
        "per_core_n": config.per_core_N,
    }


def _check_program(config: Any, where: str) -> None:
    """Refuse edits of what a schedule does not choose of a program, rather than lose them."""
    if config.fused_activation is not None:
        raise ScheduleError(
            f"{where}: fused_activation is the network's, not a schedule's to choose; leave it out"
        )
    expected = {
        "out_block_h": config.per_core_M,
        "out_block_w": config.per_core_N,
        "fuse_batch": True,
        "transpose_mcast": False,
        "gather_in0": False,
        "untilize_out": False,
        "stream_in1": False,
    }
    for name, value in expected.items():
        if getattr(config, name, value) != value:
            raise ScheduleError(
                f"{where}: program_config: {name} is {getattr(config, name)}; legal is {value}: "
                "it is not a schedule's to choose"
            )


def _pool(value: Any, where: str) -> Plain:
    return {
        "shard_layout": _word(value.applied_shard_scheme),
        "output_page": _word(value.output_layout),
        "output_dtype": _word(value.dtype),
        "output_memory": _output_memory(value.memory_config, where),
        # Exports from before it existed have no such field.
        **_slicing(getattr(value, "dram_slice_config", None), where),
        "reallocate_halo_output": value.reallocate_halo_output,
        "deallocate_input": value.deallocate_input,
    }


def _eltwise(value: Any, where: str) -> Plain:
    return {"output_dtype": _word(value.dtype), "layout": layout_plain(value.placement, where)}


def _fixed(value: Any, where: str) -> Plain:
    # Exports from before it existed have no such field.
    compute = getattr(value, "compute_kernel_config", None)
    return {
        "output": layout_plain(value.placement, where),
        "method": value.method,
        "compute": (
            None if compute is None else _compute(compute, f"{where}: compute_kernel_config")
        ),
    }


_LAYERS: Mapping[str, Callable[[Any, str], Plain]] = {
    "Conv2d": _conv2d,
    "Matmul": _matmul,
    "Pool": _pool,
    "Eltwise": _eltwise,
    "Fixed": _fixed,
}


def _compute(config: Any, where: str) -> Plain:
    _expect(config, "WormholeComputeKernelConfig", where)
    fresh = type(config)()
    for name in ("dst_full_sync_en", "throttle_level"):
        if getattr(config, name) != getattr(fresh, name):
            raise ScheduleError(f"{where}: {name} is not a schedule's to choose; leave it out")
    return {name: _plain(getattr(config, name)) for name in COMPUTE_TTNN_DEFAULTS}


def _output_memory(config: Any, where: str) -> str:
    if config is None:
        return "sharded"
    return "dram" if _interleaved(config, where) == "dram" else "l1"


def _matmul_output(config: Any, where: str) -> str:
    interleaved = _interleaved(config, where)
    if interleaved:
        return interleaved
    return _plain(config.memory_layout) if config.buffer_type.name == "L1" else "sharded DRAM"


def _interleaved(config: Any, where: str) -> str:
    """Return "dram" or "l1", or nothing for a sharded memory configuration."""
    _expect(config, "MemoryConfig", f"{where}: memory_config")
    if config.shard_spec is not None:
        raise ScheduleError(
            f"{where}: memory_config: ttnn derives the shards of this output; give a memory "
            "configuration without them, and a reshard on the edge where others are needed"
        )
    return str(_word(config.buffer_type)) if config.memory_layout.name == "INTERLEAVED" else ""


def _slicing(config: Any, where: str) -> Plain:
    if config is None:
        return {"slicing": "auto"}
    _expect(config, "Op2DSliceConfig", f"{where}: slice_config")
    name = config.slice_type.name
    if name == "L1Full":
        return {"slicing": "l1_full"}
    slicing = {kind: slicing for slicing, kind in SLICE_TYPES.items()}.get(name, name)
    return {"slicing": slicing, "num_slices": config.num_slices}


def _grid(cores: Any) -> list[Plain]:
    return [
        {"x0": part.start.x, "y0": part.start.y, "x1": part.end.x, "y1": part.end.y}
        for part in cores.ranges()
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "ranges"):
        return _grid(value)
    return _word(value)


def _word(value: Any) -> Any:
    """Return ttnn's enumerators in the words of a schedule, anything else as it is."""
    if not isinstance(value, Enum):
        return value
    name = value.name.removesuffix(_SHARDED_SUFFIX)
    return name if type(value).__name__ == "MathFidelity" else name.lower()


def _expect(value: Any, type_name: str, where: str) -> Any:
    if type(value).__name__ != type_name:
        raise ScheduleError(f"{where}: expected a {type_name}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
