"""The text of a program, made of lines noted by hand; what it runs is tested with its recorder."""

import ast
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from autosched.export.model_module import NotedStep, RecordedModel, render_model
from tests.examples.schedules import small_schedule

RECORDED = RecordedModel(
    input_shapes=((1, 3, 8, 8),),
    upload=(
        "t1 = images[0].to(torch.bfloat16)",
        "t2 = ttnn.from_torch(t1, device=device, memory_config=ttnn.DRAM_MEMORY_CONFIG)",
    ),
    uploaded=("t2",),
    first=(
        't3 = ttnn.from_torch(weights["fc.weight"], device=device)',
        "t4 = ttnn.linear(inputs[0], t3)",
    ),
    steps=(
        NotedStep("fc", "layer", ("t5 = ttnn.linear(inputs[0], t3)",), "t5"),
        NotedStep("pool", "layer", ("t6 = ttnn.max_pool2d(input_tensor=t5)",), "t6"),
        NotedStep("pool", "move", ("t7 = ttnn.move(t6)",)),
        NotedStep("add", "layer", ("t8 = ttnn.add(t5, t7)",), "t8"),
    ),
    returned=("t8",),
    read=("t9 = ttnn.to_torch(outputs[0])", "t10 = t9.float()"),
    seen=("t10",),
)  # fmt: skip


def test_the_program_is_python_and_says_each_call_once() -> None:
    source = render_model(RECORDED, small_schedule().provenance, "tiny.pt")
    tree = ast.parse(source)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions[:2] == ["build", "on_host"]
    assert {"upload", "read", "run", "main"} < set(functions)
    assert source.count("ttnn.linear(") == 1
    body = source[source.index("# fc") : source.index("    return model")]
    assert body.split("\n")[:8] == [
        "# fc",
        "        fc = ttnn.linear(inputs[0], fc_weight)",
        "        # pool",
        "        x = ttnn.max_pool2d(input_tensor=fc)",
        "        # pool, while it waits",
        "        x = ttnn.move(x)",
        "        # add",
        "        add = ttnn.add(fc, x)",
    ]
    assert "return [add]" in body
    assert 'fc_weight = ttnn.from_torch(weights["fc.weight"], device=device)' in source
    assert 'WEIGHTS = Path(__file__).with_name("tiny.pt")' in source


def test_what_its_lines_take_of_the_weights() -> None:
    assert RECORDED.parameters() == {"fc.weight"}


class Queues(ModuleType):
    """Two command queues as ttnn has them: each in order, and what is ordered between them.

    A command knows which ones are over before it begins: those of its queue, those that an event
    made its queue wait for, and those that the host waited for before it was given.
    """

    DRAM_MEMORY_CONFIG = "DRAM"

    def __init__(self) -> None:
        super().__init__("ttnn")
        self.done: dict[object, set[int]] = {"host": set(), 0: set(), 1: set()}
        self.before: list[set[int]] = []
        self.uses: list[tuple[str, int]] = []
        self.capturing: list[int] | None = None
        self.traces: dict[int, list[int]] = {}
        self.tensors = 0

    def _given(self, queue: int, *uses: tuple[str, int]) -> set[int]:
        assert self.capturing is None
        own = self.done[queue] | self.done["host"]
        for what, tensor in uses:
            self.before.append(set(own))
            self.uses.append((what, tensor))
            own.add(len(self.before) - 1)
        self.done[queue] = own
        return own

    def open_device(self, **options: object) -> str:
        assert options["num_command_queues"] == 2
        return "device"

    def close_device(self, device: object) -> None:
        assert (device, self.traces) == ("device", {})

    def from_torch(self, _: torch.Tensor, *, device: object = None) -> int:
        assert self.capturing is None, "nothing is uploaded while a trace is captured"
        return 0 if device is None else self._op()

    def to_device(self, _: int, device: str, *, memory_config: str) -> int:
        assert (device, memory_config) == ("device", self.DRAM_MEMORY_CONFIG)
        return self._op()

    def _op(self, *inputs: int) -> int:
        self.tensors += 1
        if self.capturing is not None:
            self.capturing += [*inputs, -self.tensors]
        else:
            self._given(0, *(("read", item) for item in inputs), ("write", self.tensors))
        return Tensor(self, self.tensors)

    def linear(self, *inputs: int) -> int:
        return self._op(*inputs)

    def max_pool2d(self, input_tensor: int) -> int:
        return self._op(input_tensor)

    move = add = linear

    def begin_trace_capture(self, device: str, cq_id: int) -> int:
        assert (device, cq_id, self.capturing) == ("device", 0, None)
        self.capturing = []
        return len(self.traces) + 1

    def end_trace_capture(self, device: str, trace: int, cq_id: int) -> None:
        assert (device, cq_id) == ("device", 0)
        assert self.capturing is not None
        self.traces[trace], self.capturing = self.capturing, None

    def execute_trace(self, _: str, trace: int, cq_id: int, blocking: bool) -> None:
        assert not blocking
        uses = [("read" if item > 0 else "write", abs(item)) for item in self.traces[trace]]
        self._given(cq_id, *uses)

    def release_trace(self, _: str, trace: int) -> None:
        assert len(self.before) == len(self.done["host"]), "something is under way"
        del self.traces[trace]

    def copy_host_to_device_tensor(self, _: int, tensor: int, cq_id: int) -> None:
        self._given(cq_id, ("write", tensor))

    def record_event(self, _: str, queue: int) -> set[int]:
        return set(self._given(queue))

    def wait_for_event(self, queue: int, event: set[int]) -> None:
        self.done[queue] |= event

    def event_synchronize(self, event: set[int]) -> None:
        self.done["host"] |= event

    def synchronize_device(self, _: str) -> None:
        self.done["host"] |= self.done[0] | self.done[1]

    def to_torch(self, tensor: int) -> torch.Tensor:
        self._given(0, ("read", tensor))
        return torch.zeros(1)

    def unordered(self) -> list[tuple[int, int]]:
        """Return the commands of which one writes what the other uses, in no order."""
        return [
            (first, second)
            for second, (does, tensor) in enumerate(self.uses)
            for first in range(second)
            if self.uses[first][1] == tensor
            and "write" in {does, self.uses[first][0]}
            and first not in self.before[second]
        ]


class Tensor(int):
    """A tensor on the device: its number, and how it is read without waiting."""

    def __new__(cls, queues: Queues, number: int) -> "Tensor":
        made = super().__new__(cls, number)
        made.queues = queues  # type: ignore[attr-defined]
        return made

    def cpu(self, blocking: bool) -> object:
        assert not blocking
        self.queues._given(0, ("read", int(self)))  # type: ignore[attr-defined]
        return object()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Queues, dict[str, Any]]:
    queues = Queues()
    monkeypatch.setitem(sys.modules, "ttnn", queues)
    for name in ("TT_METAL_MOCK_CLUSTER_DESC_PATH", "TT_METAL_SLOW_DISPATCH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TT_METAL_SIMULATOR", "any")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "tiny.pt")
    names: dict[str, Any] = {"__name__": "tiny", "__file__": str(tmp_path / "tiny.py")}
    source = render_model(RECORDED, small_schedule().provenance, "tiny.pt")
    exec(compile(source, "tiny.py", "exec"), names)  # noqa: S102 - the program that we wrote
    return queues, names


def test_a_program_with_two_queues_orders_all_that_touches_a_tensor(
    program: tuple[Queues, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    queues, names = program
    names["images_per_second"].__defaults__ = (12,)
    names["main"]()
    assert re.search(r"outputs of \(1,\)\n[\d.]+ images per second", capsys.readouterr().out)
    written = [tensor for does, tensor in queues.uses if does == "write"]
    assert max(map(written.count, written)) >= 6
    assert queues.unordered() == []


@pytest.mark.skipif(Path("/dev/tenstorrent").exists(), reason="this machine has a card")
def test_without_a_card_it_says_so_before_ttnn_is_asked(
    program: tuple[Queues, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    queues, names = program
    monkeypatch.delenv("TT_METAL_SIMULATOR")
    with pytest.raises(SystemExit, match=r"no Tenstorrent card here; .*autosched profile tiny.py"):
        names["main"]()
    assert queues.uses == []


@pytest.mark.parametrize(
    "line",
    [
        "ttnn.event_synchronize(computed[slot])",
        "ttnn.wait_for_event(0, written)",
    ],
)
def test_each_wait_of_it_is_needed(program: tuple[Queues, dict[str, Any]], line: str) -> None:
    queues, names = program
    source = render_model(RECORDED, small_schedule().provenance, "tiny.pt")
    assert line in source
    exec(compile(source.replace(line, "pass"), "tiny.py", "exec"), names)  # noqa: S102 - as above
    names["images_per_second"].__defaults__ = (6,)
    names["main"]()
    assert queues.unordered()
