"""A schedule as a Python module that a colleague could have written: needs ttnn alone.

Every value of the schedule stands in the file once, as the ttnn object it becomes, and only where
it differs from ttnn's own default; :mod:`autosched.export.loading` reads the objects back. The
same schedule gives the same bytes.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import fields

from autosched.boards import find_board
from autosched.errors import BoardError
from autosched.export.module_text import (
    LINE_LENGTH,
    CallText,
    NodeText,
    Table,
    assignment,
    definitions,
    functions_called,
    prose,
    quoted,
)
from autosched.export.ttnn_values import (
    COMPUTE_TTNN_DEFAULTS,
    CONV2D_TTNN_DEFAULTS,
    MATMUL_MEMORY,
    MATMUL_PROGRAMS,
    SLICE_TYPES,
    buffer_name,
    compute_name,
    dtype_name,
    fidelity_name,
    page_name,
    sharding_name,
)
from autosched.export.validation import validate_schedule
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.serialization import to_plain, with_freeing_flag
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)


def render_schedule(schedule: Schedule) -> str:
    """Return the module's source.

    Raises:
        ScheduleError: if the schedule has a value that could not be read back.
    """
    schedule = schedule.with_own_execution()
    validate_schedule(schedule, f"schedule of {schedule.provenance.network}")
    layers = Table(
        tuple(
            (name, _layer(config, frees=name in schedule.frees))
            for name, config in schedule.layers.items()
        )
    )
    reshards = _edge_table(schedule.reshards)
    moves = _edge_table(schedule.moves)
    used = functions_called(layers) | functions_called(reshards) | functions_called(moves)
    constants = _compute_constants(schedule)
    made = schedule.provenance
    title = f"Schedule of {made.network} on {made.board}, for ttnn {made.ttnn_version}."
    blocks = [
        "from typing import NamedTuple\n\nimport ttnn\n",
        _provenance(made),
        *(f"\n{source}" for source in definitions(used)),
        *([f"\n{constants}"] if constants else []),
        ("" if constants else "\n") + assignment("LAYERS", layers),
        assignment("RESHARDS", reshards),
        assignment("MOVES", moves),
    ]
    return "\n".join([header(made, title, _USE), *blocks])


def header(made: Provenance, title: str, use: str) -> str:
    """Return a docstring that begins with a title and says where a schedule comes from."""
    study = f"study {made.study}" if made.study else "no study"
    trial = "" if made.trial is None else f", trial {made.trial}"
    latency = (
        "not timed"
        if made.latency_us is None
        else f"{made.latency_us:.1f} us ({made.latency_kind})"
    )
    facts = {
        "network": f"{made.network}, signature {made.network_signature}, {made.images}",
        "board": f"{made.board}{_of_cores(made)}, ttnn {made.ttnn_version}",
        "opened by": _opening(made),
        "latency": latency,
        "published": _published(made),
        "verified": made.verified,
        "found by": f"autosched, {study}{trial}",
        "cost model": made.cost_model,
        "date": made.date,
    }
    lines = [_fact(name, prose(fact)) for name, fact in facts.items() if fact]
    return f'"""{prose(title)}\n\n' + "\n".join(lines) + f'\n\n{use}"""\n'


def _fact(name: str, text: str) -> str:
    return textwrap.fill(
        f"{name + ':':<12}{text}", LINE_LENGTH, subsequent_indent=" " * 12, break_long_words=False
    )


def _published(made: Provenance) -> str:
    if made.published_us is None:
        return ""
    low, high = made.published_us
    times = f"{low:.0f} us" if low == high else f"{low:.0f} to {high:.0f} us"
    return f"{times} for the model that the choices are from, on silicon"


def _opening(made: Provenance) -> str:
    try:
        return find_board(made.board).opening
    except BoardError:  # of another version of autosched
        return ""


def _of_cores(made: Provenance) -> str:
    return "" if made.grid is None else f" of {made.grid[0]}x{made.grid[1]} cores"


_USE = """\
LAYERS has the arguments of each layer's ttnn call in execution order, without those that the
network decides (shapes, activation); its first and last entries convert from and to PyTorch's
layout, unless they say "nhwc" or "device". RESHARDS brings a copy of a tensor to a layout for one
consumer (#1: as second input). MOVES brings a tensor to the layout in which it waits once that
consumer has run; from a layer to itself, at once. autosched.load_schedule reads the values of this
file back, edits included.
"""


def _provenance(made: Provenance) -> str:
    plain = {
        item.name: value
        for item in fields(made)
        if (value := to_plain(getattr(made, item.name))) != item.default or item.name == "batch"
    }
    literals = {
        name: quoted(value) if isinstance(value, str) else repr(value)
        for name, value in plain.items()
    }
    return assignment("PROVENANCE", Table(tuple(literals.items())))


def _call(function: str, **keywords: NodeText | None) -> CallText:
    given = tuple((name, node) for name, node in keywords.items() if node is not None)
    return CallText(function, keywords=given)


def _layer(config: LayerConfig, *, frees: bool) -> NodeText:
    if isinstance(config, Conv2dConfig):
        return _conv2d(config, frees)
    if isinstance(config, MatmulConfig):
        return _matmul(config)
    if isinstance(config, PoolConfig):
        return _pool(config, frees)
    if isinstance(config, EltwiseConfig):
        placement = _placement_unless_default(config.layout)
        return _call("Eltwise", dtype=dtype_name(config.output_dtype), placement=placement)
    return _fixed(config)


def _conv2d(config: Conv2dConfig, frees: bool) -> NodeText:
    values = with_freeing_flag(config, frees=frees)
    chosen: dict[str, NodeText] = {
        name: _value(values[name])
        for name, default in CONV2D_TTNN_DEFAULTS.items()
        if values[name] != default
    }
    # Without these ttnn ignores the layout or the grid it was asked for.
    if config.shard_layout is not None:
        chosen["reshard_if_not_optimal"] = "True"
    if config.core_grid:
        chosen["override_sharding_config"] = "True"
    if config.output_page is not PageLayout.TILE:
        chosen["output_layout"] = page_name(config.output_page)
    return CallText(
        "Conv2d",
        keywords=(
            ("conv_config", CallText("ttnn.Conv2dConfig", keywords=tuple(chosen.items()))),
            ("compute_config", compute_name(config.compute)),
            ("dtype", dtype_name(config.output_dtype)),
            *_slice_config(config, "l1_full"),
            *_dram_output(config.output_memory),
            *((("fold_input", "True"),) if config.fold_input else ()),
        ),
    )


def _slice_config(
    config: Conv2dConfig | PoolConfig, default: str
) -> tuple[tuple[str, NodeText], ...]:
    """Return nothing for ``default``, which is that of the exported module."""
    if config.slicing == default:
        return ()
    if config.slicing == "auto":
        return (("slice_config", "None"),)
    kind = f"ttnn.Conv2d{SLICE_TYPES[config.slicing]}"
    count = str(config.num_slices)
    return (("slice_config", _call("ttnn.Conv2dSliceConfig", slice_type=kind, num_slices=count)),)


def _dram_output(output_memory: str) -> tuple[tuple[str, NodeText], ...]:
    return (("memory_config", MATMUL_MEMORY["dram"]),) if output_memory == "dram" else ()


def _matmul(config: MatmulConfig) -> NodeText:
    grid = config.core_grid
    return _call(
        "Matmul",
        weights_dtype=dtype_name(config.weights_dtype),
        compute_kernel_config=compute_name(config.compute),
        dtype=dtype_name(config.output_dtype),
        memory_config=None if config.output == "dram" else MATMUL_MEMORY[config.output],
        core_grid=None if grid is None else f"ttnn.CoreGrid(x={grid[0]}, y={grid[1]})",
        program_config=None if config.program is None else _program(config.program),
    )


def _program(program: MatmulProgram) -> CallText:
    sizes: dict[str, object] = {
        "compute_with_storage_grid_size": program.grid,
        "in0_block_w": program.in0_block_w,
        "out_subblock_h": program.out_subblock_h,
        "out_subblock_w": program.out_subblock_w,
        "per_core_M": program.per_core_m,
        "per_core_N": program.per_core_n,
    }
    if program.kind == "mcast_2d":
        sizes["transpose_mcast"] = False
    else:
        sizes |= {"fuse_batch": True, "mcast_in0": program.kind == "mcast_in0"}
    keywords = tuple((name, repr(value)) for name, value in sizes.items())
    return CallText(f"ttnn.{MATMUL_PROGRAMS[program.kind]}", keywords=keywords)


def _pool(config: PoolConfig, frees: bool) -> NodeText:
    scheme = config.shard_layout
    default = PoolConfig()
    chosen: dict[str, NodeText] = {
        name: _value(getattr(config, field))
        for name, field in (("dtype", "output_dtype"), ("output_layout", "output_page"))
        if getattr(config, field) != getattr(default, field)
    }
    if scheme is not None:
        chosen = {"applied_shard_scheme": sharding_name(scheme), **chosen}
    slices = dict(_slice_config(config, "auto"))
    if slices:
        chosen["dram_slice_config"] = slices["slice_config"]
    chosen.update(_dram_output(config.output_memory))
    if config.reallocate_halo_output:
        chosen["reallocate_halo_output"] = "True"
    if not frees:
        chosen["deallocate_input"] = "False"
    return CallText("Pool", keywords=tuple(chosen.items()))


def _fixed(config: FixedConfig) -> NodeText:
    placement = _placement_unless_default(config.output)
    return _call(
        "Fixed",
        placement=placement,
        method=quoted(config.method) if config.method else None,
        compute_kernel_config=None if config.compute is None else compute_name(config.compute),
    )


def _edge_table(table: Mapping[Edge, TensorLayout]) -> Table:
    return Table(tuple((str(edge), _placement(layout)) for edge, layout in table.items()))


def _placement_unless_default(layout: TensorLayout) -> NodeText | None:
    return None if layout == TensorLayout() else _placement(layout)


def _placement(layout: TensorLayout) -> NodeText:
    default = TensorLayout()
    return _call(
        "Placement",
        memory_config=_memory_config(layout),
        dtype=None if layout.dtype is default.dtype else dtype_name(layout.dtype),
        layout=None if layout.page is default.page else page_name(layout.page),
    )


def _memory_config(layout: TensorLayout) -> NodeText | None:
    if layout.shard_shape is not None:
        transposed = "True" if layout.transposed else None
        in_dram = buffer_name(layout.memory) if layout.memory is Memory.DRAM else None
        options = _call("", transposed=transposed, buffer_type=in_dram).keywords
        shape = repr(tuple(layout.shard_shape))
        return CallText(
            "sharded", (sharding_name(layout.sharding), _cores(layout.grid), shape), options
        )
    if layout.is_sharded:
        return CallText(
            "ttnn.MemoryConfig", (sharding_name(layout.sharding), buffer_name(layout.memory))
        )
    return None if layout.memory is Memory.DRAM else MATMUL_MEMORY["l1"]


def _cores(grid: tuple[CoreRange, ...]) -> NodeText:
    return CallText(
        "cores", tuple(f"({part.x0}, {part.y0}, {part.x1}, {part.y1})" for part in grid)
    )


def _value(value: object) -> NodeText:
    if isinstance(value, DataType):
        return dtype_name(value)
    if isinstance(value, ShardLayout):
        return sharding_name(value)
    if isinstance(value, PageLayout):
        return page_name(value)
    if isinstance(value, Fidelity):
        return fidelity_name(value)
    if isinstance(value, tuple):
        return _cores(value)
    return repr(value)


def _compute_constants(schedule: Schedule) -> str:
    """Return one constant for each compute configuration in use, in order of first use."""
    used = {
        compute_name(config.compute): config.compute
        for config in schedule.layers.values()
        if isinstance(config, Conv2dConfig | MatmulConfig | FixedConfig)
        and config.compute is not None
    }
    return "".join(assignment(name, _compute(config)) for name, config in used.items())


def _compute(config: ComputeConfig) -> NodeText:
    chosen = {
        name: _value(getattr(config, name))
        for name, default in COMPUTE_TTNN_DEFAULTS.items()
        if getattr(config, name) != default
    }
    return CallText("ttnn.WormholeComputeKernelConfig", keywords=tuple(chosen.items()))
