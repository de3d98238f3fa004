"""How a convolution is asked: structures first, then refinements of the promising, then the rare.

*Structures* decide the program's shape and memory, *refinements* its double buffers and the like.
What seldom pays is tried on the best of each sharding at last, and slices of an image in DRAM where
nothing else fits.
"""

from collections.abc import Sequence
from dataclasses import replace

from autosched.boards import Board
from autosched.network.graph import Layer
from autosched.network.narrow_images import as_told
from autosched.network.operators import Conv2d, Convolution, LayerOp, Shape, is_pointwise
from autosched.network.stem_folding import fold_stem
from autosched.probing.candidates import Asking, Choice, Given, LayerQuestions, choices_of, offered
from autosched.probing.restrictions import Restriction
from autosched.schedule.configurations import Conv2dConfig, LayerConfig
from autosched.schedule.outcomes import Rejection
from autosched.schedule.tensors import STICK, TILE, DataType, PageLayout, ShardLayout, TensorLayout
from autosched.space.convolutions import (
    folded_structures,
    higher_block,
    in_slices,
    may_reuse_activations,
    narrow_slices,
    rare_switches,
    refinements,
    slicings,
    split_readers,
    structures,
)
from autosched.space.efforts import Effort
from autosched.space.layers import Option

# A structure this much slower than the layer's fastest is not refined: double buffers and the
# like gain at most the 0.6 that silicon profiles show; in few blocks on Blackhole it was more.
_REFINE_WITHIN = 1.7
_REFINE_BLOCKS_WITHIN = 2.5


class ConvolutionStages:
    """Asks for a convolution, stage by stage: what the first answers say decides what comes next.

    ``rules`` are those of the layer: what they forbid is not refined.
    """

    def __init__(
        self,
        questions: LayerQuestions,
        board: Board,
        effort: Effort,
        layer: Layer,
        rules: Sequence[Restriction],
    ) -> None:
        self._questions = questions
        self._board = board
        self._effort = effort
        self._layer = layer
        self._rules = rules
        self._answers: Given = []

    def answers(self) -> Asking[tuple[list[Choice], Given]]:
        """Ask, and return what the device accepts, with all that it answered."""
        layer, answers = self._layer, self._answers
        op, _ = self._told()
        assert isinstance(op, Convolution)  # noqa: S101 - only made for convolutions
        base, source = self._questions.conv2d_base(layer), self._questions.source(layer)
        asked = structures(op, layer.shape, base, self._board, self._effort)
        found = yield from self._structured(op, [Option(config, None) for config in asked])
        sliced_base = self._questions.sliced_base(layer)
        last_resorts = [in_slices(sliced_base)]
        stem = self._folded_op()
        if stem is not None:
            found += yield from self._structured(stem, self._folded_options(stem, base, found))
            last_resorts.append(replace(in_slices(base), fold_input=True))
        # In native layouts: transposed shards want their input transposed, too.
        rare = [Option(config, None) for config in self._rare(op, found)]
        found += yield from self._questions.accepted(layer, rare, answers)
        if self._questions.may_come_in_rows(layer):
            shape = self._questions.input_shapes(layer)[0]
            filled_up = self._questions.may_come_in_filled_rows(layer)
            in_rows = taking_rows(op, shape, found, self._in_rows, filled_up=filled_up)
            found += yield from self._questions.accepted(layer, in_rows, answers)
        if self._questions.may_leave_rows(layer):
            found += yield from self._questions.accepted(
                layer, leaving_rows(op, found, self._in_rows), answers
            )
        # The last resort for an image that is too large for L1.
        sliced = [*last_resorts, *([] if found else slicings(sliced_base, self._effort))]
        in_dram = [Option(config, (source,)) for config in sliced]
        found += yield from self._questions.accepted(layer, in_dram, answers)
        if not found:
            narrow = [Option(config, (source,)) for config in narrow_slices(sliced_base)]
            found += yield from self._questions.accepted(layer, narrow, answers)
        return found, answers

    def _structured(self, op: Convolution, asked: Sequence[Option]) -> Asking[list[Choice]]:
        """Probe structures, then refinements of the promising ones; ``op`` is what ttnn runs."""
        found = yield from self._halo_moved(asked)
        asked = list(asked)
        while higher := higher_blocks(asked, found, self._layer.shape, self._board):
            asked += higher
            found += yield from self._halo_moved(higher)
        legal = [c for c in found if all(rule.leaves(c) for rule in self._rules)]
        distinct = _distinct_programs(offered(legal or found, self._effort))
        ranked = sorted(distinct, key=lambda choice: choice.time_us)
        refined = [
            Option(config, structure.input_layouts)
            for structure in self._promising(ranked)
            for config in refinements(op, _config(structure), self._board)
        ]
        refined += reusing(op, self._layer.shape, ranked)
        asked = list(dict.fromkeys(refined))
        found += yield from self._questions.accepted(self._layer, asked, self._answers)
        return found

    def _halo_moved(self, asked: Sequence[Option]) -> Asking[list[Choice]]:
        """Probe structures, and those that are rejected with their halo moved.

        It may fit after all once it is moved to where the input was.
        """
        moved = [_with_halo_moved(option) for option in asked]
        first = yield [self._questions.ask(self._layer, option) for option in asked]
        rejected = [place for place, answer in enumerate(first) if isinstance(answer, Rejection)]
        again = yield [self._questions.ask(self._layer, moved[place]) for place in rejected]
        second = dict(zip(rejected, again, strict=True))
        found: list[Choice] = []
        for place, answer in enumerate(first):
            last = second.get(place, answer)
            self._answers += [answer] if last is answer else [answer, last]
            option = moved[place] if place in second else asked[place]
            found += choices_of([last], option.config)
        return found

    def _folded_op(self) -> Conv2d | None:
        """Return what a strided stem, or a single window, becomes on its folded input."""
        op, shape = self._told()
        stem = fold_stem(op, shape) if isinstance(op, Conv2d) else None
        return None if stem is None else stem.op

    def _told(self) -> tuple[LayerOp, Shape]:
        """Return the operator and its input's shape as ttnn is told of them."""
        return as_told(self._layer.op, self._questions.input_shapes(self._layer)[0])

    def _folded_options(
        self, stem: Conv2d, base: Conv2dConfig, found: Sequence[Choice]
    ) -> list[Option]:
        """Return structures that fold rows in DRAM, or rows in the shards of the fastest so far."""
        shards = (
            choice.input_layouts
            for choice in sorted(found, key=lambda choice: choice.time_us)
            if choice.sharding is ShardLayout.HEIGHT
            and choice.input_layouts[0].page is PageLayout.ROW_MAJOR
        )
        places = dict.fromkeys([None, next(shards, None)])
        configs = folded_structures(stem, self._layer.shape, base, self._board, self._effort)
        return [Option(config, place) for place in places for config in configs]

    def _promising(self, ranked: Sequence[Choice]) -> list[Choice]:
        """Return the structures worth refining: the fastest, and the best of each sharding."""
        if not ranked:
            return []
        best_us = ranked[0].time_us
        near = [choice for choice in ranked if choice.time_us <= _REFINE_WITHIN * best_us]
        chosen = near[: self._effort.refined_structures]
        for sharding in ShardLayout:
            first = next((choice for choice in ranked if choice.sharding is sharding), None)
            if first is None or first in chosen:
                continue
            if first.time_us <= self._refined_within(sharding) * best_us:
                chosen.append(first)
        return chosen

    def _refined_within(self, sharding: ShardLayout) -> float:
        is_block = sharding is ShardLayout.BLOCK and self._board.arch == "blackhole"
        return _REFINE_BLOCKS_WITHIN if is_block else _REFINE_WITHIN

    @property
    def _in_rows(self) -> int:
        """How many different layouts of tiles rows are tried in place of."""
        return self._effort.kept_layouts // 2 + 1

    def _rare(self, op: Convolution, found: Sequence[Choice]) -> list[Conv2dConfig]:
        """Return what seldom pays, on the fastest candidate of each sharding."""
        if not self._effort.split_readers:
            return []
        switched = rare_switches if self._effort.rare_switches else split_readers
        best: dict[ShardLayout, Conv2dConfig] = {}
        for choice in sorted(found, key=lambda item: item.time_us):
            if isinstance(choice.config, Conv2dConfig) and choice.config.slicing == "l1_full":
                best.setdefault(choice.sharding, choice.config)
        return [config for fastest in best.values() for config in switched(op, fastest)]


def _config(structure: Choice) -> Conv2dConfig:
    assert isinstance(structure.config, Conv2dConfig)  # noqa: S101 - made of structures
    return structure.config


def _distinct_programs(choices: Sequence[Choice]) -> list[Choice]:
    """Return one choice per effective program: ttnn rounds what it is asked for."""
    by_program = {choice.ops: choice for choice in reversed(choices)}
    return list(reversed(by_program.values()))


def higher_blocks(
    asked: Sequence[Option], found: Sequence[Choice], shape: Shape, board: Board
) -> list[Option]:
    """Return structures with a higher activation block than any that fits, as far as one may.

    ``found`` is what the device accepts of ``asked``, for an output of ``shape``.
    """
    accepted = {_structure(_config(choice)) for choice in found}
    fitting: dict[Option, list[int]] = {}
    too_high: dict[Option, list[int]] = {}
    for option in asked:
        config = option.config
        assert isinstance(config, Conv2dConfig)  # noqa: S101 - structures of a convolution
        if config.shard_layout is not ShardLayout.WIDTH and not config.core_grid:
            heights = fitting if _structure(config) in accepted else too_high
            heights.setdefault(_with_block(option, 0), []).append(config.act_block_h_override)
    higher = []
    for whole, blocks in fitting.items():
        config = whole.config
        assert isinstance(config, Conv2dConfig)  # noqa: S101 - as above
        fits = max(blocks)
        limit = min((block for block in too_high.get(whole, ()) if block > fits), default=0)
        if 0 not in blocks and config.shard_layout is not None:
            block = higher_block(shape, config.shard_layout, board, fits, limit)
            higher += [] if block is None else [_with_block(whole, block)]
    return higher


def _structure(config: Conv2dConfig) -> Conv2dConfig:
    return replace(config, reallocate_halo_output=False)


def _with_block(option: Option, block: int) -> Option:
    assert isinstance(option.config, Conv2dConfig)  # noqa: S101 - structures of a convolution
    return replace(option, config=replace(option.config, act_block_h_override=block))


def reusing(op: Convolution, shape: Shape, ranked: Sequence[Choice]) -> list[Option]:
    """Return the fastest height shards of which every core has as many pixels, with reuse.

    ``shape`` is the output's, ``ranked`` are structures, fastest first. Where the last core has
    less, ttnn's activation reuse goes wrong: on somewhat fewer cores it may be faster than all that
    has none. It takes memory: with the lowest block of two rows of the image it may fit after all,
    or with the highest below that of the structure.
    """
    if not may_reuse_activations(op):
        return []
    batch, _, height, width = shape
    even = (
        (choice, choice.output_layout.shard_shape[0])
        for choice in ranked
        if choice.time_us <= _REFINE_WITHIN * ranked[0].time_us
        and choice.output_layout.sharding is ShardLayout.HEIGHT
        and choice.output_layout.shard_shape is not None
    )
    for choice, pixels in even:
        if pixels * choice.output_layout.cores == batch * height * width:
            config = replace(_config(choice), enable_activation_reuse=True)
            own = config.act_block_h_override or pixels
            lower = [block for block in range(TILE, own, TILE) if pixels % block == 0]
            of_rows = [block for block in lower if block >= 2 * width]
            option = Option(config, choice.input_layouts)
            return [
                option,
                *(_with_block(option, block) for block in {*of_rows[:1], *of_rows[-1:]}),
            ]
    return []


def taking_rows(
    op: Convolution, shape: Shape, found: Sequence[Choice], most: int, *, filled_up: bool = False
) -> list[Option]:
    """Return the ``most`` fastest candidates of different height shards, which take rows there.

    ``shape`` is the input's. What is padded around an image is gathered in rows: of tiles it takes
    a conversion. Rows may fill the shards of the tiles, as where channels are joined, or lie there
    as a pool leaves them, each core as many. A convolution leaves rows that are ``filled_up`` to
    whole tiles of channels.
    """
    batch, channels, height, width = shape
    if is_pointwise(op) or channels % STICK:
        return []
    tiled: dict[TensorLayout, LayerConfig] = {}
    for choice in sorted(found, key=lambda choice: choice.time_us):
        (layout, *_) = choice.input_layouts
        if layout.sharding is ShardLayout.HEIGHT and layout.page is PageLayout.TILE:
            tiled.setdefault(layout, choice.config)
    asked = []
    for layout, config in list(tiled.items())[:most]:
        even = -(-batch * height * width // layout.cores)
        rows = layout.shard_shape[0] if layout.shard_shape else even
        shapes = [(rows, -(-channels // TILE) * TILE if filled_up else channels)]
        if not filled_up and even != rows:
            shapes.append((even, channels))
        in_rows = replace(layout, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR)
        asked += [Option(config, (replace(in_rows, shard_shape=shape),)) for shape in shapes]
    return asked


def leaving_rows(op: Convolution, found: Sequence[Choice], most: int) -> list[Option]:
    """Return the ``most`` fastest candidates of different height shards, which leave rows there.

    What gathers rows from them has none to make of tiles first.
    """
    if op.out_channels % STICK:
        return []
    tiled: dict[tuple[TensorLayout, ...], Option] = {}
    for choice in sorted(found, key=lambda choice: choice.time_us):
        config, left = choice.config, choice.output_layout
        assert isinstance(config, Conv2dConfig)  # noqa: S101 - a convolution's
        if left.sharding is ShardLayout.HEIGHT and left.page is PageLayout.TILE:
            in_rows = replace(
                config, output_page=PageLayout.ROW_MAJOR, output_dtype=DataType.BFLOAT16
            )
            tiled.setdefault(choice.layouts, Option(in_rows, choice.input_layouts))
    return list(tiled.values())[:most]


def _with_halo_moved(option: Option) -> Option:
    assert isinstance(option.config, Conv2dConfig)  # noqa: S101 - structures of a convolution
    return replace(option, config=replace(option.config, reallocate_halo_output=True))
