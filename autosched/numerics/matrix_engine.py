"""The matrix engine's products: which bits enter, in which order they are summed, how it rounds.

A product of tiles takes one phase (LoFi) to four (HiFi4). In a phase 7 bits of an activation's
mantissa meet 5 of a weight's: the upper ones first, then the weight's next, then the activation's.
Sixteen products at a time are added to a destination register: eight are aligned to the largest
exponents among them, then both sums and the register to each other. The register has bfloat16's 8
bits, or float32's 24. Inner blocks are summed in L1, by the packer or in the register again. What
is added and in which order was read off Tenstorrent's functional simulator and tt-metal's kernels
(``bmm_large_block_zm_fused_bias_activation.cpp``, ``conv_bmm_tilize.cpp``), and every recorded
product of theirs comes out bit for bit (``tests/numerics/test_matrix_engine.py``).

:func:`sums_of_blocks` follows this step by step, at some 100 times the cost of a product in
float32. With ``exactly`` unset it rounds a register once for sixteen products, without aligning
each: single results differ in the last bit, and the error beside PyTorch is the kernels' within
5 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched, product

import numpy as np
import torch
from torch.nn import functional

from autosched.numerics.storage import packed, to_bfloat16
from autosched.schedule.configurations import ComputeConfig
from autosched.schedule.tensors import TILE, DataType

_AT_ONCE, _GROUP = 16, 8
_WEIGHT_BITS, _ACTIVATION_BITS = 5, 7
# What a product's last bit is worth below its operands' exponents, phase by phase.
_LAST_BITS = (10, 15, 17, 22)
_NOTHING = -10_000
# Of float32; sums of less than some 1e-35 are not aligned.
_FRACTION, _BIAS, _SMALLEST_SUMMED = 23, 127, 11
_ROWS = 1 << 16


@dataclass(frozen=True)
class Block:
    """An inner block: activations (rows, inner) and weights (inner, columns), in whole tiles."""

    activations: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True)
class DepthwiseBlock:
    """An inner block in which a column meets but one channel, tap by tap.

    ``operands`` are what meets in each phase: activations (batch, height, width, rows, columns,
    channels) and weights (rows, columns, channels), which have a row and column for each tap. A
    core has ``step`` channels, which lie side by side for each tap.
    """

    operands: Sequence[tuple[torch.Tensor, torch.Tensor]]
    step: int


def filled(values: torch.Tensor, axis: int, to: int = TILE) -> torch.Tensor:
    """Return matrices with their rows (0) or columns (1) filled up with zeros to a multiple."""
    missing = -values.shape[axis - 2] % to
    if not missing:
        return values
    return functional.pad(values, (0, missing) if axis else (0, 0, 0, missing))


def sums_of_blocks(
    blocks: Sequence[Block] | Sequence[DepthwiseBlock],
    compute: ComputeConfig,
    bias: torch.Tensor | None = None,
    *,
    partials: DataType = DataType.BFLOAT16,
    number: int = 0,
    exactly: bool = False,
) -> torch.Tensor:
    """Return the sums of inner blocks, with the bias of each column, before any activation.

    Args:
        blocks: in the order in which a core takes them; values as they are stored.
        compute: fidelity, float32 registers, and whether the packer adds up in L1: tt-metal has it
            do so only for three blocks and more, or two with a bias.
        bias: one row of as many columns.
        partials: how sums lie in L1 until the bias is added, unless they were added up there: a
            matrix product has them in its output's format.
        number: of blocks that a core takes, if there are others, which add nothing.
        exactly: whether to follow the engine step by step.

    Returns:
        float32 of shape (rows, columns); of depthwise blocks (batch, height, width, channels).
    """
    wide = compute.fp32_dest_acc_en
    others = max(number, len(blocks)) - 1
    in_l1 = compute.packer_l1_acc and (others > 1 or (bias is not None and others > 0))
    total: torch.Tensor | None = None
    for block in blocks:
        # Without a bias the last block goes on in the registers: it is the output.
        is_output = bias is None and block is blocks[-1] and others < len(blocks)
        adds_in_l1 = in_l1 and not is_output
        start = None if total is None or adds_in_l1 else _reloaded(total, wide=wide)
        found = _products(block, compute, start, exactly=exactly)
        if adds_in_l1 and total is not None:
            found = total + found
            found = found if wide else found.bfloat16().float()
        total = found
    assert total is not None  # noqa: S101 - there is a block
    if bias is None:
        return total
    total = total if wide or in_l1 else packed(total, partials)
    return added(_reloaded(total, wide=wide), bias, wide=wide)


def added(first: torch.Tensor, second: torch.Tensor, *, wide: bool = False) -> torch.Tensor:
    """Add as the matrix engine adds tiles: aligned to 11 bits, into bfloat16 or float32."""
    one, other = first.float(), second.float()
    unit, per_unit = _units_of_11_bits(one, other)
    # Exact in float32: 11 bits, or what is far below half a unit.
    total = _half_away(one * per_unit).add_(_half_away(other * per_unit)).mul_(unit)
    return total if wide else to_bfloat16(total)


def _units_of_11_bits(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the last of 11 bits of the larger of two numbers is worth, and one by that."""
    patterns = torch.maximum(one.abs(), other.abs()).contiguous().view(torch.int32)
    exponents = (patterns >> _FRACTION).clamp_(min=_SMALLEST_SUMMED)
    units = ((exponents - 10) << _FRACTION).view(torch.float32)
    return units, ((2 * _BIAS + 10 - exponents) << _FRACTION).view(torch.float32)


def _reloaded(total: torch.Tensor, *, wide: bool) -> torch.Tensor:
    """Return partial sums as they come back into the engine: of float32, 11 bits of mantissa."""
    return _upper(total, 11) if wide else total


def _products(
    block: Block | DepthwiseBlock,
    compute: ComputeConfig,
    start: torch.Tensor | None,
    *,
    exactly: bool,
) -> torch.Tensor:
    """Return a block's products, summed in the registers that they start from."""
    phases, wide = compute.math_fidelity.phases, compute.fp32_dest_acc_en
    if isinstance(block, DepthwiseBlock):
        return _multiplied_by_channel(block, start, wide=wide)
    multiply = _multiplied if exactly else _multiplied_fast
    return multiply(block, phases, start, wide=wide)


def _multiplied(
    block: Block, phases: int, start: torch.Tensor | None, *, wide: bool
) -> torch.Tensor:
    activations, weights = block.activations.double(), block.weights.double()
    in_phase = operands(activations, weights, phases)
    of_rows, of_columns = _exponents(activations), _exponents(weights)
    register = torch.zeros(len(activations), weights.shape[1], dtype=torch.float64)
    register = register if start is None else start.double()
    for first in range(0, weights.shape[0], TILE):
        for (left, right), last_bit in zip(in_phase, _LAST_BITS, strict=False):
            for place in range(first, first + TILE, _AT_ONCE):
                sums = []
                for group in range(place, place + _AT_ONCE, _GROUP):
                    part = slice(group, group + _GROUP)
                    largest = (of_rows[:, part, None] + of_columns[None, part]).amax(1)
                    unit = torch.exp2(largest.clamp(min=-500).double() - last_bit)
                    products = left[:, part, None] * right[None, part]
                    total = _half_away(products / unit[:, None]).sum(1) * unit
                    sums.append((total, largest + 10 - last_bit))
                register = _accumulated(register, sums, wide=wide)
    return register.float()


def _accumulated(
    register: torch.Tensor, sums: Sequence[tuple[torch.Tensor, torch.Tensor]], *, wide: bool
) -> torch.Tensor:
    """Add two sums to a register: aligned to the largest exponent, rounded, normalised."""
    exponent = _exponents(register)
    for _, other in sums:
        exponent = torch.maximum(exponent, other)
    unit = torch.exp2(exponent.clamp(min=-500).double() - 23)
    # Ties of sums go up, those of the register away from zero.
    parts = [torch.floor(total / unit + 0.5) for total, _ in sums] + [_half_away(register / unit)]
    if not wide:
        kept = 2.0**13
        parts = [torch.floor(part / kept + 0.5) * kept for part in parts[:-1]] + [
            _half_away(parts[-1] / kept) * kept
        ]
    mantissa = torch.stack(parts).sum(0)
    shift = _exponents(mantissa) - (23 if wide else 7)
    step = torch.exp2(shift.clamp(min=0 if wide else -500).double())
    return _half_away(mantissa / step) * step * unit


def _multiplied_fast(
    block: Block, phases: int, start: torch.Tensor | None, *, wide: bool
) -> torch.Tensor:
    activations, weights = block.activations.float(), block.weights.float()
    in_phase = operands(activations, weights, phases)
    shape = (len(activations), weights.shape[1])
    register = torch.zeros(shape) if start is None else start.clone()
    if wide:
        for left, right in in_phase:
            register.addmm_(left, right)
        return register
    # So few rows at once that the registers stay in the processor's cache.
    step = max(_ROWS // shape[1], TILE)
    for top in range(0, shape[0], step):
        rows = slice(top, top + step)
        part = register[rows].contiguous()
        bits = part.view(torch.int32)
        for first in range(0, weights.shape[0], TILE):
            for left, right in in_phase:
                for place in range(first, first + TILE, _AT_ONCE):
                    inner = slice(place, place + _AT_ONCE)
                    part.addmm_(left[rows, inner], right[inner])
                    _round_registers(bits)
        register[rows] = part
    return register


def _multiplied_by_channel(
    block: DepthwiseBlock, start: torch.Tensor | None, *, wide: bool
) -> torch.Tensor:
    batch, height, width, *window, channels = block.operands[0][0].shape
    shape = (batch, height, width, channels)
    register = torch.zeros(shape) if start is None else start.clone()
    taps = list(np.ndindex(*window))
    in_tile, in_sum = max(TILE // block.step, 1), max(_AT_ONCE // block.step, 1)
    step = max(_ROWS // (width * channels), 1)
    for image, top in product(range(batch), range(0, height, step)):
        rows = (image, slice(top, top + step), slice(None))
        part = register[rows]
        bits = part.view(torch.int32)
        for tile in batched(taps, in_tile):
            for left, right in block.operands:
                for together in batched(tile, in_sum):
                    for tap in together:
                        part.addcmul_(left[rows + tap], right[tap])
                    if not wide:
                        _round_registers(bits)
    return register


def _round_registers(bits: torch.Tensor) -> None:
    """Round to 11 bits first, then to 8: what is over 7/16 of the last bit."""
    bits.add_(0x9000).bitwise_and_(-1 << 16)


def operands(
    activations: torch.Tensor, weights: torch.Tensor, phases: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the bits of both that meet in each phase; the same bits are one tensor."""
    high_weights = _upper(weights, _WEIGHT_BITS)
    low_weights = _upper(weights, 2 * _WEIGHT_BITS) - high_weights
    high = _upper(activations, _ACTIVATION_BITS)
    low = activations - high
    pairs = [(high, high_weights), (high, low_weights), (low, high_weights), (low, low_weights)]
    return pairs[:phases]


def _upper(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Return numbers with so many bits of mantissa, the implied one among them; the rest is 0."""
    pattern = values.float().contiguous().view(torch.int32)
    found: torch.Tensor = (pattern & (-1 << (24 - bits))).view(torch.float32)
    return found.to(values.dtype)


def _exponents(values: torch.Tensor) -> torch.Tensor:
    _, exponents = torch.frexp(values)
    return torch.where(values == 0, _NOTHING, exponents - 1)


def _half_away(values: torch.Tensor) -> torch.Tensor:
    """Round to integers, ties away from zero."""
    return values.abs().add_(0.5).floor_().copysign_(values)
