"""What may be chosen for layers that put images together, cut them, enlarge or broadcast them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from autosched.network.graph import Layer
from autosched.network.left_layouts import sliced
from autosched.network.operators import (
    Binary,
    Concat,
    ConcatRows,
    Gather,
    Pad,
    PixelShuffle,
    Slice,
    Upsample,
)
from autosched.schedule.configurations import EltwiseConfig, FixedConfig, LayerConfig
from autosched.schedule.tensors import DataType, Memory, PageLayout, ShardLayout, TensorLayout
from autosched.space.layer_formats import LayerFormats

ImageCandidate = tuple[LayerConfig, tuple[TensorLayout, ...]]
"""A configuration and the layouts of its inputs."""

Layouts = Sequence[TensorLayout]

# Row-major shards start where the network-on-chip can write: at whole 16 bytes.
_TILE = 32
_COLUMN_STEP = {PageLayout.TILE: 32, PageLayout.ROW_MAJOR: 8}
# Places in which a concatenation is tried: each costs a reshard probe for every input.
_CONCAT_PLACES = 6
# Layouts in which the small operand of a broadcast is tried beside DRAM.
_SMALL_OPERANDS = 2


def is_image_layer(layer: Layer, formats: LayerFormats) -> bool:
    """Return whether :func:`image_candidates` knows the layer."""
    if isinstance(layer.op, Binary):
        return len(set(formats.input_shapes(layer))) > 1
    return isinstance(
        layer.op, Concat | ConcatRows | Slice | Upsample | Pad | Gather | PixelShuffle
    )


def image_candidates(
    layer: Layer, formats: LayerFormats, sources: Sequence[Layouts], wanted: Layouts
) -> list[ImageCandidate]:
    """Return the candidates of a layer; the arguments are those of ``layers.options``."""
    match layer.op:
        case Binary():
            found = _broadcast(layer, formats, sources, wanted)
        case Concat():
            found = _concat(layer, formats, sources, wanted)
        case ConcatRows():
            in_dram = TensorLayout(dtype=formats.output_dtype(layer))
            found = [(FixedConfig(output=in_dram), (in_dram,) * len(sources))]
        case Slice() as op:
            found = _slice(op, sources[0])
        case Upsample() as op:
            shape = formats.input_shapes(layer)[0]
            found = [
                *_in_rows(layer, formats, sources[0]),
                *_upsampled_shards(op, shape, sources[0]),
            ]
        case _:
            found = _in_rows(layer, formats, sources[0])
    return list(dict.fromkeys(found))


def _broadcast(
    layer: Layer, formats: LayerFormats, sources: Sequence[Layouts], wanted: Layouts
) -> list[ImageCandidate]:
    """The image stays where it is; the small operand may lie anywhere."""
    dtype = formats.output_dtype(layer)
    images, small = (_tiles(layouts) for layouts in sources)
    places = dict.fromkeys(
        replace(layout, dtype=dtype)
        for layout in (*_dram(sources[0]), *images, *_dram(wanted), *_tiles(wanted))
    )
    image_dtype = sources[0][0].dtype
    return [
        (
            EltwiseConfig(output_dtype=dtype, layout=place),
            (replace(place, dtype=image_dtype), other),
        )
        for place in places
        for other in (*_dram(sources[1]), *small[:_SMALL_OPERANDS])
    ]


def _concat(
    layer: Layer, formats: LayerFormats, sources: Sequence[Layouts], wanted: Layouts
) -> list[ImageCandidate]:
    """All inputs in one place: tiles or rows in DRAM, or shards of equal rows on equal cores."""
    in_dram = TensorLayout(dtype=formats.output_dtype(layer))
    around = [*sources, wanted]
    plain = [in_dram, *_rows(chain.from_iterable(around))]
    widths = [shape[1] for shape in formats.input_shapes(layer)]
    found: list[ImageCandidate] = [
        (FixedConfig(output=place), (place,) * len(widths)) for place in plain
    ]
    # Neighbours take turns, and tiles and rows of each: of one that may lie in many shards of rows,
    # too large for L1 perhaps, the first would else leave no place for any others.
    groups = [
        [
            candidate
            for layout in layouts
            if layout.page is page
            for candidate in _concatenated_shards(layout, widths, in_dram.dtype)
        ]
        for page in PageLayout
        for layouts in around
    ]
    turns = dict.fromkeys(chain.from_iterable(zip_longest(*groups)))
    sharded = [candidate for candidate in turns if candidate is not None]
    return found + sharded[:_CONCAT_PLACES]


def _concatenated_shards(
    layout: TensorLayout, widths: Sequence[int], dtype: DataType
) -> list[ImageCandidate]:
    columns = _shard_columns(layout)
    if layout.shard_shape is None or not columns:
        return []
    step = _COLUMN_STEP[layout.page] * columns
    if any(width % step for width in widths):
        return []
    rows = layout.shard_shape[0]
    if layout.page is PageLayout.ROW_MAJOR:
        dtype = DataType.BFLOAT16
    inputs, output = (
        [replace(layout, dtype=dtype, shard_shape=(rows, width // columns)) for width in group]
        for group in (widths, (sum(widths),))
    )
    return [(FixedConfig(output=output[0]), tuple(inputs))]


def _shard_columns(layout: TensorLayout) -> int:
    """Return into how many shards the channels are cut; 0 where shards cannot be put together."""
    if layout.memory is not Memory.L1:
        return 0
    if layout.sharding is ShardLayout.HEIGHT:
        return 1
    if layout.sharding is ShardLayout.BLOCK and len(layout.grid) == 1:
        (grid,) = layout.grid
        return grid.y1 - grid.y0 + 1 if layout.transposed else grid.x1 - grid.x0 + 1
    return 0


def _slice(op: Slice, sources: Layouts) -> list[ImageCandidate]:
    """In DRAM, or in shards of whole rows."""
    found: list[ImageCandidate] = [
        (FixedConfig(output=sliced(op, place)), (place,))
        for place in [*_dram(sources), *_rows(sources)]
    ]
    for layout in sources:
        step = _COLUMN_STEP[layout.page]
        if _shard_columns(layout) == 1 and not op.start % step and not op.stop % step:
            assert layout.shard_shape is not None  # noqa: S101 - it is sharded
            shards = (layout.shard_shape[0], op.stop - op.start)
            found.append((FixedConfig(output=replace(layout, shard_shape=shards)), (layout,)))
    return found


def _in_rows(layer: Layer, formats: LayerFormats, sources: Layouts) -> list[ImageCandidate]:
    config = FixedConfig(output=formats.dram_layout(layer))
    rows = TensorLayout(page=PageLayout.ROW_MAJOR)
    return [(config, (layout,)) for layout in [*_dram(sources), rows]]


def _upsampled_shards(op: Upsample, shape: Sequence[int], sources: Layouts) -> list[ImageCandidate]:
    """Each core enlarges its own shard."""
    return [
        (FixedConfig(output=_enlarged(op, shape, layout)), (layout,))
        for layout in sources
        if layout.memory is Memory.L1 and layout.shard_shape is not None
    ]


def _enlarged(op: Upsample, shape: Sequence[int], layout: TensorLayout) -> TensorLayout:
    """Return where ttnn leaves an enlarged shard: without what only filled up a tile."""
    assert layout.shard_shape is not None  # noqa: S101 - it is sharded
    batch, channels, height, width = shape
    rows, columns = layout.shard_shape
    if op.mode == "bilinear" and channels % _TILE:
        # Padded to whole tiles of channels first, and cut again in DRAM.
        return TensorLayout(page=PageLayout.ROW_MAJOR)
    if layout.sharding is ShardLayout.WIDTH:
        rows = min(rows, batch * height * width)
    elif _shard_columns(layout) == 1:
        columns = min(columns, channels)
    rows *= op.scale[0] * op.scale[1]
    if op.mode == "bilinear" and layout.sharding is ShardLayout.HEIGHT:
        # The halo leaves each core as many pixels as the others.
        rows = -(-math.prod((batch, height, width, *op.scale)) // layout.cores)
    return replace(
        layout,
        dtype=DataType.BFLOAT16,
        page=PageLayout.ROW_MAJOR,
        shard_shape=(rows, columns),
    )


def _tiles(layouts: Iterable[TensorLayout]) -> list[TensorLayout]:
    return [layout for layout in layouts if layout.page is PageLayout.TILE]


def _rows(layouts: Iterable[TensorLayout]) -> list[TensorLayout]:
    """Return rows in DRAM where some layout has rows."""
    rows = TensorLayout(page=PageLayout.ROW_MAJOR)
    return [rows] if any(layout.page is PageLayout.ROW_MAJOR for layout in layouts) else []


def _dram(layouts: Layouts) -> list[TensorLayout]:
    """Return tiles in DRAM in the format of the given layouts."""
    return [TensorLayout(dtype=layouts[0].dtype)] if layouts else []
