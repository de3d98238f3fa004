"""How the device stores numbers: bfloat16, bfloat8_b and bfloat4_b, bit for bit.

Block floats share the exponent of the largest of 16 numbers that lie beside each other in a row of
a tile, with 7 or 3 bits of magnitude each (tt-metal, tech_reports/data_formats). The host rounds to
the nearest, ties to even; the packer, which stores what the matrix engine or the vector unit made,
rounds ties away from zero. Numbers are float32 here, which holds every stored value exactly.
"""

from collections.abc import Callable

import torch

from autosched.schedule.tensors import DataType

_SHARED = 16  # numbers in a row with one exponent
# So few at once that they stay in the processor's cache.
_ROWS = 1 << 13

_MAGNITUDE_BITS = {DataType.BFLOAT8_B: 7, DataType.BFLOAT4_B: 3}
_UPPER = -1 << 16
_MANTISSA, _FRACTION, _SIGN = 24, 23, 31
_BIAS, _LARGEST_EXPONENT = 127, 255
_Rounding = Callable[[torch.Tensor, int], torch.Tensor]
"""Drops so many of the lowest bits of mantissas."""


def stored(values: torch.Tensor, dtype: DataType) -> torch.Tensor:
    """Return numbers as ``ttnn.from_torch`` stores them; rows of a tile run along the last axis."""
    values = values.float()
    if dtype is DataType.BFLOAT16:
        return values.bfloat16().float()
    if dtype in _MAGNITUDE_BITS:
        bits = _MAGNITUDE_BITS[dtype]
        return _in_blocks(_without_small_nans(values, bits), bits, _to_even)
    return values


def packed(values: torch.Tensor, dtype: DataType, *, narrow: bool = True) -> torch.Tensor:
    """Return numbers as a kernel's packer stores them; rows of a tile run along the last axis.

    Of 7 bits of magnitude bfloat4_b has the upper 3. A kernel that reads block floats and writes
    such gives mantissas 7 bits before an exponent is shared (``narrow``); one that makes
    bfloat8_b of bfloat16 and computes nothing does not.
    """
    values = values.float()
    if dtype is DataType.BFLOAT16:
        return to_bfloat16(values)
    if dtype not in _MAGNITUDE_BITS:
        return values
    if narrow:
        upper = ((values.contiguous().view(torch.int32) >> 16) + 1) & ~1
        values = (upper << 16).view(torch.float32)
    found = _in_blocks(values, _MAGNITUDE_BITS[DataType.BFLOAT8_B], _away)
    return found if dtype is DataType.BFLOAT8_B else _in_blocks(found, 3, _cut)


def to_bfloat16(values: torch.Tensor) -> torch.Tensor:
    """Round to bfloat16, ties away from zero."""
    bits = values.float().contiguous().view(torch.int32)
    rounded: torch.Tensor = ((bits + (1 << 15)) & _UPPER).view(torch.float32)
    return rounded


def _in_blocks(values: torch.Tensor, bits: int, rounded: _Rounding) -> torch.Tensor:
    length = values.shape[-1]
    padded = torch.nn.functional.pad(values, (0, -length % _SHARED)).contiguous()
    rows = torch.split(padded.reshape(-1, _SHARED), _ROWS)
    found = torch.cat([_with_shared_exponents(some, bits, rounded) for some in rows])
    return found.reshape(padded.shape)[..., :length]


def _with_shared_exponents(rows: torch.Tensor, bits: int, rounded: _Rounding) -> torch.Tensor:
    """Share each row's exponent; an infinity or a NaN has the largest there is, denormals are 0."""
    pattern = rows.view(torch.int32)
    exponents = (pattern >> _FRACTION) & _LARGEST_EXPONENT
    mantissas = (pattern & ((1 << _FRACTION) - 1)) | (1 << _FRACTION)
    mantissas *= exponents.clamp(max=1)
    shared = exponents.amax(-1, keepdim=True)
    # What is shifted out of 24 bits to reach the shared exponent is not rounded.
    aligned = mantissas >> (shared - exponents).clamp_(max=_MANTISSA)
    kept = rounded(aligned, _MANTISSA - bits).clamp_(max=(1 << bits) - 1)
    unit = torch.exp2((shared - (_BIAS - 1 + bits)).float())
    # Adding 0 leaves no negative zeros: their pattern stands for an infinity.
    signs = (pattern >> _SIGN) | 1
    found = (kept * signs).float() * unit + 0.0
    if bool((shared == _LARGEST_EXPONENT).any()):
        found = torch.where(exponents == _LARGEST_EXPONENT, rows, found)
    return found


def _to_even(mantissas: torch.Tensor, dropped: int) -> torch.Tensor:
    return (mantissas + ((1 << (dropped - 1)) - 1) + ((mantissas >> dropped) & 1)) >> dropped


def _away(mantissas: torch.Tensor, dropped: int) -> torch.Tensor:
    return (mantissas + (1 << (dropped - 1))) >> dropped


def _cut(mantissas: torch.Tensor, dropped: int) -> torch.Tensor:
    return mantissas >> dropped


def _without_small_nans(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Return infinities in place of NaNs of which no bit is left."""
    are_nan = values.isnan()
    if not bool(are_nan.any()):
        return values
    pattern = values.contiguous().view(torch.int32)
    half = 1 << (_MANTISSA - bits - 1)
    is_small = are_nan & ((pattern & ((1 << (_MANTISSA - 1)) - 1)) <= half)
    return torch.where(is_small, torch.where(pattern < 0, -torch.inf, torch.inf), values)
