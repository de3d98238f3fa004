"""What bringing a tensor from one layout into another takes, for each edge that may need it."""

from collections.abc import Mapping
from dataclasses import dataclass

from autosched.network.graph import Network
from autosched.probing.joint_problem import Pair
from autosched.schedule.outcomes import TimeKind


@dataclass(frozen=True)
class ReshardTable:
    """Times in microseconds by (source, target) for one tensor; other pairs cannot be chosen.

    ``impossible`` has the pairs that the device was asked for and does not do; nothing is known of
    those that are in neither. ``measured`` has the pairs whose time is not estimated.
    """

    times_us: Mapping[Pair, float]
    impossible: frozenset[Pair] = frozenset()
    measured: frozenset[Pair] = frozenset()

    def kind(self, pair: Pair) -> TimeKind:
        """Return where the time of a possible pair is from."""
        return TimeKind.MEASURED if pair in self.measured else TimeKind.ESTIMATED

    def joined(self, other: "ReshardTable") -> "ReshardTable":
        """Return the pairs of both."""
        return ReshardTable(
            {**self.times_us, **other.times_us},
            self.impossible | other.impossible,
            self.measured | other.measured,
        )


def reshard_shapes(network: Network) -> set[tuple[int, ...]]:
    """Return the shapes of all tensors that some layer reads."""
    return {network.by_name[edge.producer].shape for edge in network.edges}
