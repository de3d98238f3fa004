"""Every way of converting, slicing, folding and packing that a search offers, executed once."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autosched.cost.model import CostModel
from autosched.device.machine import SIMULATOR, ttnn_version
from autosched.device.worker import WorkerDevice
from autosched.network.ends import Ends, with_ends
from autosched.network.graph import Layer, Network
from autosched.network.operators import Conv2d, Input, Output, Pool2d
from autosched.numerics.comparison import sample_weights
from autosched.probing.joint_problem import JointProblem
from autosched.probing.probe_book import ProbeBook
from autosched.probing.problem_builder import build_problem
from autosched.schedule.configurations import Conv2dConfig, Fidelity, FixedConfig, PoolConfig
from autosched.schedule.outcomes import Execution, Rejection, RunOutcome
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import DataType
from autosched.solver.solver import solve
from autosched.space.efforts import find_effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from autosched.store.database import open_store
from autosched.store.probes import DeviceKey
from tests.device.ttnn.test_host import cosine_network
from tests.examples.networks import BOARD
from tests.once import OncePerRun

pytestmark = [pytest.mark.simulator, pytest.mark.timeout(1800)]

EXACT = Formats(
    DataType.BFLOAT16, DataType.BFLOAT16, DataType.BFLOAT16, Fidelity.HIFI4, Fidelity.HIFI4
)
RIGHT = 0.999
SLICES = 2
ORDERS_OF_THE_DEVICE = ("nhwc", "device")
SLICED = ("stem", "conv", "pool")


def with_weights(network: Network) -> Network:
    layers = network.layers
    drawn = {layer.name: sample_weights(layer, 0) for layer in layers}
    return replace(
        network, weights={name: found for name, found in drawn.items() if found is not None}
    )


def images(batch: int, height: int = 32, width: int = 32) -> Network:
    """A strided stem, a convolution and a pool, whose image is the output."""
    stem = Conv2d(3, 32, (7, 7), (2, 2), (3, 3, 3, 3))
    conv = Conv2d(32, 64, (3, 3), padding=(1, 1, 1, 1))
    halved, quartered = ((height // part, width // part) for part in (2, 4))
    layers = (
        Layer("x", Input(), (), (batch, 3, height, width)),
        Layer("stem", stem, ("x",), (batch, 32, *halved)),
        Layer("conv", conv, ("stem",), (batch, 64, *halved)),
        Layer("pool", Pool2d("max", (2, 2), (2, 2)), ("conv",), (batch, 64, *quartered)),
        Layer("y", Output(), ("pool",), (batch, 64, *quartered)),
    )
    return with_weights(Network(f"images{batch}x{height}x{width}", layers))


def class_map(batch: int, height: int, width: int, classes: int = 2) -> Network:
    """Channels of pixels, of which ttnn turns 32 at a time where they lie."""
    shape, conv = (batch, classes, height, width), Conv2d(3, classes, (3, 3), padding=(1, 1, 1, 1))
    layers = (
        Layer("x", Input(), (), (batch, 3, height, width)),
        Layer("conv", conv, ("x",), shape),
        Layer("y", Output(), ("conv",), shape),
    )
    return with_weights(Network(f"{classes}classes{batch}x{height}x{width}", layers))


@dataclass(frozen=True)
class Way:
    """A schedule that goes one way at one layer."""

    name: str
    network: Network
    schedule: Schedule


def default_of(network: Network) -> Schedule:
    return default_schedule(network, BOARD.name, ttnn_version(), EXACT)


def sliced_ways() -> Iterator[Way]:
    network = images(1, 16, 256)  # wide enough for slices of whole tiles
    base = default_of(network)
    yield Way("ttnn's default", network, base)
    for slicing in ("dram_height", "dram_width"):
        for name in SLICED:
            config = base.layers[name]
            assert isinstance(config, Conv2dConfig | PoolConfig)
            sliced = replace(config, slicing=slicing, num_slices=SLICES)
            yield Way(
                f"{name} in {slicing}",
                network,
                replace(base, layers={**base.layers, name: sliced}),
            )
    yield Way("host layer", cosine_network(), default_of(cosine_network()))


def joint_of(network: Network, mock: WorkerDevice, place: Path) -> JointProblem:
    with open_store(f"sqlite:///{place}/{network.name}.sqlite3") as store:
        key = DeviceKey(BOARD.name, "mock", ttnn_version())
        book = ProbeBook(store, mock, key, CostModel.load(BOARD.arch))
        return build_problem(
            network, EXACT, BOARD, find_effort("quick"), book, progress=lambda *_: None
        )


def chosen_ways(joint: JointProblem) -> Iterator[Way]:
    """One schedule for each way in, each layout that is read out, and a folded stem."""
    for name, choices in joint.tables.items():
        op = joint.network.by_name[name].op
        seen = set()
        for choice in choices:
            config = choice.config
            if isinstance(op, Input) and isinstance(config, FixedConfig):
                way = f"input by {config.method}, {config.output.sharding}"
            elif isinstance(op, Output):
                layout = choice.input_layouts[0]
                taken = f"{layout.memory} {layout.sharding} {layout.page}"
                way = f"output by {config.method or 'rows'} from {taken}"
            elif isinstance(config, Conv2dConfig) and config.fold_input:
                way = f"folded stem, {choice.sharding}"
            else:
                continue
            if way not in seen:
                seen.add(way)
                forced = JointProblem(
                    joint.network,
                    {**joint.tables, name: (choice,)},
                    joint.reshards,
                    joint.spills,
                    BOARD,
                )
                of = f"batch {joint.network.batch}, {joint.network.name}"
                yield Way(f"{way}, {of}", joint.network, solved(forced))


def solved(joint: JointProblem) -> Schedule:
    best = solve(joint.problem).assignments[0]
    moves = [(move.tensor, move.after) for move in best.moves]
    made = Provenance(joint.network.name, joint.network.signature, BOARD.name, ttnn_version())
    return joint.schedule(joint.selection(best.candidates, moves), made)


def executed_in(place: Path) -> dict[str, Any]:
    with ExitStack() as devices:
        mock = devices.enter_context(WorkerDevice(BOARD))
        ways = list(sliced_ways())
        maps = [class_map(*sides) for sides in ((1, 32, 32), (1, 31, 33), (2, 31, 33))]
        kept = [
            with_ends(network, Ends(order, order))
            for order in ORDERS_OF_THE_DEVICE
            for network in (images(1), class_map(2, 31, 33))
        ]
        for network in (images(1), images(2), *maps, class_map(2, 31, 33, 40), *kept):
            ways += chosen_ways(joint_of(network, mock, place))
        runnable = []
        for way in ways:
            mock.load(way.network)
            outcome = mock.run(way.schedule)
            if isinstance(outcome, RunOutcome):
                runnable.append(way)
        simulator = devices.enter_context(WorkerDevice(BOARD, SIMULATOR))
        return {way.name: lowest(simulator, way) for way in runnable}


def lowest(simulator: WorkerDevice, way: Way) -> dict[str, Any]:
    shape = way.network.layers[0].shape
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(5)).bfloat16().float()
    simulator.load(way.network)
    answer = simulator.execute(way.schedule, [drawn])
    if isinstance(answer, Rejection):
        return {"rejected": f"{answer.layer}: {answer.message}"}
    assert isinstance(answer, Execution)
    return {
        "pcc": min(found.pcc for found in answer.outputs.values()),
        "concordance": min(layer.alone.concordance for layer in answer.layers),
    }


@pytest.fixture
def ways(simulated: str, once: OncePerRun) -> dict[str, Any]:
    del simulated
    return once("offered-ways", executed_in)


def test_each_way_is_right(ways: dict[str, Any]):
    wrong = {
        name: found
        for name, found in ways.items()
        if "rejected" in found or min(found["pcc"], found["concordance"]) < RIGHT
    }
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.parametrize(
    "words",
    [
        "input by permute",
        "input by convert_to_hwc",
        "output by rows from l1",
        "output by rows from dram",
        "output by transpose",
        "output by convert_to_chw",
        *(f"{name} in dram_{axis}" for name in SLICED for axis in ("height", "width")),
        "input by nhwc, interleaved",
        "input by device, height",
        "input by device, height, batch 2",
        "output by nhwc from l1 height tile",
        "output by nhwc from dram interleaved tile, batch 2",
        "output by device from l1 height tile",
        "folded stem",
        "host layer",
        "batch 2",
        "input by convert_to_hwc, height, batch 2, 2classes2x31x33",
        "output by transpose from dram interleaved tile, batch 2, 40classes2x31x33",
        "output by convert_to_chw from l1 height tile, batch 1, 2classes1x31x33",
        "output by convert_to_chw from l1 height tile, batch 2, 2classes2x31x33",
        "output by convert_to_chw from l1 height tile, batch 2, 40classes2x31x33",
    ],
)
def test_there_is_one_of(ways: dict[str, Any], words: str):
    assert any(words in name for name in ways)
