"""What may be chosen for a convolution.

Candidates come in stages. *Structures* decide the program's shape and memory: shard layout,
activation block, core grid. *Refinements* of a structure that proved itself switch on what trades
L1 for time: double buffers, the full inner dimension, activation reuse and the like. What seldom
pays is tried last, on the best of these. Legality is only pre-filtered here by ttnn's documented
rules; the device has the last word.
"""

import functools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from autosched.boards import Board
from autosched.network.operators import Conv2d, Convolution, is_pointwise
from autosched.schedule.configurations import SLICINGS, Conv2dConfig
from autosched.schedule.tensors import TILE, CoreRange, ShardLayout
from autosched.space.efforts import Effort

_SLICE_BLOCKS = (64, 32, 128, 256)
_NARROW_COUNTS = (2, 3, 4, 6, 8, 16)
_SLICE_COUNTS = (4, 2, 8, 16, 3, 32)
# A narrower grid than this is Wormhole's own, where ttnn has little choice.
_FEW_COLUMNS = 6
# What a core may have more of than where all cores work: even parts may be worth it.
_MORE_TILES = 1.3
# Of the pixels of an image, those that are left of it at half its height and width are one.
_HALVED = 4
_LAYOUTS = (ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH)


def structures(
    op: Convolution, shape: tuple[int, ...], base: Conv2dConfig, board: Board, effort: Effort
) -> list[Conv2dConfig]:
    """Return the structures of a convolution whose output has ``shape`` (N, C, H, W).

    ``base`` carries the formats and compute configuration that all candidates share.
    """
    found = [
        replace(base, shard_layout=layout, act_block_h_override=block)
        for layout in _LAYOUTS
        for block in _block_heights(shape, layout, board, effort)
    ]
    if is_pointwise(op):
        return found
    if effort.grids:
        grids = [(layout, grid) for layout in _LAYOUTS for grid in _grids(layout, board)]
    elif effort.blocks_per_layout > 1:
        grids = [(ShardLayout.BLOCK, grid) for grid in _narrower_grids(op, board)]
    else:
        grids = []
    return found + [replace(base, shard_layout=layout, core_grid=(grid,)) for layout, grid in grids]


def folded_structures(
    op: Convolution, shape: tuple[int, ...], base: Conv2dConfig, board: Board, effort: Effort
) -> list[Conv2dConfig]:
    """Return the structures of a convolution with folded input whose output has ``shape``.

    ``op`` is what runs on the folded image. Height shards alone, as that has less than a tile or
    two of channels to spread; a single window is a matrix product, which may have any.
    """
    layouts = _LAYOUTS if is_pointwise(op) else (ShardLayout.HEIGHT,)
    return [
        replace(base, shard_layout=layout, act_block_h_override=block, fold_input=True)
        for layout in layouts
        for block in _block_heights(shape, layout, board, effort)
    ]


def refinements(op: Convolution, structure: Conv2dConfig, board: Board) -> list[Conv2dConfig]:
    """Return ``structure`` with every combination of switches that can matter to it."""
    switches: list[dict[str, object]] = [{}]
    for name, values in _switches(op, structure, board):
        switches += [{**chosen, name: value} for chosen in switches for value in values]
    return [replace(structure, **chosen) for chosen in switches if chosen]  # type: ignore[arg-type]


def _switches(
    op: Convolution, structure: Conv2dConfig, board: Board
) -> Iterator[tuple[str, tuple[object, ...]]]:
    if is_pointwise(op) and structure.shard_layout is not ShardLayout.WIDTH:
        return  # runs as a matmul, which has none of these
    yield "enable_act_double_buffer", (True,)
    yield "enable_weights_double_buffer", (True,)
    match structure.shard_layout:
        case ShardLayout.BLOCK:
            yield "full_inner_dim", (True,)
        case ShardLayout.WIDTH:
            yield "act_block_w_div", _width_divisors(op, board)
        case ShardLayout.HEIGHT if may_reuse_activations(op):
            yield "enable_activation_reuse", (True,)
        case _:
            pass


def rare_switches(op: Convolution, refined: Conv2dConfig) -> list[Conv2dConfig]:
    """Return ``refined`` with each switch on that seldom pays, one at a time.

    ttnn decides by itself whether two cores' readers share the activation (split reader), and a
    forced choice is taken as it is; the halo's and pool's config tensors are small in L1; partial
    sums that the packer adds up in L1 take a buffer; a transposed grid of block shards changes
    which cores share a row of the NoC.
    """
    if is_pointwise(op):
        return []
    found = [
        replace(refined, config_tensors_in_dram=True),
        replace(refined, compute=replace(refined.compute, packer_l1_acc=False)),
    ]
    if refined.shard_layout is ShardLayout.WIDTH:
        return found
    found += [replace(refined, force_split_reader=forced) for forced in (True, False)]
    if refined.shard_layout is ShardLayout.BLOCK:
        found.append(replace(refined, transpose_shards=True))
    return found


def split_readers(op: Convolution, refined: Conv2dConfig) -> list[Conv2dConfig]:
    """Return ``refined`` with its activation read by two cores' readers, where it is in blocks.

    ttnn itself seldom splits them there.
    """
    is_block = refined.shard_layout is ShardLayout.BLOCK and not is_pointwise(op)
    return [replace(refined, force_split_reader=True)] if is_block else []


def may_reuse_activations(op: Convolution) -> bool:
    """Return whether ttnn may reuse what it read for one row of pixels for the next."""
    return isinstance(op, Conv2d) and op.kernel[1] > 1 and op.stride == (1, 1)


def _width_divisors(op: Convolution, board: Board) -> tuple[int, ...]:
    tiles = math.ceil(op.in_channels / TILE)
    return tuple(divisor for divisor in (2, 4) if tiles % (divisor * min(tiles, board.cores)) == 0)


def _block_heights(
    shape: tuple[int, ...], layout: ShardLayout, board: Board, effort: Effort
) -> list[int]:
    """Return act_block_h values in elements: 0 (ttnn's choice) and multiples of a tile.

    Every multiple up to twice the rows a core holds can make sense: ttnn rounds the shard up to
    the block, so a block may also shrink the number of cores. The ones that divide a core's rows
    leave the cores alone and come first; where they are few, those for which a core takes least
    more than its rows: 7 tiles, twice, where 13 have no divisor.
    """
    batch, _, height, width = shape
    rows = math.ceil(batch * height * width / TILE)
    per_core = _tiles_of_a_core(shape, layout, board)
    divisors = _divisors(per_core)
    others = [tiles for tiles in range(1, min(rows, 2 * per_core) + 1) if tiles not in divisors]
    chosen = _ends_first(divisors, effort.blocks_per_layout)
    left = effort.blocks_per_layout - len(chosen)
    near = _least_more(others, per_core)[: (left + 1) // 2] if left > 0 else []
    chosen += near + _spread([tiles for tiles in others if tiles not in near], left - len(near))
    if layout is ShardLayout.HEIGHT:
        for part in _dividing_parts(rows, width, per_core):
            blocks = [tiles for tiles in range(1, part + 1) if _filled(per_core, tiles) == part]
            chosen += _spread(blocks, effort.dividing_blocks)
    return [0, *(tiles * TILE for tiles in dict.fromkeys(chosen))]


def higher_block(
    shape: tuple[int, ...], layout: ShardLayout, board: Board, fits: int, does_not: int
) -> int | None:
    """Return an act_block_h in the middle between one that fits and a higher one that does not.

    None if nothing between them divides a core's rows of an output of ``shape`` (N, C, H, W).
    """
    blocks = [tiles * TILE for tiles in _divisors(_tiles_of_a_core(shape, layout, board))]
    between = [block for block in blocks if fits < block < does_not]
    middle = math.sqrt(fits * does_not)
    return min(between, key=lambda block: abs(math.log(block / middle)), default=None)


def _tiles_of_a_core(shape: tuple[int, ...], layout: ShardLayout, board: Board) -> int:
    """Return how many tiles of pixels a core has, where all cores work."""
    batch, _, height, width = shape
    split = {ShardLayout.HEIGHT: board.cores, ShardLayout.BLOCK: board.grid[1]}
    return math.ceil(math.ceil(batch * height * width / TILE) / split.get(layout, 1))


def _divisors(number: int) -> list[int]:
    return [part for part in range(1, number + 1) if number % part == 0]


def _ends_first(values: list[int], count: int) -> list[int]:
    """Return ``count`` of ``values`` in their order: the last, the first, the second to last, more.

    A whole shard is fast but may not fit, one tile takes least memory, half a shard is between.
    """
    order = dict.fromkeys((*_bisected(len(values))[:2], len(values) - 2, *_bisected(len(values))))
    return [values[index] for index in sorted(index for index in list(order)[:count] if index >= 0)]


def _dividing_parts(tiles: int, width: int, per_core: int) -> list[int]:
    """Return tiles of an image that each of somewhat fewer cores may have, all of them as many.

    ttnn takes the most cores, and the last has less. Where none has, the fewest tiles will do,
    and the fewest that halve with the image's sides, as a pool does, or are whole rows of the
    image, of which what was read for one is there for the next.
    """
    row = math.lcm(width, TILE) // TILE
    parts = range(per_core, int(_MORE_TILES * per_core) + 1)
    even = [part for part in parts if tiles % part == 0]
    fewest = [
        next((part for part in even if part % step == 0), per_core) for step in (1, _HALVED, row)
    ]
    return [part for part in dict.fromkeys(fewest) if part != per_core]


def _filled(per_core: int, block: int) -> int:
    """Return the tiles that a core has of whole blocks."""
    return math.ceil(per_core / block) * block


def _least_more(blocks: list[int], per_core: int) -> list[int]:
    """Return blocks in the order of what a core takes of them, those of middle height first.

    The highest of many may not fit, the lowest are slow.
    """
    by_whole: dict[int, list[int]] = {}
    for tiles in blocks:
        by_whole.setdefault(_filled(per_core, tiles), []).append(tiles)
    found = []
    for whole in sorted(by_whole):
        alike = by_whole[whole]
        ends, middle = _bisected(len(alike))[:2], _bisected(len(alike))[2:]
        found += [alike[index] for index in (*middle, *reversed(ends))]
    return found


def _spread(values: list[int], count: int) -> list[int]:
    """Return at most ``count`` of ``values``, spread and in their order; fewer are among more."""
    return [values[index] for index in sorted(_bisected(len(values))[: max(0, count)])]


@functools.cache
def _bisected(count: int) -> tuple[int, ...]:
    """Return the numbers below ``count``: the last, the first, then halves of what lies between."""
    found = list(dict.fromkeys((count - 1, 0))) if count else []
    gaps = deque([(0, count - 1)])
    while gaps:
        low, high = gaps.popleft()
        middle = (low + high) // 2
        if middle > low:
            found.append(middle)
            gaps += [(low, middle), (middle, high)]
    return tuple(found)


def in_slices(base: Conv2dConfig) -> Conv2dConfig:
    """Return the configuration that takes images of any size, from DRAM to DRAM.

    ttnn itself decides how many slices an image needs, and how each is sharded.
    """
    return replace(
        base,
        slicing="auto",
        output_memory="dram",
        reallocate_halo_output=True,
    )


def slicings(base: Conv2dConfig, effort: Effort) -> list[Conv2dConfig]:
    """Return further ways to take an image that is too large for L1, from DRAM to DRAM.

    With a low activation block ttnn needs fewer slices, or none: block height 0 stands for a
    whole shard, whose circular buffers are what does not fit.
    """
    counts = slice_counts(effort)[1:]
    found = []
    for layout in (ShardLayout.HEIGHT, ShardLayout.BLOCK):
        for block in _SLICE_BLOCKS[: effort.blocks_per_layout]:
            sliced = in_slices(replace(base, shard_layout=layout, act_block_h_override=block))
            found.append(sliced)
            found += [
                replace(sliced, slicing=slicing, num_slices=count)
                for slicing in SLICINGS
                for count in counts
            ]
    return found


def narrow_slices(base: Conv2dConfig) -> list[Conv2dConfig]:
    """Return ways to take an image of which each row of the output needs all rows of the input.

    Slices of its height are then the whole image each; those of its width are not, with the lowest
    activation block.
    """
    low = replace(in_slices(base), act_block_h_override=TILE, slicing="dram_width")
    return [
        replace(low, shard_layout=layout, num_slices=count)
        for count in _NARROW_COUNTS
        for layout in (None, ShardLayout.BLOCK)
    ]


def slice_counts(effort: Effort) -> tuple[int, ...]:
    """Return the numbers of slices worth trying; 0 first: as few as ttnn finds to fit."""
    return (0, *_SLICE_COUNTS[: effort.slices])


def _narrower_grids(op: Convolution, board: Board) -> Iterator[CoreRange]:
    """Yield the grids of fewer columns than ttnn takes that channels fill, of a wide board.

    ttnn takes the most columns into which the input's channels can be cut. The grid of a narrower
    board, where it takes fewer, may suit better, and the outputs' channels another one.
    """
    columns, rows = board.grid
    tiles = [math.ceil(channels / TILE) for channels in (op.in_channels, op.out_channels)]
    cuts = {part for count in tiles for part in range(1, columns + 1) if count % part == 0}
    own = max(part for part in range(1, columns + 1) if tiles[0] % part == 0)
    for part in sorted(cuts - {own}, reverse=True):
        if part >= _FEW_COLUMNS:
            yield CoreRange(0, 0, part - 1, rows - 1)


def _grids(layout: ShardLayout, board: Board) -> Iterable[CoreRange]:
    columns, rows = board.grid
    if layout is ShardLayout.BLOCK:
        for x in range(columns // 2, columns + 1):
            yield CoreRange(0, 0, x - 1, rows - 1)
            yield CoreRange(0, 0, x - 1, rows - 2)
    else:
        for y in range(1, rows + 1):
            yield CoreRange(0, 0, columns - 1, y - 1)
