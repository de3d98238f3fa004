"""The worker process: how it dies, and what that looks like from outside."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autosched.boards import ETHERNET, find_board
from autosched.budget import Budget
from autosched.device.worker import WorkerDevice
from autosched.device.worker_process import Channel
from autosched.errors import (
    BoardError,
    DeviceError,
    MachineError,
    ScheduleError,
    TimeUpError,
)
from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import Input
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from tests.device.conftest import ROOT, child_options
from tests.examples.device_layers import FITS, LARGE, ttnn_default
from tests.examples.networks import BOARD
from tests.examples.waiting import wait_for

# Says its pid and its worker's; after Ctrl-C whether the same worker still answers; then sleeps.
PARENT = """
import os, sys, time
from autosched.device.worker import WorkerDevice
from tests.examples.device_layers import FITS
from tests.examples.networks import BOARD
device = WorkerDevice(BOARD)
device.start()
before = device.pid
try:
    print(before, flush=True)
    time.sleep(100)
except KeyboardInterrupt:
    answer = device.probe(FITS)
    print(type(answer).__name__, device.pid == before, flush=True)
time.sleep(100)
"""


# A worker without ttnn: says that it is ready, takes a request (unless it is stopped before), and
# leaves its answer half-way.
FAKE = """\
#!{python}
import os, pickle, signal, socket, struct, sys
from autosched.device.worker_process import Channel
end = socket.socket(fileno=int(sys.argv[3]))
channel = Channel(end)
channel.receive()
{before_ready}
channel.send("ready")
{before_request}
channel.receive()
data = pickle.dumps("answer" * 1000)
end.settimeout(None)
end.sendall(struct.pack("!Q", len(data)) + data[:100])
{half_way}
"""

# A worker without ttnn that tells two layers as executed, and then does what it is told.
TELLING = """\
#!{python}
import os, signal, socket, sys, time
from autosched.device.worker_process import Channel, News
from autosched.schedule.outcomes import Agreement, ExecutedLayer
channel = Channel(socket.socket(fileno=int(sys.argv[3])))
channel.receive()
channel.send("ready")
channel.receive()
right = Agreement(1.0, 1.0, 0.0, 1.0)
for name in ("x", "stem"):
    channel.send(News(ExecutedLayer(name, right, right)))
    time.sleep({pause})
{then}
"""
STOP = "os.kill(os.getpid(), signal.SIGSTOP)"
DIE = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkerDevice]:
    """A device whose worker fails at one of three moments."""

    def make(*, deadline_s: float | None = None, **moments: str) -> WorkerDevice:
        steps = {"before_ready": "", "before_request": "", "half_way": "", **moments}
        script = tmp_path / "worker"
        script.write_text(FAKE.format(python=sys.executable, **steps))
        script.chmod(0o755)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setattr(sys, "executable", str(script))
        return WorkerDevice(BOARD, deadline_s=deadline_s)

    return make


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkerDevice]:
    """A simulator's worker that tells two layers of a network, and ends in some way."""

    def make(then: str, *, pause: float = 0.0, deadline_s: float | None = None) -> WorkerDevice:
        script = tmp_path / "worker"
        script.write_text(TELLING.format(python=sys.executable, then=then, pause=pause))
        script.chmod(0o755)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setattr(sys, "executable", str(script))
        return WorkerDevice(BOARD, "simulator", deadline_s=deadline_s)

    return make


@pytest.fixture(scope="module")
def victim(network: Network) -> Iterator[WorkerDevice]:
    """A worker to be killed; each test leaves it able to answer."""
    with WorkerDevice(BOARD) as device:
        device.load(network)
        yield device


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def worker_pid(device: WorkerDevice) -> int:
    assert device.pid is not None
    return device.pid


def test_it_starts_at_the_first_request_and_ends_at_close(victim: WorkerDevice) -> None:
    assert victim.pid is None
    assert isinstance(victim.probe(FITS), ProbeOutcome)
    pid = worker_pid(victim)
    assert is_running(pid)
    victim.close()
    victim.close()
    assert not is_running(pid)
    assert victim.pid is None


def test_a_killed_worker_is_a_crash_and_the_next_one_knows_the_network(
    victim: WorkerDevice, network: Network
) -> None:
    assert isinstance(victim.run(ttnn_default(network)), RunOutcome)
    killed = worker_pid(victim)
    os.kill(killed, signal.SIGKILL)
    assert wait_for(lambda: not is_running(killed))
    assert victim.run(ttnn_default(network)) == Rejection(
        RejectionKind.CRASH, "the worker process died of SIGKILL"
    )
    assert isinstance(victim.run(ttnn_default(network)), RunOutcome)
    assert worker_pid(victim) != killed


def test_a_silent_worker_is_a_hang_and_is_killed(victim: WorkerDevice) -> None:
    victim.probe(FITS)
    stopped = worker_pid(victim)
    os.kill(stopped, signal.SIGSTOP)
    patient, victim.deadline_s = victim.deadline_s, 0.3
    try:
        answer = victim.probe(FITS)
    finally:
        victim.deadline_s = patient
    assert answer == Rejection(RejectionKind.HANG, "no answer within 0.3 s")
    assert not is_running(stopped)


def test_a_worker_that_stops_before_it_takes_the_weights_is_killed(
    fake: Callable[..., WorkerDevice],
) -> None:
    """They are larger than what lies between two processes."""
    weights = {"x": Weights(torch.zeros(8 << 20))}
    heavy = Network("heavy", (Layer("x", Input(), (), (1, 3, 8, 8)),), weights)
    with fake(before_request=STOP, deadline_s=0.3) as device:
        device.start()
        stopped = worker_pid(device)
        device.load(heavy)
        assert device.pid is None
    assert not is_running(stopped)


def test_a_worker_that_stops_in_the_middle_of_an_answer_is_a_hang(
    fake: Callable[..., WorkerDevice],
) -> None:
    with fake(half_way=STOP, deadline_s=0.3) as device:
        device.start()
        stopped = worker_pid(device)
        assert device.probe(FITS) == Rejection(RejectionKind.HANG, "no answer within 0.3 s")
    assert not is_running(stopped)


def test_a_worker_that_dies_in_the_middle_of_an_answer_is_a_crash(
    fake: Callable[..., WorkerDevice],
) -> None:
    with fake(half_way=DIE) as device:
        assert device.probe(FITS) == Rejection(
            RejectionKind.CRASH, "the worker process died of SIGKILL"
        )


@pytest.mark.parametrize("moment", ["before_ready", "before_request", "half_way"])
def test_the_end_of_the_callers_time_is_no_fact_about_the_configuration(
    fake: Callable[..., WorkerDevice], moment: str
) -> None:
    with fake(**{moment: STOP}) as device:
        with pytest.raises(TimeUpError, match="before the device answered"):
            device.probe(FITS, Budget.of(1.0))
        assert device.pid is None


def test_a_worker_that_dies_while_it_starts_is_started_again_twice(
    fake: Callable[..., WorkerDevice], tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    counted = f"open({str(starts)!r}, 'a').write('x')"
    twice = f"os.path.getsize({str(starts)!r}) < 3 and {DIE}"
    with fake(before_ready=f"{counted}\n{twice}") as device:
        device.start()
        assert starts.read_text() == "xxx"


def test_a_worker_that_always_dies_while_it_starts_says_its_last_words(
    fake: Callable[..., WorkerDevice], tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    says = f"open({str(starts)!r}, 'a').write('x'); print('no firmware', flush=True)"
    with fake(before_ready=f"{says}\n{DIE}") as device:
        with pytest.raises(DeviceError, match=r"(?s)cannot be opened: .* SIGKILL\nno firmware"):
            device.start()
        assert starts.read_text() == "xxx"


@pytest.mark.parametrize(
    ("end", "kind", "most"),
    [(DIE, RejectionKind.CRASH, 10), (STOP, RejectionKind.HANG, 3)],
)
def test_a_device_that_is_lost_again_and_again_ends_the_search(
    fake: Callable[..., WorkerDevice], end: str, kind: RejectionKind, most: int
) -> None:
    says = "print('the card fell off the bus', flush=True)"
    with fake(before_request=f"{says}\n{end}", deadline_s=0.3) as device:
        for _ in range(most):
            answer = device.probe(FITS)
            assert isinstance(answer, Rejection)
            assert answer.kind is kind
        with pytest.raises(
            DeviceError, match=rf"(?s)lost {most} times in a row.*the card fell off the bus"
        ):
            device.probe(FITS)
        assert isinstance(device.probe(FITS), Rejection)


# A worker without ttnn that does not survive one of two requests.
PICKY = """\
#!{python}
import os, signal, socket, sys
from autosched.device.worker_process import Channel
from tests.examples.device_layers import FITS
channel = Channel(socket.socket(fileno=int(sys.argv[-1])))
channel.receive()
channel.send("ready")
while True:
    if channel.receive()[1] != FITS:
        {die}
    channel.send("fine")
"""


def test_candidates_that_all_crash_do_not_speak_against_a_device_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "worker"
    script.write_text(PICKY.format(python=sys.executable, die=DIE))
    script.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(sys, "executable", str(script))
    with WorkerDevice(BOARD) as device:
        assert device.probe(FITS) == "fine"
        for _ in range(12):
            assert isinstance(device.probe(LARGE), Rejection)


def test_what_a_simulator_lacks_does_not_speak_against_it(
    telling: Callable[..., WorkerDevice],
) -> None:
    stops = "print('ERROR: UnimplementedFunctionality: sfpu op', flush=True); sys.exit(1)"
    with telling(stops) as device:
        for _ in range(12):
            assert isinstance(device.probe(FITS), Rejection)


def test_a_signal_without_a_name_is_told_by_its_number(fake: Callable[..., WorkerDevice]) -> None:
    with fake(half_way="os.kill(os.getpid(), 40)") as device:
        answer = device.probe(FITS)
    assert isinstance(answer, Rejection)
    assert answer.kind is RejectionKind.CRASH
    assert answer.message.startswith("the worker process died of signal 40, after ")


def test_a_crash_says_when_it_was_and_what_was_said_last(fake: Callable[..., WorkerDevice]) -> None:
    dies = "print('TT_FATAL: the last word', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
    with fake(half_way=dies) as device:
        answer = device.probe(FITS)
    assert isinstance(answer, Rejection)
    found = re.fullmatch(r".* died of SIGSEGV, after [\d.]+ s; its log ends: (.*)", answer.message)
    assert found
    assert found[1] == "TT_FATAL: the last word"


def test_a_kernel_cache_that_is_gone_is_the_machines_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative one is where the caller is, and not the worker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSCHED_CACHE", "cache")
    with WorkerDevice(BOARD) as device:
        assert isinstance(device.probe(FITS), ProbeOutcome)
        (kernels,) = (tmp_path / "cache").glob("ttnn-*/kernels")
        shutil.rmtree(kernels)
        kernels.touch()
        with pytest.raises(MachineError, match=rf"(?s)the machine failed.*{tmp_path}/cache"):
            device.probe(LARGE)


def test_whose_time_is_up_is_not_asked(fake: Callable[..., WorkerDevice]) -> None:
    with fake() as device:
        with pytest.raises(TimeUpError, match="before the device was asked"):
            device.probe(FITS, Budget.of(0.0))
        assert device.pid is None


def test_what_a_dead_worker_started_dies_with_it(fake: Callable[..., WorkerDevice]) -> None:
    """Compilers, for instance."""
    started = "import subprocess; child = subprocess.Popen(['sleep', '100'])"
    said = "print(child.pid, flush=True)"
    with fake(half_way="\n".join([started, said, DIE])) as device:
        device.start()
        assert device._log is not None
        with open(f"/proc/self/fd/{device._log.fileno()}", "rb") as log:
            assert isinstance(device.probe(FITS), Rejection)
            grandchild = int(log.read())
    assert wait_for(lambda: not is_running(grandchild))


def test_ctrl_c_and_death_of_the_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **child_options(tmp_path),
    )
    assert parent.stdout is not None
    try:
        worker = int(parent.stdout.readline())
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline().split() == ["ProbeOutcome", "True"]
        assert is_running(worker)
    finally:
        parent.kill()
        parent.communicate()
    assert wait_for(lambda: not is_running(worker))


def test_an_interrupted_request_ends_the_worker(
    victim: WorkerDevice, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer, still under way, would be taken for that of the next request."""
    victim.probe(FITS)
    pid = worker_pid(victim)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Channel, "receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        victim.run(ttnn_default(network))
    assert victim.pid is None
    assert not is_running(pid)


def test_another_board_than_the_one_that_is_there() -> None:
    # Blackhole dispatches by a column of its cores, whatever is said of it.
    twelve = replace(find_board("p150"), grid=(12, 10), dispatch=ETHERNET)
    with (
        WorkerDevice(twelve) as device,
        pytest.raises(BoardError, match=r"grid of 11x10 cores, but p150 has 12x10: name the"),
    ):
        device.probe(FITS)
    assert device.pid is None


def test_a_worker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        WorkerDevice(BOARD) as device,
        pytest.raises(DeviceError, match=r"n150 cannot be opened: .* exit code 1"),
    ):
        device.start()


def test_files_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "file"))
    with WorkerDevice(BOARD) as device, pytest.raises(DeviceError, match="AUTOSCHED_CACHE"):
        device.start()


def test_a_schedule_for_another_network_is_the_callers_error(
    worker: WorkerDevice, network: Network
) -> None:
    schedule = ttnn_default(network)
    layers = {name: config for name, config in schedule.layers.items() if name != "fc"}
    with pytest.raises(ScheduleError, match="nothing about layer fc"):
        worker.run(replace(schedule, layers=layers))
    swapped = {**schedule.layers, "fc": schedule.layers["pool"]}
    with pytest.raises(DeviceError, match="fc is a Linear and takes a MatmulConfig"):
        worker.run(replace(schedule, layers=swapped))
    assert isinstance(worker.run(schedule), RunOutcome)


def executed(device: WorkerDevice, network: Network) -> tuple[object, list[str]]:
    """Execute ttnn's default schedule; return the answer, and the layers that were told."""
    told: list[str] = []
    schedule = ttnn_default(network)
    with device:
        answer = device.execute(schedule, (), lambda layer: told.append(layer.name))
    return answer, told


def test_layers_are_told_as_they_are_executed(
    telling: Callable[..., WorkerDevice], network: Network
) -> None:
    answer, told = executed(telling("channel.send('all of it')"), network)
    assert answer == "all of it"
    assert told == ["x", "stem"]


def test_the_layer_that_stops_the_simulator_is_named_with_its_words(
    telling: Callable[..., WorkerDevice], network: Network
) -> None:
    stops = "print('[4812] ERROR: UndefinedBehavior: tensix_unpacr', flush=True); sys.exit(1)"
    answer, told = executed(telling(stops), network)
    assert told == ["x", "stem"]
    assert isinstance(answer, Rejection)
    assert (answer.kind, answer.layer) == (RejectionKind.CRASH, "pool")
    assert answer.message.endswith("exit code 1: UndefinedBehavior: tensix_unpacr")


def test_the_layer_that_does_not_end_is_named(
    telling: Callable[..., WorkerDevice], network: Network
) -> None:
    """Every layer has the whole deadline: together they take longer."""
    answer, told = executed(telling("time.sleep(60)", pause=0.8, deadline_s=1.0), network)
    assert told == ["x", "stem"]
    assert isinstance(answer, Rejection)
    assert (answer.kind, answer.layer) == (RejectionKind.HANG, "pool")


def test_the_mock_device_executes_nothing(worker: WorkerDevice, network: Network) -> None:
    with pytest.raises(DeviceError, match="the mock device executes no kernel"):
        worker.execute(ttnn_default(network), ())
    with pytest.raises(DeviceError, match="the mock device executes no kernel"):
        worker.time_alone(FITS)
    assert isinstance(worker.probe(FITS), ProbeOutcome)


def test_a_worker_imports_nothing_from_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor dies without HOME, as services run: both in one start, which takes seconds."""
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path))
    monkeypatch.delenv("HOME")
    (tmp_path / "worker").mkdir()
    for name in ("torch", "ttnn", "pickle", "autosched"):
        (tmp_path / "worker" / f"{name}.py").write_text("raise SystemExit('planted')\n")
    with WorkerDevice(BOARD) as device:
        assert isinstance(device.probe(FITS), ProbeOutcome)


def test_a_board_that_dispatches_by_ethernet_runs_what_one_of_its_grid_does(
    network: Network, worker: WorkerDevice
) -> None:
    worker.load(network)
    expected = worker.run(ttnn_default(network))
    assert isinstance(expected, RunOutcome)
    with WorkerDevice(find_board("n300")) as other:
        other.load(network)
        outcome = other.run(ttnn_default(network))
    assert isinstance(outcome, RunOutcome), outcome
    assert outcome.ops == expected.ops
