"""Devices for search tests: one that records, one that answers from its records, one that is told
what to say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import Device, ProbeRequest, ReshardRequest, check_time
from autosched.errors import DeviceError
from autosched.network.graph import Network
from autosched.probing.joint_problem import JointProblem
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import TensorLayout, move_label
from tests.examples.networks import BOARD

Probe = Callable[[ProbeRequest], ProbeOutcome | Rejection]
Reshard = Callable[[ReshardRequest], ProbeOutcome | Rejection]
Run = Callable[[Schedule], RunOutcome | Rejection]


class Delegate:
    """A device that passes everything on to another one, which it leaves open."""

    def __init__(self, device: Device) -> None:
        self.board: Board = device.board
        self.kind = device.kind
        self._device = device

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        self._device.load(network, budget)

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        return self._device.probe(request, budget)

    def reshard(
        self, request: ReshardRequest, budget: Budget = UNLIMITED
    ) -> ProbeOutcome | Rejection:
        return self._device.reshard(request, budget)

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        return self._device.run(schedule, budget)

    def close(self) -> None:
        pass

    def __enter__(self) -> "Delegate":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_NOT_RECORDED = Rejection(RejectionKind.INVALID, "not recorded")


class ReplayDevice:
    """Answers with recorded outcomes; what was not recorded is an invalid configuration.

    Args:
        board: The board that the records are of.
        probes: Outcomes by request.
        reshards: Outcomes by request.
        runs: Outcomes of whole networks by the schedule's fingerprint.
        kind: The kind of device that the records are of ("mock" or "silicon").
    """

    def __init__(
        self,
        board: Board,
        probes: Mapping[ProbeRequest, ProbeOutcome | Rejection],
        reshards: Mapping[ReshardRequest, ProbeOutcome | Rejection],
        runs: Mapping[str, RunOutcome | Rejection],
        kind: str = "mock",
    ) -> None:
        self.board = board
        self.kind = kind
        self._probes = probes
        self._reshards = reshards
        self._runs = runs
        self._network: Network | None = None

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` is asked about."""
        check_time(budget)
        self._network = network

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        """Return the recorded outcome of a layer's candidate."""
        check_time(budget)
        return self._probes.get(request, _NOT_RECORDED)

    def reshard(
        self, request: ReshardRequest, budget: Budget = UNLIMITED
    ) -> ProbeOutcome | Rejection:
        """Return the recorded outcome of a reshard."""
        check_time(budget)
        return self._reshards.get(request, _NOT_RECORDED)

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Return the recorded outcome of a schedule.

        Raises:
            DeviceError: if no network is loaded.
        """
        check_time(budget)
        if self._network is None:
            raise DeviceError("no network is loaded: call load() before run()")
        return self._runs.get(schedule.fingerprint(), _NOT_RECORDED)

    def close(self) -> None:
        """Do nothing; idempotent."""

    def __enter__(self) -> "ReplayDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass
class Records:
    """What a device answered."""

    probes: dict[ProbeRequest, ProbeOutcome | Rejection] = field(default_factory=dict)
    reshards: dict[ReshardRequest, ProbeOutcome | Rejection] = field(default_factory=dict)
    runs: dict[str, RunOutcome | Rejection] = field(default_factory=dict)

    def replay(self, board: Board = BOARD, kind: str = "mock") -> ReplayDevice:
        return ReplayDevice(board, self.probes, self.reshards, self.runs, kind)


class Recorder(Delegate):
    """Keeps what a device answers."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.records = Records()

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        return self.records.probes.setdefault(request, super().probe(request, budget))

    def reshard(
        self, request: ReshardRequest, budget: Budget = UNLIMITED
    ) -> ProbeOutcome | Rejection:
        return self.records.reshards.setdefault(request, super().reshard(request, budget))

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        return self.records.runs.setdefault(schedule.fingerprint(), super().run(schedule, budget))


class Scripted(Delegate):
    """Answers as it is told, otherwise as the device behind it, and counts its questions."""

    def __init__(
        self,
        device: Device,
        probe: Probe | None = None,
        reshard: Reshard | None = None,
        run: Run | None = None,
        kind: str | None = None,
    ) -> None:
        super().__init__(device)
        self.kind = kind or device.kind
        self._answers: Mapping[str, Callable[[Any], Any]] = {
            "probe": probe or device.probe,
            "reshard": reshard or device.reshard,
            "run": run or device.run,
        }
        self.probes: list[ProbeRequest] = []
        self.reshards: list[ReshardRequest] = []
        self.schedules: list[Schedule] = []

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> Any:
        check_time(budget)
        self.probes.append(request)
        return self._answers["probe"](request)

    def reshard(self, request: ReshardRequest, budget: Budget = UNLIMITED) -> Any:
        check_time(budget)
        self.reshards.append(request)
        return self._answers["reshard"](request)

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> Any:
        check_time(budget)
        self.schedules.append(schedule)
        return self._answers["run"](schedule)


class TableDevice(Delegate):
    """Runs any schedule of a joint problem by adding up what its parts did alone."""

    def __init__(self, records: Records, joint: JointProblem) -> None:
        super().__init__(records.replay())
        self._records = records
        self._joint = joint

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        known = super().run(schedule, budget)
        selection = self._joint.find(schedule)
        if isinstance(known, RunOutcome) or selection is None:
            return known
        ops: list[DeviceOp] = []
        waiting: dict[str, TensorLayout] = {}
        for layer in self._joint.network:
            choice = self._joint.tables[layer.name][selection.candidates[layer.name]]
            steps = [
                (str(edge), edge.producer, target)
                for edge, target in schedule.reshards.items()
                if edge.consumer == layer.name
            ]
            waiting[layer.name] = choice.output_layout
            for label, producer, target in steps:
                copied = self._reshard(label, producer, waiting[producer], target)
                if isinstance(copied, Rejection):
                    return copied
                ops += copied
            ops += [replace(op, layer=layer.name) for op in choice.ops]
            for edge, target in schedule.moves.items():
                if edge.consumer != layer.name or target == waiting[edge.producer]:
                    continue
                label = move_label(edge)
                moved = self._reshard(label, edge.producer, waiting[edge.producer], target)
                if isinstance(moved, Rejection):
                    return moved
                ops += moved
                waiting[edge.producer] = target
        return RunOutcome(tuple(ops), waiting)

    def _reshard(
        self, label: str, producer: str, source: TensorLayout, target: TensorLayout
    ) -> list[DeviceOp] | Rejection:
        shape = self._joint.network.by_name[producer].shape
        answer = self._records.reshards.get(ReshardRequest(shape, source, target))
        if not isinstance(answer, ProbeOutcome):
            return Rejection(RejectionKind.INVALID, "no such reshard", label)
        return [replace(op, layer=label) for op in answer.ops]
