"""A layer's configuration and layouts in the few words that fit a table."""

from collections.abc import Iterator

from autosched.schedule import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    Memory,
    PageLayout,
    PoolConfig,
    TensorLayout,
)


def describe(config: LayerConfig) -> str:
    """Return for example "height, act_block_h 64, double-buffered".

    Formats and fidelity are left out: they are a policy of the whole network so far.
    """
    if isinstance(config, Conv2dConfig):
        return ", ".join(_conv2d(config))
    if isinstance(config, MatmulConfig):
        return ", ".join(_matmul(config))
    if isinstance(config, PoolConfig):
        return ", ".join(_pool(config))
    if isinstance(config, EltwiseConfig):
        return place(config.layout)
    return _fixed(config)


def place(layout: TensorLayout) -> str:
    """Return where a tensor lies: "height", "DRAM", "L1 interleaved"."""
    if layout.is_sharded:
        return layout.sharding.value if layout.memory is Memory.L1 else f"DRAM {layout.sharding}"
    return "DRAM" if layout.memory is Memory.DRAM else "L1 interleaved"


def describe_change(source: TensorLayout, target: TensorLayout) -> str:
    """Return what a reshard changes: "height 56 -> block 49", the numbers being cores.

    Shards, pages and formats are named where they are what differs.
    """
    if source == target:
        return f"{_spread(source)}, packed"
    same_spread = _spread(source) == _spread(target)
    return " -> ".join(
        " ".join(_parts(layout, other, same_spread))
        for layout, other in ((source, target), (target, source))
    )


def _spread(layout: TensorLayout) -> str:
    return f"{place(layout)} {layout.cores}" if layout.is_sharded else place(layout)


def _parts(layout: TensorLayout, other: TensorLayout, same_spread: bool) -> Iterator[str]:
    yield _spread(layout)
    if same_spread and layout.shard_shape != other.shard_shape and layout.shard_shape:
        rows, columns = layout.shard_shape
        yield f"of {rows}x{columns}"
    if layout.page is not other.page:
        yield "tiles" if layout.page is PageLayout.TILE else "rows"
    if layout.dtype is not other.dtype:
        yield layout.dtype.value


def _conv2d(config: Conv2dConfig) -> Iterator[str]:
    yield config.shard_layout.value if config.shard_layout else "ttnn's layout"
    if config.fold_input:
        yield "input folded"
    if config.slicing == "auto":
        yield "sliced by ttnn"
    yield from _slices(config)
    if config.act_block_h_override:
        yield f"act_block_h {config.act_block_h_override}"
    if config.act_block_w_div != 1:
        yield f"act_block_w_div {config.act_block_w_div}"
    yield from _double_buffers(config)
    if config.core_grid:
        yield f"grid of {sum(part.cores for part in config.core_grid)}"
    switches = {
        "full inner dim": config.full_inner_dim,
        "activation reuse": config.enable_activation_reuse,
        "split reader": config.force_split_reader,
        "config tensors in DRAM": config.config_tensors_in_dram,
        "transposed shards": config.transpose_shards,
        "stride folding": config.enable_kernel_stride_folding,
        "halo moved": config.reallocate_halo_output,
        "fp32 accumulation": config.compute.fp32_dest_acc_en,
        "output to DRAM": config.output_memory == "dram",
    }
    yield from (words for words, used in switches.items() if used)


def _slices(config: Conv2dConfig | PoolConfig) -> Iterator[str]:
    if config.slicing.startswith("dram_"):
        count = config.num_slices or "as few as fit"
        yield f"slices of {config.slicing.removeprefix('dram_')}: {count}"


def _double_buffers(config: Conv2dConfig) -> Iterator[str]:
    if config.enable_act_double_buffer and config.enable_weights_double_buffer:
        yield "double-buffered"
    elif config.enable_act_double_buffer:
        yield "activations double-buffered"
    elif config.enable_weights_double_buffer:
        yield "weights double-buffered"


def _matmul(config: MatmulConfig) -> Iterator[str]:
    if config.core_grid is not None:
        columns, rows = config.core_grid
        yield f"grid {columns}x{rows}"
    yield f"output {config.output.upper() if config.output in ('dram', 'l1') else config.output}"


def _pool(config: PoolConfig) -> Iterator[str]:
    yield config.shard_layout.value if config.shard_layout else "as its input"
    yield from _slices(config)
    if config.output_page is PageLayout.ROW_MAJOR:
        yield "rows"
    if config.reallocate_halo_output:
        yield "halo moved"
    if config.output_memory == "dram":
        yield "output to DRAM"


def _fixed(config: FixedConfig) -> str:
    return f"{config.method}, {place(config.output)}" if config.method else place(config.output)
