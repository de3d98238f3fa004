"""Programs that are run on the mock device, in processes of their own."""

from pathlib import Path

import pytest

from autosched.boards import find_board
from autosched.budget import Budget
from autosched.errors import ProgramError
from autosched.profiling.program import ProgramProfile, ProgramRequest, profile_program

N150 = find_board("n150")
TENSOR = "ttnn.from_torch(torch.zeros(1, 1, 64, 64), layout=ttnn.TILE_LAYOUT, device=device)"
TRACED = f"""\
import torch, ttnn
from tracy import signpost

def model(device):
    tensor = {TENSOR}

    def forward():
        signpost("stem")
        half = ttnn.relu(tensor)
        signpost(header="body")
        return ttnn.sqrt(half) + half

    print("prepared")
    forward()
    device.enable_program_cache()
    trace = ttnn.begin_trace_capture(device, cq_id=0)
    forward()
    ttnn.end_trace_capture(device, trace, cq_id=0)
    for _ in range(10):
        ttnn.execute_trace(device, trace, cq_id=0, blocking=False)
    ttnn.wait_for_event(0, ttnn.record_event(device, 0))
    ttnn.synchronize_device(device)
    ttnn.release_trace(device, trace)
"""


def profiled(path: Path, source: str, seconds: float = 100.0, **asked: object) -> ProgramProfile:
    file = path / "hand.py"
    file.write_text(source)
    request = ProgramRequest(str(file), N150, directory=str(path), **asked)  # type: ignore[arg-type]
    return profile_program(request, Budget.of(seconds))


def test_a_trace_counts_once_and_signposts_name_its_parts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = profiled(tmp_path, TRACED)
    codes = [op.code.removesuffix("DeviceOperation") for op in found.ops]
    assert codes == ["Unary", "Unary", "BinaryNg"]
    assert [op.layer for op in found.ops] == ["stem", "body", "body"]
    assert found.notes == (
        "a trace is counted once, replayed 10 times; 3 ops outside of traces are left out",
    )
    assert capfd.readouterr().out.count("prepared") == 1


COUNTED = f"""\
import torch, ttnn

runs = []

def run(device):
    runs.append(None)
    tensor = {TENSOR}
    if len(runs) == 1:
        tensor = ttnn.relu(tensor)
    return ttnn.to_torch(ttnn.matmul(tensor, tensor))
"""


@pytest.mark.parametrize(("first", "ops"), [(False, 1), (True, 2)])
def test_the_second_run_is_profiled_unless_the_first_is_asked_for(
    tmp_path: Path, first: bool, ops: int
) -> None:
    found = profiled(tmp_path, COUNTED, first=first)
    assert len(found.ops) == ops
    # The buffers of a matmul are told by a run without dispatch alone.
    assert found.ops[-1].code.startswith("Matmul")
    assert found.ops[-1].circular_buffer_bytes > 0
    assert found.callers[-1] == "matmul 1"
    assert (found.peak_op, found.kept_l1_bytes) == (ops - 1, 0)
    assert found.peak_l1_bytes >= found.ops[-1].circular_buffer_bytes


FUSING = f"""\
import torch, ttnn

def run(device):
    tensor = {TENSOR}
    silu = ttnn.UnaryWithParam(ttnn.UnaryOpType.SILU)
    grid = ttnn.CoreGrid(x=2, y=2)
    ttnn.linear(tensor, tensor, activation="silu", core_grid=grid)
    ttnn.linear(tensor, tensor, activation=silu, core_grid=grid)
    ttnn.linear(tensor, tensor, core_grid=grid)
"""


def test_what_a_product_fuses_is_part_of_it_however_it_is_named(tmp_path: Path) -> None:
    found = profiled(tmp_path, FUSING)
    assert [op.attributes.endswith("; fused=SILU") for op in found.ops] == [True, True, False]


PREPARED = f"""\
import torch, ttnn

def prepare(device):
    tensor = ttnn.to_memory_config({TENSOR}, ttnn.L1_MEMORY_CONFIG)
    return lambda: ttnn.relu(tensor)
"""


def test_what_the_function_returns_is_the_program_where_it_can_be_called(tmp_path: Path) -> None:
    found = profiled(tmp_path, PREPARED, function="prepare")
    assert found.callers == ("relu 1",)
    assert found.kept_l1_bytes == 4096  # a tile of float32 on a core


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def run(device)\n", "hand.py:1: SyntaxError: expected ':'"),
        ("def walk(device): pass\n", "hand.py has none of run, main, model; write a function"),
        ("def run(device, image): pass\n", "`run` is to take the device, and nothing else"),
        ("def run(device): pass\n", "hand.py ran nothing on the device"),
        ("import sys\ndef run(device): sys.exit(3)\n", "hand.py:2: the program raises: SystemExit"),
        (
            f"import torch, ttnn\ndef run(device):\n    ttnn.matmul({TENSOR}, {TENSOR}[:32])\n",
            "hand.py:3: the program raises",
        ),
        (
            "import ttnn\ndef main(device):\n    ttnn.open_device(device_id=0)\n",
            "DeviceGivenError: ttnn.open_device: the device is given: it is",
        ),
        ("import ttnn\nttnn.CreateDevice(0)\n", "hand.py:2: the program raises: DeviceGivenError"),
        (
            "import ctypes\ndef run(device):\n    ctypes.string_at(0)\n",
            "hand.py crashed at hand.py:3: ttnn's mock device died of SIGSEGV",
        ),
        (
            "done = []\ndef run(device):\n    if done: raise OSError\n    done.append(1)\n",
            "hand.py:3: the program raises when it is run again (profile the first run with",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_program_is_one_message_with_its_place(
    tmp_path: Path, source: str, words: str
) -> None:
    with pytest.raises(ProgramError) as raised:
        profiled(tmp_path, source)
    assert words in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="has not ended within the time it was given"):
        profiled(tmp_path, "def run(device):\n    while True: pass\n", seconds=6.0)
