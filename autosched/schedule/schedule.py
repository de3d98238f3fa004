"""A schedule: one joint choice for a whole network, and where it comes from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from autosched.boards import name_with_grid
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import AGAINST, TimeKind, Verdict
from autosched.schedule.serialization import digest, fields_of, with_freeing_flag
from autosched.schedule.tensors import Edge, TensorLayout

_NAMED = 3


@dataclass(frozen=True)
class Provenance:
    """Where a schedule comes from; every exported file carries it.

    ``executed_on`` is "simulator" or "card" where the schedule of ``executed_fingerprint`` was
    executed beside PyTorch, with what came of it: a verdict, and the PCC of its worst output.
    ``emulated_pcc`` and ``emulated_concordance`` are of that schedule's worst output as the
    device's numbers were emulated on the host, ``min_pcc`` what its study asks for.
    ``unexecuted`` are the layers and changes of layout of that schedule whose kind was never
    executed right, with whatever small layers; None where nobody has looked. ``grid`` is the
    board's, (columns, rows); a board noted without it is called what its grid of then is today.
    ``published_us`` is the least and the most device time on silicon that the author of hand-tuned
    choices gives for them, which is no time of this schedule.
    ``pack_images`` is how many images of the ``batch`` lie beside each other in channels.
    """

    LATER_FIELDS: ClassVar[Mapping[str, object]] = {
        "grid": None,
        "pack_images": 1,
        "executed_on": "",
        "executed_verdict": "",
        "executed_pcc": None,
        "executed_fingerprint": "",
        "emulated_pcc": None,
        "emulated_concordance": None,
        "min_pcc": None,
        "emulated_metric": None,
        "min_metric": None,
        "unexecuted": None,
        "published_us": None,
    }
    """Written only where they say something, as older files and records do not have them."""

    network: str
    network_signature: str
    board: str
    ttnn_version: str
    batch: int = 1
    grid: tuple[int, int] | None = None
    pack_images: int = 1
    study: str = ""
    trial: int | None = None
    latency_us: float | None = None
    latency_kind: TimeKind | None = None
    cost_model: str = ""
    date: str = ""
    executed_on: str = ""
    executed_verdict: str = ""
    executed_pcc: float | None = None
    executed_fingerprint: str = ""
    emulated_pcc: float | None = None
    emulated_concordance: float | None = None
    min_pcc: float | None = None
    emulated_metric: float | None = None
    min_metric: float | None = None
    unexecuted: tuple[str, ...] | None = None
    published_us: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Take the name that the board has today."""
        object.__setattr__(self, "board", name_with_grid(self.board, self.grid))

    @property
    def images(self) -> str:
        """How many images an inference has, and how they lie: "batch 4, 2 packed together"."""
        packed = f", {self.pack_images} packed together" if self.pack_images > 1 else ""
        return f"batch {self.batch}{packed}"

    @property
    def verified(self) -> str:
        """What came of executing the schedule beside PyTorch, on what: "simulator, PCC 0.9989"."""
        if not self.executed_on:
            return f"not executed{self._of_kinds}{self._emulated}"
        pcc = "" if self.executed_pcc is None else f", PCC {self.executed_pcc:.4f}"
        is_right = self.executed_verdict == Verdict.RIGHT
        verdict = "" if is_right else f", {self.executed_verdict.upper()}"
        return f"{self.executed_on}{verdict}{pcc}{self._emulated}"

    @property
    def went_wrong(self) -> bool:
        """Whether the schedule was executed, and that speaks against it."""
        return self.executed_verdict in AGAINST

    @property
    def accuracy(self) -> str:
        """What its emulation came to, such as "PCC 0.9923, concordance 0.9920 (emulated)"."""
        floors = self.floors
        if self.emulated_pcc is None:
            return f"PCC not judged as it is now, {floors} asked for" if floors else ""
        concordance, metric = self.emulated_concordance, self.emulated_metric
        beside = "" if concordance is None else f", concordance {concordance:.4f}"
        own = "" if metric is None else f", metric {metric:.4g}"
        floor = f", {floors} asked for" if floors else ""
        return f"PCC {self.emulated_pcc:.4f}{beside}{own} (emulated){floor}"

    @property
    def floors(self) -> str:
        """What its study asks of it: "at least 0.99", of the PCC; "" where that is nothing."""
        asked = (
            "" if self.min_pcc is None else f"{self.min_pcc:g}",
            "" if self.min_metric is None else f"a metric of {self.min_metric:g}",
        )
        found = " and ".join(filter(None, asked))
        return f"at least {found}" if found else ""

    @property
    def _emulated(self) -> str:
        return f"; {self.accuracy}" if self.accuracy else ""

    @property
    def _of_kinds(self) -> str:
        if self.unexecuted is None:
            return ""
        if not self.unexecuted:
            return ", but its kinds of layers were, alone"
        named = ", ".join(self.unexecuted[:_NAMED])
        more = len(self.unexecuted) - _NAMED
        return f"; kinds of layers never executed: {named}{f' and {more} more' if more > 0 else ''}"

    def of_an_edit(self) -> "Provenance":
        """Return it without what was known of the schedule before an edit."""
        return replace(
            self,
            executed_on="",
            executed_verdict="",
            executed_pcc=None,
            executed_fingerprint="",
            emulated_pcc=None,
            emulated_concordance=None,
            emulated_metric=None,
            unexecuted=None,
        )


@dataclass(frozen=True)
class Schedule:
    """One joint choice for a whole network.

    ``layers`` maps a layer's name to its configuration, in execution order; ``reshards`` maps an
    edge to the layout its tensor is brought into before the consumer runs (absent: none), a copy
    for that consumer alone. ``moves`` maps an edge to the layout in which its tensor waits, once
    the consumer has run, for those that read it later: DRAM (a spill), or the layout it has (it
    is packed to the free end of L1). The edge from a layer to itself moves the tensor as soon as
    it is there; the consumer need not read the tensor. ``frees`` are the convolutions and pools
    that free their first input in their midst, since nothing reads it later: no choice of theirs,
    but a consequence of everybody's.
    """

    provenance: Provenance
    layers: Mapping[str, LayerConfig]
    reshards: Mapping[Edge, TensorLayout] = field(default_factory=dict)
    moves: Mapping[Edge, TensorLayout] = field(default_factory=dict)
    frees: frozenset[str] = frozenset()

    def with_own_execution(self) -> "Schedule":
        """Return it without the execution of another schedule, such as this one before an edit."""
        made = self.provenance
        if made.executed_fingerprint in ("", self.fingerprint()):
            return self
        return replace(self, provenance=made.of_an_edit())

    def with_unexecuted(self, places: Iterable[str]) -> "Schedule":
        """Return it with the layers and changes of layout whose kind was never executed."""
        made = replace(
            self.provenance, unexecuted=tuple(places), executed_fingerprint=self.fingerprint()
        )
        return replace(self, provenance=made)

    def fingerprint(self) -> str:
        """Return a digest of the choices and the execution order, the same for equal ones.

        It is that of the first version, in which each configuration said whether it frees.
        """
        plain = fields_of(self)
        choices = {key: plain[key] for key in ("reshards", "moves")}
        layers = {
            name: with_freeing_flag(config, frees=name in self.frees)
            for name, config in self.layers.items()
        }
        return digest({**choices, "layers": layers, "order": list(self.layers)})
