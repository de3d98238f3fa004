"""How an exported graph's tensors lie in the layers' tensors.

PyTorch code reshapes and permutes between operators that could all work on one tensor: tokens are
an image's pixels, heads are parts of its channels. On the device an image lies as rows of channels
anyway, so most of these steps cost nothing there. A view follows them without a layer, until an
operator needs the elements in another order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


BATCH = 0
"""The axis of a draft's tensor whose entries never meet."""
CHANNELS = 1
"""The axis of (N, C, H, W), and of (N, features), that lies in rows on the device."""


@dataclass(frozen=True)
class View:
    """A tensor as a rearrangement of the elements of draft ``key``.

    The draft's axes are cut into ``sizes``, in their order and without those of size 1; ``axes``
    says of which axis each is a part, and ``dims`` which of them make up each dimension of the
    tensor.
    """

    key: str
    base: tuple[int, ...]
    sizes: tuple[int, ...]
    axes: tuple[int, ...]
    dims: tuple[tuple[int, ...], ...]

    @classmethod
    def whole(cls, key: str, shape: tuple[int, ...]) -> "View":
        """The draft's tensor as it is."""
        axes = tuple(axis for axis, size in enumerate(shape) if size != 1)
        dims = tuple((axes.index(axis),) if axis in axes else () for axis in range(len(shape)))
        return cls(key, shape, tuple(shape[axis] for axis in axes), axes, dims)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(self.sizes[part] for part in dim) for dim in self.dims)

    @property
    def flat(self) -> tuple[int, ...]:
        """The parts in the order of the tensor's elements."""
        return tuple(part for dim in self.dims for part in dim)

    @property
    def is_whole(self) -> bool:
        """Whether it is the draft's tensor as it is."""
        return self.shape == self.base and self.flat == tuple(range(len(self.sizes)))

    def of(self, key: str) -> "View":
        """The same view of another draft of the same shape."""
        return replace(self, key=key)

    def parts(self, *axes: int) -> tuple[int, ...]:
        """The parts of some of the draft's axes, in their order."""
        return tuple(part for part, axis in enumerate(self.axes) if axis in axes)

    def flat_of(self, dims: Sequence[int]) -> tuple[int, ...]:
        """The parts of some of the tensor's dimensions, one after the other."""
        return tuple(part for dim in dims for part in self.dims[dim])

    def has_channels_at(self, dim: int) -> bool:
        """Whether a dimension of the tensor is the draft's axis of channels."""
        if len(self.base) not in {2, 4}:
            return False
        if self.base[CHANNELS] == 1:
            return self.is_whole and dim == CHANNELS
        return self.dims[dim] == self.parts(CHANNELS)

    @property
    def keeps_images(self) -> bool:
        """Whether the tensor's first dimension is the draft's batch, whole and alone."""
        return bool(self.base) and self.dims[0] == self.parts(BATCH)

    @property
    def keeps_pixels(self) -> bool:
        """Whether the tensor's elements go from pixel to pixel as the draft's do."""
        pixels = [part for part in self.flat if self.axes[part] != CHANNELS]
        return pixels == sorted(pixels)

    def leads_channels(self, dim: int) -> bool:
        """Whether a dimension of the tensor is the outer part of the draft's channels, or all."""
        if len(self.base) not in {2, 4}:
            return False
        parts = self.dims[dim]
        leading = bool(parts) and parts == self.parts(CHANNELS)[: len(parts)]
        return leading or self.has_channels_at(dim)

    def trails_channels(self, dim: int) -> bool:
        """Whether a dimension is the inner part of the draft's channels, but not all of them."""
        channels, parts = self.parts(CHANNELS), self.dims[dim]
        return (
            len(self.base) in {2, 4}
            and () != parts != channels
            and parts == channels[-len(parts) :]
        )

    def with_inner(self, key: str, dim: int, count: int) -> "View":
        """The same view of a draft whose dimension ``dim``, which trails the channels, is other."""
        first, *others = self.dims[dim]
        inner = math.prod(self.sizes[part] for part in self.dims[dim])
        base = (self.base[0], self.base[1] // inner * count, *self.base[2:])
        sizes = tuple(count if part == first else size for part, size in enumerate(self.sizes))
        gone = others if count != 1 else self.dims[dim]
        return replace(self, sizes=sizes).reduced(key, base, gone)

    def resized(self, key: str, dim: int, count: int) -> "View":
        """The same view of a draft with other channels, so that dimension ``dim`` is ``count``.

        The dimension must lead the channels.
        """
        cut = self.dims[dim]
        inner = math.prod(self.sizes[part] for part in self.parts(CHANNELS) if part not in cut)
        base = (self.base[0], count * inner, *self.base[2:])
        first = sum(axis < CHANNELS for axis in self.axes)
        new = (first,) if count != 1 else ()
        kept = [part for part in range(len(self.sizes)) if part not in cut]
        place = {part: rank + (rank >= first) * len(new) for rank, part in enumerate(kept)}
        sizes, axes = [self.sizes[part] for part in kept], [self.axes[part] for part in kept]
        if new:
            sizes.insert(first, count)
            axes.insert(first, CHANNELS)
        dims = tuple(
            new if number == dim else tuple(place[part] for part in parts)
            for number, parts in enumerate(self.dims)
        )
        return View(key, base, tuple(sizes), tuple(axes), dims)

    def side_at(self, dim: int) -> int | None:
        """Whether a dimension is the rows (2) or the columns (3) of an image, or neither (None)."""
        if len(self.base) != 4:
            return None
        return next((axis for axis in (2, 3) if self.dims[dim] == self.parts(axis) != ()), None)

    def with_side(self, key: str, axis: int, count: int) -> "View":
        """The same view of a draft with ``count`` rows or columns; that axis is one dimension."""
        (old,) = self.parts(axis)
        base = tuple(count if number == axis else size for number, size in enumerate(self.base))
        kept = [part for part in range(len(self.sizes)) if part != old or count != 1]
        sizes = tuple(count if part == old else self.sizes[part] for part in kept)
        dims = tuple(tuple(kept.index(part) for part in dim if part in kept) for dim in self.dims)
        return View(key, base, sizes, tuple(self.axes[part] for part in kept), dims)

    def reduced(self, key: str, base: tuple[int, ...], parts: Sequence[int]) -> "View":
        """The same view of a draft of shape ``base`` that lacks some of the parts."""
        kept = [part for part in range(len(self.sizes)) if part not in parts]
        return View(
            key,
            base,
            tuple(self.sizes[part] for part in kept),
            tuple(self.axes[part] for part in kept),
            tuple(tuple(kept.index(part) for part in dim if part in kept) for dim in self.dims),
        )

    def grown(self, key: str, dim: int, axis: int, count: int) -> "View":
        """The same view of a draft that has one axis ``count`` times, as a dimension of size 1."""
        first = sum(own < axis for own in self.axes)
        base = tuple(size * (count if own == axis else 1) for own, size in enumerate(self.base))
        moved = [tuple(part + (part >= first) for part in parts) for parts in self.dims]
        moved[dim] = (first,)
        sizes = (*self.sizes[:first], count, *self.sizes[first:])
        axes = (*self.axes[:first], axis, *self.axes[first:])
        return View(key, base, sizes, axes, tuple(moved))

    def aligned(self, rank: int) -> "View":
        """The tensor with dimensions of size 1 before its own, up to ``rank``."""
        return replace(self, dims=((),) * (rank - len(self.dims)) + self.dims)

    def without(self, dim: int) -> "View":
        """The tensor without a dimension of size 1."""
        return replace(self, dims=(*self.dims[:dim], *self.dims[dim + 1 :]))

    def without_trailing(self, rank: int) -> "View":
        """The tensor without its last dimensions, of size 1, beyond ``rank``."""
        return replace(self, dims=self.dims[:rank])

    def rearrangement_of(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """What the draft's tensor must be so that this view of it is ``tensor``."""
        back = [self.flat.index(part) for part in range(len(self.sizes))]
        parts = tensor.reshape([self.sizes[part] for part in self.flat])
        return parts.permute(back).reshape(self.base)

    def of_tensor(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """This view of the draft's values."""
        return tensor.reshape(self.sizes).permute(self.flat).reshape(self.shape)

    def permuted(self, order: Sequence[int]) -> "View":
        """The dimensions in another order."""
        return replace(self, dims=tuple(self.dims[dim] for dim in order))

    def reshaped(self, shape: Sequence[int]) -> "View | None":
        """The elements read as another shape; None where that cuts across dimensions."""
        merged = self._merged()
        cut = _cut([merged.sizes[part] for part in merged.flat], shape)
        if cut is None:
            return None
        pieces, dims = cut
        # Pieces are numbered in the order of the tensor, parts in that of the draft.
        by_part = dict(zip(merged.flat, pieces, strict=True))
        order = [piece for part in range(len(merged.sizes)) for piece, _ in by_part[part]]
        place = {piece: index for index, piece in enumerate(order)}
        sizes = {piece: size for group in pieces for piece, size in group}
        axes = [merged.axes[part] for part in range(len(merged.sizes)) for _ in by_part[part]]
        return replace(
            self,
            sizes=tuple(sizes[piece] for piece in order),
            axes=tuple(axes),
            dims=tuple(tuple(place[piece] for piece in dim) for dim in dims),
        )

    def _merged(self) -> "View":
        """The parts of one axis that follow each other in the tensor, too, made one."""
        groups: list[list[int]] = []
        for part in self.flat:
            last = groups[-1][-1] if groups else None
            if last is not None and last + 1 == part and self.axes[last] == self.axes[part]:
                groups[-1].append(part)
            else:
                groups.append([part])
        ordered = sorted(groups)
        place = {group[0]: index for index, group in enumerate(ordered)}
        return replace(
            self,
            sizes=tuple(math.prod(self.sizes[part] for part in group) for group in ordered),
            axes=tuple(self.axes[group[0]] for group in ordered),
            # Only the order matters from here on.
            dims=(tuple(place[group[0]] for group in groups),),
        )

    def same_arrangement(self, other: "View") -> bool:
        """Whether both rearrange drafts of one shape in the same way."""
        return (
            self.base == other.base
            and self.shape == other.shape
            and self._merged()._arrangement() == other._merged()._arrangement()
        )

    def _arrangement(self) -> tuple[tuple[int, ...], ...]:
        return (self.sizes, self.axes, self.flat)


Pieces = list[list[tuple[int, int]]]


def _cut(sizes: Sequence[int], shape: Sequence[int]) -> tuple[Pieces, list[list[int]]] | None:
    """Cut axes of ``sizes`` so that ``shape`` is made of whole pieces.

    Returns the numbered pieces of each axis with their sizes, and the numbers of the pieces that
    make up each dimension; None where one dimension would need a part that does not divide.
    """
    pieces: Pieces = [[] for _ in sizes]
    dims: list[list[int]] = []
    axis, left, number = 0, sizes[0] if sizes else 1, 0
    for wanted in shape:
        dim, missing = [], wanted
        while missing > 1:
            if left == 1:
                axis += 1
                left = sizes[axis]
            taken = left if missing % left == 0 else missing
            if left % taken:
                return None
            pieces[axis].append((number, taken))
            dim.append(number)
            number += 1
            missing //= taken
            left //= taken
        dims.append(dim)
    return pieces, dims
