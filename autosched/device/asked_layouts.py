"""Whether a tensor lies as was asked: ttnn may do something else in silence."""

from collections.abc import Iterator
from dataclasses import replace

from autosched.device.rejections import LayoutMismatchError
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import Memory, PageLayout, ShardLayout, TensorLayout

_IN_DRAM = (Memory.DRAM, ShardLayout.INTERLEAVED)
_MATMUL_OUTPUTS = {
    "dram": _IN_DRAM,
    "l1": (Memory.L1, ShardLayout.INTERLEAVED),
    "width": (Memory.L1, ShardLayout.WIDTH),
    "height": (Memory.L1, ShardLayout.HEIGHT),
    "block": (Memory.L1, ShardLayout.BLOCK),
}


def check_left(config: LayerConfig, layout: TensorLayout) -> None:
    """Compare what a layer left with what was asked: sharding, memory, format and page.

    On how many cores ttnn spreads shards, it decides.

    Raises:
        LayoutMismatchError: "asked ..., got ...".
    """
    asked = [words for words, is_so in _asked(config, layout) if not is_so]
    if asked:
        raise LayoutMismatchError(f"asked {' and '.join(asked)}, got {layout}")


def check_brought(target: TensorLayout, layout: TensorLayout) -> None:
    """Compare where a tensor was brought with where it was to be.

    Raises:
        LayoutMismatchError: "asked ..., got ...".
    """
    if layout != target:
        raise LayoutMismatchError(f"asked {target}, got {layout}")


def is_as_asked(target: TensorLayout, layout: TensorLayout) -> bool:
    """Return whether a tensor lies where it was to be.

    In the direction in which rows are not cut, each shard holds all there is: a larger number there
    stands for the same, with what fills up a tile.
    """
    if layout == target or layout.shard_shape is None or target.shard_shape is None:
        return layout == target
    (rows, columns), (asked_rows, asked_columns) = layout.shard_shape, target.shard_shape
    fills = {
        ShardLayout.HEIGHT: rows == asked_rows and columns <= asked_columns,
        ShardLayout.WIDTH: columns == asked_columns and rows <= asked_rows,
    }
    in_rows = layout.page is PageLayout.ROW_MAJOR
    alike = replace(layout, shard_shape=target.shard_shape) == target
    return in_rows and alike and fills.get(layout.sharding, False)


def asked_layout(config: FixedConfig | EltwiseConfig) -> TensorLayout:
    """Return the layout that a configuration names outright."""
    return config.output if isinstance(config, FixedConfig) else config.layout


def _asked(config: LayerConfig, layout: TensorLayout) -> Iterator[tuple[str, bool]]:
    """Yield what was asked in words, and whether it is so."""
    if isinstance(config, FixedConfig | EltwiseConfig):
        target = asked_layout(config)
        yield str(target), is_as_asked(target, layout)
        return
    yield str(config.output_dtype), layout.dtype is config.output_dtype
    if isinstance(config, MatmulConfig):
        memory, sharding = _MATMUL_OUTPUTS[config.output]
        yield _place(memory, sharding), (layout.memory, layout.sharding) == (memory, sharding)
        return
    if isinstance(config, Conv2dConfig | PoolConfig):
        yield str(config.output_page), layout.page is config.output_page
    yield from _asked_of_window(config, layout)


def _asked_of_window(
    config: Conv2dConfig | PoolConfig, layout: TensorLayout
) -> Iterator[tuple[str, bool]]:
    if config.output_memory == "dram":
        yield _place(*_IN_DRAM), (layout.memory, layout.sharding) == _IN_DRAM
    elif config.shard_layout is not None:
        wanted = (Memory.L1, config.shard_layout)
        yield _place(*wanted), (layout.memory, layout.sharding) == wanted
    else:
        yield "L1", layout.memory is Memory.L1


def _place(memory: Memory, sharding: ShardLayout) -> str:
    return f"{memory.value.upper()} {sharding.value}"
