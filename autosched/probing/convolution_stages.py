"""How a convolution's candidates are asked: structures first, then refinements of the promising."""

from collections.abc import Sequence

from autosched.probing.candidates import Choice

# A structure this much slower than the layer's fastest is not refined: double buffers and the
# like gain at most the 0.6 that silicon profiles show.
REFINE_WITHIN = 1.7


def distinct_programs(choices: Sequence[Choice]) -> list[Choice]:
    """Return one choice per effective program: ttnn rounds what it is asked for."""
    by_program = {choice.ops: choice for choice in reversed(choices)}
    return list(reversed(by_program.values()))
