"""Where layer norms and group norms run, and how group norms do."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from autosched.network.graph import Layer
from autosched.network.legal_values import COMPOSED, methods
from autosched.network.operators import GroupNorm
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.tensors import (
    TILE,
    CoreRange,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.layer_formats import LayerFormats

NormCandidate = tuple[FixedConfig, TensorLayout]
"""A configuration of a norm, and the layout of its input."""


def norm_candidates(
    layer: Layer,
    formats: LayerFormats,
    sources: Sequence[TensorLayout],
    wanted: Sequence[TensorLayout],
) -> list[NormCandidate]:
    """Return the candidates of a norm; the arguments are those of ``layers.options``."""
    tiles = [layout for layout in (*sources, *wanted) if layout.page is PageLayout.TILE]
    shards = [layout for layout in tiles if layout.is_sharded]
    if isinstance(layer.op, GroupNorm):
        found = _group_norms(layer, layer.op, sources, shards)
    else:
        in_dram = [TensorLayout(dtype=layout.dtype) for layout in sources[:1]]
        # ttnn has no layer norm of height shards or rows.
        of_columns = [item for item in shards if item.sharding is not ShardLayout.HEIGHT]
        found = [("", layout) for layout in (*in_dram, *of_columns)]
    return [
        (replace(formats.as_left(layer, (layout,)), method=method), layout)
        for method, layout in dict.fromkeys(found)
    ]


def _group_norms(
    layer: Layer, op: GroupNorm, sources: Sequence[TensorLayout], shards: Sequence[TensorLayout]
) -> list[tuple[str, TensorLayout]]:
    """Return ttnn's group norm in DRAM and in shards, and one composed of means and products.

    A core of ttnn's own takes one group after the other and waits for all that share it, which
    pays for few and large groups; what is composed passes over the image as a whole.
    """
    dtype = sources[0].dtype
    rows = [item for item in sources if item.page is PageLayout.ROW_MAJOR and not item.is_sharded]
    in_place = [replace(layout, dtype=dtype) for layout in shards]
    made = [replace(layout, dtype=dtype) for layout in _blocks_of_groups(layer, op, shards)]
    own = [layout for layout in (*in_place, *made) if _has_whole_groups(layout, layer, op)]
    in_dram = TensorLayout(dtype=dtype)
    found = [("", layout) for layout in (in_dram, *own, *rows)]
    if COMPOSED in methods(layer):
        found += [(COMPOSED, layout) for layout in (in_dram, *in_place)]
    return found


def _has_whole_groups(layout: TensorLayout, layer: Layer, op: GroupNorm) -> bool:
    """Whether cores of a rectangle have whole groups and tiles of channels, of one image each."""
    is_rectangle = len(layout.grid) == 1 and (layout.grid[0].x0, layout.grid[0].y0) == (0, 0)
    in_rows = layout.sharding in (ShardLayout.BLOCK, ShardLayout.HEIGHT) and not layout.transposed
    if not is_rectangle or not in_rows:
        return False
    assert layout.shard_shape is not None  # noqa: S101 - it is sharded
    _, channels, height, width = layer.shape
    rows, columns = layout.shard_shape
    is_whole = not channels % columns and not columns % math.lcm(channels // op.groups, TILE)
    return is_whole and not height * width % rows


def _blocks_of_groups(
    layer: Layer, op: GroupNorm, shards: Sequence[TensorLayout]
) -> Iterator[TensorLayout]:
    """Yield block shards of whole groups, on the most columns and rows of the grids there are."""
    batch, channels, height, width = layer.shape
    tiles, whole = height * width // TILE, math.lcm(channels // op.groups, TILE)
    if height * width % TILE or channels % whole or not shards:
        return
    last = [(part.x1, part.y1) for layout in shards for part in layout.grid]
    most_columns, most_rows = (max(place) + 1 for place in zip(*last, strict=True))
    columns = _largest_divisor(channels // whole, most_columns)
    rows = _largest_divisor(tiles, most_rows // batch) * batch
    if rows:
        yield TensorLayout(
            Memory.L1,
            ShardLayout.BLOCK,
            grid=(CoreRange(0, 0, columns - 1, rows - 1),),
            shard_shape=(batch * tiles // rows * TILE, channels // columns),
        )


def _largest_divisor(number: int, most: int) -> int:
    """Return the largest divisor of a number up to ``most``, 0 if there is none."""
    return next((count for count in range(most, 0, -1) if number % count == 0), 0)
