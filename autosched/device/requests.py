"""What is asked of a device; plain data that travels to the worker process."""

from dataclasses import dataclass

from autosched.network.graph import LayerOp
from autosched.schedule import DRAM_TILE, LayerConfig, TensorLayout

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ProbeRequest:
    """One candidate of a layer, to be run alone.

    ``input_shapes`` and ``shape`` are PyTorch's. ``input_layouts`` None asks for the layouts the
    candidate takes natively: it is first given ``source_layouts`` (one for all inputs, or one
    each) and then what ttnn made of them.
    """

    op: LayerOp
    input_shapes: tuple[Shape, ...]
    shape: Shape
    config: LayerConfig
    input_layouts: tuple[TensorLayout, ...] | None = None
    source_layouts: tuple[TensorLayout, ...] = (DRAM_TILE,)

    @property
    def sources(self) -> tuple[TensorLayout, ...]:
        """One source layout per input."""
        if len(self.source_layouts) == len(self.input_shapes):
            return self.source_layouts
        return self.source_layouts * len(self.input_shapes)


@dataclass(frozen=True)
class ReshardRequest:
    """A tensor of ``shape`` (PyTorch's) to be brought from one layout into another, alone."""

    shape: Shape
    source: TensorLayout
    target: TensorLayout


@dataclass(frozen=True)
class TimingSettings:
    """How a card is timed: ``warm_ups`` runs, then ``replays`` of the captured trace."""

    warm_ups: int = 3
    replays: int = 100
