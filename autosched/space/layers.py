"""What may be chosen for layers that run in the layout their neighbours leave or want.

A convolution brings its own layouts. Pools, additions, matmuls and reshapes mostly take what is
there, so their candidates are made from the layouts that the tensors around them can have.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from autosched.boards import Board
from autosched.network.graph import Layer
from autosched.network.left_layouts import is_image, is_mean, rows_and_columns
from autosched.network.legal_values import (
    CONVERT_TO_CHW,
    CONVERT_TO_HWC,
    TRANSPOSE,
    TURNED_TILES,
    channels_first_methods,
)
from autosched.network.operators import (
    DEVICE,
    Binary,
    DeviceInput,
    DeviceOutput,
    GlobalAvgPool2d,
    GroupNorm,
    HostOp,
    HostOutput,
    Input,
    LayerNorm,
    Linear,
    Output,
    Pool2d,
    Unary,
)
from autosched.schedule.configurations import (
    SLICINGS,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import (
    TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.convolutions import slice_counts
from autosched.space.efforts import Effort
from autosched.space.images import image_candidates, is_image_layer
from autosched.space.layer_formats import LayerFormats, host_config
from autosched.space.matmuls import Product, programs
from autosched.space.norms import norm_candidates


@dataclass(frozen=True)
class Option:
    """A configuration and the layouts its inputs have; None asks the device for native ones."""

    config: LayerConfig
    input_layouts: tuple[TensorLayout, ...] | None


def options(
    layer: Layer,
    formats: LayerFormats,
    input_layouts: Sequence[Sequence[TensorLayout]],
    wanted: Sequence[TensorLayout],
) -> list[Option]:
    """Return the options of a layer that is not a convolution.

    ``input_layouts`` has, for each input, the layouts its producer can leave (the network's
    inputs: those they are uploaded in), ``wanted`` the layouts that consumers take natively.
    """
    if is_image_layer(layer, formats):
        candidates = image_candidates(layer, formats, input_layouts, wanted)
        return [Option(config, layouts) for config, layouts in candidates]
    match layer.op:
        case Pool2d() | GlobalAvgPool2d():
            return _pool_options(layer, formats, input_layouts[0], wanted)
        case Binary() | Unary():
            return _eltwise_options(layer, formats, input_layouts, wanted)
        case Linear():
            return _linear_options(layer, formats, input_layouts[0])
        case Input():
            return _input_options(layer, wanted)
        case _:
            return _fixed_options(layer, formats, input_layouts, wanted)


def _fixed_options(
    layer: Layer,
    formats: LayerFormats,
    sources: Sequence[Sequence[TensorLayout]],
    wanted: Sequence[TensorLayout],
) -> list[Option]:
    """Return a layer that runs as ttnn has it, wherever its input is; several inputs in DRAM."""
    if isinstance(layer.op, LayerNorm | GroupNorm):
        norms = norm_candidates(layer, formats, sources[0], wanted)
        return [Option(config, (layout,)) for config, layout in norms]
    if isinstance(layer.op, DeviceOutput):
        return _device_output_options(layer.op, sources[0])
    if isinstance(layer.op, HostOp):
        return _host_options(layer, formats, sources)
    if len(sources) != 1:
        inputs = tuple(_dram(layouts)[0] for layouts in sources)
        return [Option(formats.as_left(layer, inputs), inputs)]
    (layouts,) = sources
    if isinstance(layer.op, Output) and is_image(layer.shape):
        return _image_output_options(layer, formats, layouts)
    taken = layouts if isinstance(layer.op, Output) else _tiles_or_rows_in_dram(layouts)
    return [
        Option(formats.as_left(layer, (layout,)), (layout,))
        for layout in _distinct([*_dram(_tiles(layouts) or layouts), *taken])
    ]


def _host_options(
    layer: Layer, formats: LayerFormats, sources: Sequence[Sequence[TensorLayout]]
) -> list[Option]:
    """Return a host layer: what it reads alone for the caller may lie anywhere, else in DRAM."""
    config = host_config(layer, formats)
    places = [tuple(_dram(layouts)[0] for layouts in sources)]
    if isinstance(layer.op, HostOutput) and len(sources) == 1:
        places += [(layout,) for layout in sources[0]]
    return [Option(config, inputs) for inputs in dict.fromkeys(places)]


def _image_output_options(
    layer: Layer, formats: LayerFormats, layouts: Sequence[TensorLayout]
) -> list[Option]:
    """Return the ways to PyTorch's order: rows permuted, or tiles turned, from where they lie."""
    in_dram = _dram(_tiles(layouts) or layouts)
    ways = channels_first_methods(layer.shape)
    found = [
        Option(formats.as_left(layer, (layout,)), (layout,))
        for layout in _distinct([*in_dram, *layouts])
    ]
    if TRANSPOSE in ways:
        channels, pixels = layer.shape[1], layer.shape[0] * math.prod(layer.shape[2:])
        # Of fewer channels ttnn's conversion is faster.
        many = layouts if channels > TILE else ()
        shards = [layout for layout in many if _cuts_evenly(layout, pixels)]
        found += [Option(FixedConfig(method=TRANSPOSE), (layout,)) for layout in in_dram]
        found += [
            Option(FixedConfig(method=method), (layout,))
            for layout in shards
            for method in TURNED_TILES
        ]
    if CONVERT_TO_CHW in ways:
        found += [
            Option(FixedConfig(method=CONVERT_TO_CHW), (layout,))
            for layout in _tiles(layouts)
            if layout.sharding is ShardLayout.HEIGHT
        ]
    return found


def _cuts_evenly(layout: TensorLayout, pixels: int) -> bool:
    """Whether height shards of tiles have an equal part of an image's pixels each."""
    if layout.sharding is not ShardLayout.HEIGHT or layout.page is not PageLayout.TILE:
        return False
    assert layout.shard_shape is not None  # noqa: S101 - it is sharded
    return layout.shard_shape[0] * layout.cores == pixels


def _device_input_options(op: DeviceInput, wanted: Sequence[TensorLayout]) -> list[Option]:
    """Return the places in which the caller may have put an image: rows, or what readers want."""
    rows = TensorLayout(page=PageLayout.ROW_MAJOR)
    places = [rows, TensorLayout(), *wanted] if op.order == DEVICE else [rows]
    return [
        Option(FixedConfig(output=layout, method=op.order), (layout,))
        for layout in _distinct(places)
    ]


def _device_output_options(op: DeviceOutput, layouts: Sequence[TensorLayout]) -> list[Option]:
    """Return a tensor brought to rows in DRAM from wherever it is, or left there."""
    rows = TensorLayout(page=PageLayout.ROW_MAJOR)
    return [
        Option(
            FixedConfig(output=layout if op.order == DEVICE else rows, method=op.order), (layout,)
        )
        for layout in _distinct([*_dram(layouts), *layouts])
    ]


def _input_options(layer: Layer, wanted: Sequence[TensorLayout]) -> list[Option]:
    """Return the ways from PyTorch's order of elements to ttnn's.

    A permutation in DRAM always works. Height shards of channel rows can be made at once: on the
    cores that the next layer wants, or on the most of them that divide an image; or, of all images
    side by side, in whole tiles of pixels, of which the last core has what is left. More channels
    than a tile's, in whole tiles, are turned as tiles in such shards.
    """
    if isinstance(layer.op, DeviceInput):
        return _device_input_options(layer.op, wanted)
    row_major = TensorLayout(page=PageLayout.ROW_MAJOR)
    if not is_image(layer.shape):
        return [Option(FixedConfig(), (row_major,))]
    found = [Option(FixedConfig(output=row_major, method="permute"), (row_major,))]
    batch, channels, height, width = layer.shape
    rows = [
        layout
        for layout in wanted
        if layout.page is PageLayout.ROW_MAJOR and layout.sharding is ShardLayout.HEIGHT
    ]
    pixels = height * width
    even = (_even_shards(layout, batch, pixels) for layout in rows)
    shards = _distinct([*even, *(_shards_of_tiles(layout, batch * pixels) for layout in rows)])
    found += [
        Option(FixedConfig(output=target, method=CONVERT_TO_HWC), (row_major,)) for target in shards
    ]
    if channels <= TILE or channels % TILE:
        return found
    return found + [
        Option(FixedConfig(output=target, method=method), (row_major,))
        for target in _distinct(_shards_of_even_tiles(wanted, layer.shape))
        for method in TURNED_TILES
    ]


def _shards_of_even_tiles(
    wanted: Iterable[TensorLayout], shape: Sequence[int]
) -> Iterator[TensorLayout]:
    """Yield height shards of whole tiles on as many of the wanted cores as have an equal part."""
    batch, channels, height, width = shape
    for layout in wanted:
        if layout.sharding is not ShardLayout.HEIGHT:
            continue
        tiles = TensorLayout(
            Memory.L1, ShardLayout.HEIGHT, grid=layout.grid, shard_shape=(TILE, channels)
        )
        even = _even_shards(tiles, batch, height * width)
        if even.shard_shape is not None and not even.shard_shape[0] % TILE:
            yield even


def _even_shards(wanted: TensorLayout, batch: int, pixels: int) -> TensorLayout:
    """Return height shards of whole images' parts on as many of the wanted cores as divide them."""
    counts = [count for count in range(wanted.cores, 0, -1) if pixels % count == 0]
    in_tiles = (count for count in counts if batch * pixels // count % TILE == 0)
    cores = next(in_tiles, counts[0])
    return _on_cores(wanted, cores, batch * pixels // cores)


def _shards_of_tiles(wanted: TensorLayout, pixels: int) -> TensorLayout:
    """Return height shards of whole tiles of pixels, on at most the wanted cores."""
    rows = -(-pixels // (TILE * wanted.cores)) * TILE
    return _on_cores(wanted, -(-pixels // rows), rows)


def _on_cores(wanted: TensorLayout, cores: int, rows: int) -> TensorLayout:
    """Return a layout with ``rows`` on each of so many cores, in the grid's order."""
    assert wanted.shard_shape is not None  # noqa: S101 - it is sharded
    shard_shape = (rows, wanted.shard_shape[1])
    if (cores, shard_shape) == (wanted.cores, wanted.shard_shape):
        return wanted
    columns = max(part.x1 for part in wanted.grid) + 1
    rows, rest = divmod(cores, columns)
    whole = (CoreRange(0, 0, columns - 1, rows - 1),) if rows else ()
    partial = (CoreRange(0, rows, rest - 1, rows),) if rest else ()
    return replace(wanted, grid=whole + partial, shard_shape=shard_shape)


def _pool_options(
    layer: Layer,
    formats: LayerFormats,
    sources: Sequence[TensorLayout],
    wanted: Sequence[TensorLayout],
) -> list[Option]:
    """Return a pool in every sharding and from where its input is; in rows if they are wanted."""
    base = PoolConfig(output_dtype=formats.output_dtype(layer))
    native = [
        Option(replace(base, shard_layout=layout), None)
        for layout in (ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH)
    ]
    taken = [Option(base, (layout,)) for layout in sources if layout.is_sharded]
    sliced = replace(base, output_memory="dram")
    in_dram = [Option(sliced, (layout,)) for layout in _dram(sources)]
    found = native + taken + in_dram
    if any(layout.page is PageLayout.ROW_MAJOR for layout in wanted):
        rows = replace(base, output_page=PageLayout.ROW_MAJOR, output_dtype=DataType.BFLOAT16)
        found.append(Option(replace(rows, shard_layout=ShardLayout.HEIGHT), None))
        found += [
            Option(rows, (layout,)) for layout in sources if layout.sharding is ShardLayout.HEIGHT
        ]
    if is_mean(layer.op, formats.input_shapes(layer)[0]):
        found += [_in_format_of_input(option) for option in taken + in_dram]
    return list(dict.fromkeys(found))


def _in_format_of_input(option: Option) -> Option:
    """Return a pool whose output has the format of its input, as reductions leave it."""
    assert isinstance(option.config, PoolConfig)  # noqa: S101 - a pool's
    assert option.input_layouts is not None  # noqa: S101 - not a native one
    dtype = option.input_layouts[0].dtype
    return replace(option, config=replace(option.config, output_dtype=dtype))


def sliced_pools(base: PoolConfig, source: TensorLayout, effort: Effort) -> list[Option]:
    """Return ways to pool an image that is too large for L1, from DRAM to DRAM.

    ``source`` is its layout in DRAM. Tiles hold rows of more than one image row where the width
    is not a multiple of theirs, and a slice then costs a copy of the image; rows do not.
    """
    in_dram = replace(base, shard_layout=None, output_memory="dram")
    in_rows = replace(in_dram, output_page=PageLayout.ROW_MAJOR, output_dtype=DataType.BFLOAT16)
    rows = TensorLayout(page=PageLayout.ROW_MAJOR)
    return [
        Option(replace(config, slicing=slicing, num_slices=count), (layout,))
        for config, layout in ((in_dram, source), (in_rows, rows))
        for slicing, count in (
            ("auto", 0),
            *((slicing, count) for slicing in SLICINGS for count in slice_counts(effort)),
        )
    ]


def _eltwise_options(
    layer: Layer,
    formats: LayerFormats,
    sources: Sequence[Sequence[TensorLayout]],
    wanted: Sequence[TensorLayout],
) -> list[Option]:
    """Return one option per layout: every input and the output in it.

    Inputs keep the formats their producers leave; only memory and sharding are common.
    """
    dtype = formats.output_dtype(layer)
    places = _distinct(
        replace(layout, dtype=dtype, page=PageLayout.TILE)
        for layouts in (*sources, wanted)
        for layout in [*_dram(layouts), *layouts]
        if layout.page is PageLayout.TILE
    )
    dtypes = [layouts[0].dtype if layouts else dtype for layouts in sources]
    # A function of one tensor has no format of its own: another one would be a second op.
    left = dtypes[0] if isinstance(layer.op, Unary) else dtype
    return [
        Option(
            EltwiseConfig(output_dtype=left, layout=replace(place, dtype=left)),
            tuple(replace(place, dtype=input_dtype) for input_dtype in dtypes),
        )
        for place in places
    ]


def dealt_products(
    layer: Layer,
    formats: LayerFormats,
    sources: Sequence[TensorLayout],
    board: Board,
    effort: Effort,
) -> list[Option]:
    """Return the programs of a linear layer's own, which read its input in DRAM."""
    assert isinstance(layer.op, Linear)  # noqa: S101 - asked for linear layers
    rows, features = rows_and_columns(formats.input_shapes(layer)[0])
    sizes = (rows, features, layer.op.out_features)
    product = Product(*(-(-size // TILE) for size in sizes))
    base = _linear_base(layer, formats)
    return [
        Option(config, (source,))
        for source in _dram(sources)
        for config in programs(product, base, source.dtype, board, effort)
    ]


def _linear_base(layer: Layer, formats: LayerFormats) -> MatmulConfig:
    return MatmulConfig(
        weights_dtype=formats.weights_dtype(layer),
        output_dtype=formats.output_dtype(layer),
        compute=formats.compute(layer),
    )


def _linear_options(
    layer: Layer, formats: LayerFormats, sources: Sequence[TensorLayout]
) -> list[Option]:
    base = _linear_base(layer, formats)
    taken = _distinct([*_dram(sources), *_tiles(sources)])
    return [
        Option(replace(base, output=output), (layout,))
        for layout in taken
        for output in ("dram", "width")
    ]


def _tiles(layouts: Iterable[TensorLayout]) -> list[TensorLayout]:
    return [layout for layout in layouts if layout.page is PageLayout.TILE]


def _tiles_or_rows_in_dram(layouts: Iterable[TensorLayout]) -> list[TensorLayout]:
    """Return what a layer takes as it is: an image comes into the network as rows in DRAM."""
    return [item for item in layouts if item.page is PageLayout.TILE or not item.is_sharded]


def _dram(layouts: Sequence[TensorLayout]) -> list[TensorLayout]:
    """Return the interleaved DRAM layout in the format of the given ones."""
    return [TensorLayout(Memory.DRAM, dtype=layouts[0].dtype)] if layouts else []


def _distinct(layouts: Iterable[TensorLayout]) -> list[TensorLayout]:
    return list(dict.fromkeys(layouts))
