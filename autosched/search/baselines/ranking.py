"""The rules by which a baseline prefers one way to run a layer to another; none knows a time."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from autosched.plain import canonical_json, to_plain
from autosched.schedule import LayerConfig, Memory, ShardLayout
from autosched.search.choice import Choice

Criteria = tuple[int, ...]
"""One number for each criterion, the first one first; smaller is better, and sums make sense."""
Rank = Callable[["Step"], Criteria]

# Not switches: formats are the network's, freeing the input follows from liveness.
_GIVEN = (
    "weights_dtype",
    "output_dtype",
    "compute",
    "deallocate_activation",
    "deallocate_input",
    "layout",
    "output",
    "shard_layout",
    "method",
)


@dataclass(frozen=True)
class Step:
    """One way to run a layer after its producers: what it reads from DRAM, and what it reshards."""

    choice: Choice
    dram_input_bytes: int
    reshards: int


def compiler_rank(step: Step) -> Criteria:
    """Rank as a greedy compiler does.

    In this order: an output in L1 over DRAM, sharded over interleaved, fewer bytes of input from
    DRAM, no reshard over a reshard, more cores, less L1 for the output.
    """
    output = step.choice.output_layout
    return (
        int(output.memory is not Memory.L1),
        int(not output.is_sharded),
        step.dram_input_bytes,
        int(step.reshards > 0),
        -output.cores,
        output.shard_bytes,
    )


def height_rank(step: Step) -> Criteria:
    """Rank height sharding first, then by :func:`compiler_rank`."""
    output = step.choice.output_layout
    return (
        int(output.sharding is not ShardLayout.HEIGHT),
        int(step.choice.sharding is not ShardLayout.HEIGHT),
        *compiler_rank(step),
    )


def plainness(config: LayerConfig) -> tuple[int, str]:
    """Order configurations that are alike to a rule: fewer switches set by hand come first."""
    untouched = type(config)()
    touched = sum(
        getattr(config, item.name) != getattr(untouched, item.name)
        for item in fields(config)
        if item.name not in _GIVEN
    )
    return touched, canonical_json(to_plain(config))
