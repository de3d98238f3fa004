"""One candidate of a layer, as the device answered; the tables are made of these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autosched.probing.probe_book import Probed
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import DeviceOp, Rejection, TimeKind
from autosched.schedule.tensors import ShardLayout, TensorLayout


@dataclass(frozen=True)
class Choice:
    """One candidate of a layer, as probed: its configuration, layouts, time and L1 need.

    ``scratch_bytes`` is the peak per core beside inputs and output, ``saved_by_freeing_bytes`` what
    it is lower by where the layer may free its first input. ``move_us`` is the part
    of the time that ``ttnn.move`` took, which runs nothing where a tensor lies well already.
    ``stderr_log`` is the standard error of log time, ``kind`` says where the time is from.
    """

    config: LayerConfig
    input_layouts: tuple[TensorLayout, ...]
    output_layout: TensorLayout
    time_us: float
    scratch_bytes: int
    ops: tuple[DeviceOp, ...]
    stderr_log: float = 0.0
    saved_by_freeing_bytes: int = 0
    move_us: float = 0.0
    kind: TimeKind = TimeKind.ESTIMATED

    @property
    def layouts(self) -> tuple[TensorLayout, ...]:
        """Input layouts and output layout: what neighbours see of the candidate."""
        return (*self.input_layouts, self.output_layout)

    @property
    def least_us(self) -> float:
        """The least time it can take in a network."""
        return self.time_us - self.move_us

    def dominates(self, other: "Choice") -> bool:
        """Whether it is as good as another everywhere: same layouts, not slower, not more L1.

        Not slower means with the moves and without: a proposal counts them, a bound does not.
        """
        mine, theirs = self.scratch_bytes, other.scratch_bytes
        return (
            self.layouts == other.layouts
            and self.time_us <= other.time_us
            and self.least_us <= other.least_us
            and mine <= theirs
            and mine - self.saved_by_freeing_bytes <= theirs - other.saved_by_freeing_bytes
        )

    @property
    def sharding(self) -> ShardLayout:
        """How its first input is sharded; the output where there is no input."""
        return self.layouts[0].sharding


Tables = Mapping[str, tuple[Choice, ...]]
"""The candidates of every layer by name, fastest first."""


@dataclass(frozen=True)
class ProbedTables:
    """Everything that was probed of a network's layers, without what others dominate.

    ``kept`` is what the joint search chooses from. ``left_out``, of the same layers, is too slow
    by itself to be worth probing its reshards; a bound counts it all the same.
    """

    kept: Tables
    left_out: Tables


def undominated(choices: Iterable[Choice], beside: Iterable[Choice] = ()) -> tuple[Choice, ...]:
    """Return the candidates that no other one, nor one ``beside`` them, dominates; fastest first.

    Of equals the first stays.
    """
    groups: dict[tuple[TensorLayout, ...], list[Choice]] = {}
    for choice in beside:
        groups.setdefault(choice.layouts, []).append(choice)
    left = []
    for choice in sorted(choices, key=lambda item: (item.time_us, item.scratch_bytes)):
        group = groups.setdefault(choice.layouts, [])
        if not any(other.dominates(choice) for other in group):
            group.append(choice)
            left.append(choice)
    return tuple(left)


def choices_of(answers: Sequence[Probed | Rejection], config: LayerConfig) -> list[Choice]:
    """Return the answers that are no rejections as candidates of one configuration."""
    return [
        Choice(
            config,
            answer.outcome.input_layouts,
            answer.outcome.output_layout,
            answer.time_us,
            answer.outcome.scratch_bytes,
            answer.outcome.ops,
            answer.stderr_log,
            answer.outcome.saved_by_freeing_bytes,
            answer.move_us,
            answer.kind,
        )
        for answer in answers
        if isinstance(answer, Probed)
    ]
