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

_MAGNITUDE_BITS = {DataType.BFLOAT8_B: 7, DataType.BFLOAT4_B: 3}
_UPPER = -1 << 16
_LEAST_NORMAL = 2.0**-126
_MANTISSA = 24


def stored(values: torch.Tensor, dtype: DataType) -> torch.Tensor:
    """Return numbers as ``ttnn.from_torch`` stores them; rows of a tile run along the last axis."""
    values = values.float()
    if dtype is DataType.BFLOAT16:
        return values.bfloat16().float()
    if dtype in _MAGNITUDE_BITS:
        bits = _MAGNITUDE_BITS[dtype]
        return _in_blocks(_without_small_nans(values, bits), bits, torch.round)
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
    found = _in_blocks(values, _MAGNITUDE_BITS[DataType.BFLOAT8_B], half_away)
    return found if dtype is DataType.BFLOAT8_B else _in_blocks(found, 3, torch.trunc)


def to_bfloat16(values: torch.Tensor) -> torch.Tensor:
    """Round to bfloat16, ties away from zero."""
    bits = values.float().contiguous().view(torch.int32)
    rounded: torch.Tensor = ((bits + (1 << 15)) & _UPPER).view(torch.float32)
    return rounded


def _in_blocks(
    values: torch.Tensor, bits: int, rounded: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Share exponents; an infinity or a NaN has the largest there is, denormals are 0."""
    length = values.shape[-1]
    padded = torch.nn.functional.pad(values, (0, -length % _SHARED))
    rows = padded.double().reshape(*padded.shape[:-1], -1, _SHARED)
    rows = torch.where(rows.abs() < _LEAST_NORMAL, 0.0, rows)
    sizes = torch.where(rows.isfinite(), rows.abs(), 2.0**128).amax(-1, keepdim=True)
    _, exponents = torch.frexp(sizes.clamp(min=_LEAST_NORMAL))
    # What is shifted out of 24 bits to reach the shared exponent is not rounded.
    aligned = torch.trunc(rows * torch.exp2(_MANTISSA - exponents.double()))
    least, most = 2.0 ** (_MANTISSA - bits), 2.0**bits - 1.0
    unit = torch.exp2(exponents.double() - bits)
    # Adding 0 leaves no negative zeros: their pattern stands for an infinity.
    shared = torch.clamp(rounded(aligned / least), -most, most) * unit + 0.0
    found = torch.where(rows.isfinite(), shared, rows).float()
    return found.flatten(-2)[..., :length]


def _without_small_nans(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Return infinities in place of NaNs of which no bit is left."""
    pattern = values.contiguous().view(torch.int32)
    half = 1 << (_MANTISSA - bits - 1)
    is_small = values.isnan() & ((pattern & ((1 << (_MANTISSA - 1)) - 1)) <= half)
    return torch.where(is_small, torch.where(pattern < 0, -torch.inf, torch.inf), values)


def half_away(values: torch.Tensor) -> torch.Tensor:
    """Round to integers, ties away from zero."""
    return torch.sign(values) * torch.floor(values.abs() + 0.5)
