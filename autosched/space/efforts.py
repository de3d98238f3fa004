"""How much of the space a search looks at: the presets behind ``--effort``."""

from dataclasses import dataclass

from autosched.errors import SearchError


@dataclass(frozen=True)
class Effort:
    """One preset.

    ``blocks_per_layout`` bounds the activation block heights probed at first for each shard layout,
    ``dividing_blocks`` those by which height shards divide an image evenly on fewer cores,
    ``refined_structures`` how many of a layer's best structures get their double buffers and
    further switches probed, ``split_readers`` whether the best in block shards has its readers
    split, ``rare_switches`` whether the best of all shardings get the switches that seldom pay.
    ``kept_layouts`` is how many combinations of a layer's layouts the joint search keeps beyond the
    best of each sharding, ``grids`` whether explicit core grids are probed. ``slices`` bounds how
    many numbers of slices are probed for an image too large for L1, ``inner_blocks`` how many
    widths of the blocks in which a linear layer takes its input. Images are left in shards of rows
    by convolutions of up to ``row_channels``, and nothing takes such shards if there are none.
    ``unexecuted`` says whether kinds of candidates that nobody has executed right are offered where
    there are others. ``trials`` is the default number of whole-network trials.
    """

    name: str
    blocks_per_layout: int
    dividing_blocks: int
    refined_structures: int
    kept_layouts: int
    grids: bool
    split_readers: bool
    rare_switches: bool
    slices: int
    inner_blocks: int
    row_channels: int
    unexecuted: bool
    trials: int


QUICK = "quick"
EFFORTS = {
    effort.name: effort
    for effort in (
        Effort(QUICK, 3, 1, 2, 4, False, False, False, 0, 1, 64, False, 10),
        Effort("default", 6, 3, 4, 8, False, True, False, 3, 2, 1024, False, 30),
        Effort("full", 64, 8, 12, 24, True, True, True, 6, 6, 4096, True, 200),
    )
}

FIRST_LOOK = Effort("first look", 1, 0, 1, 2, False, False, False, 0, 1, 0, False, 1)
"""So few candidates that a new study soon has a schedule to improve on."""


def find_effort(name: str) -> Effort:
    """Return the preset called ``name``.

    Raises:
        SearchError: if there is none; the message lists those there are.
    """
    if name not in EFFORTS:
        raise SearchError(f"unknown effort {name!r}; it is one of {', '.join(EFFORTS)}")
    return EFFORTS[name]
