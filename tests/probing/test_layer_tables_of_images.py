"""Tables of strided stems and of large pools, from a device that says what it is told."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from autosched.cost.model import CostModel
from autosched.device.interface import ProbeRequest
from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Constant, Conv2d, Input, Output, Pool2d
from autosched.probing.candidates import Choice
from autosched.probing.layer_tables import TableBuilder
from autosched.probing.probe_book import ProbeBook
from autosched.schedule.configurations import Conv2dConfig, FixedConfig, PoolConfig
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection, RejectionKind
from autosched.schedule.tensors import DataType, PageLayout, ShardLayout, TensorInfo, TensorLayout
from autosched.space.efforts import find_effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from tests.examples.devices import ReplayDevice, Scripted
from tests.examples.layouts import HALF_GRID, ROWS_IN_DRAM, height
from tests.examples.networks import BOARD

Answer = ProbeOutcome | Rejection
Tabled = tuple[dict[str, tuple[Choice, ...]], list[ProbeRequest]]
ROW_SHARDS = height(128, 8, HALF_GRID, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR)
SHARDS = height(32, 64, HALF_GRID, dtype=DataType.BFLOAT16)
REFUSED = Rejection(RejectionKind.L1_OVERFLOW, "Out of Memory: 9 B")
STEM = Layer("stem", Conv2d(3, 64, (7, 7), (2, 2), (3, 3, 3, 3)), ("x",), (1, 64, 32, 32))
POOL = Layer("pool", Pool2d("max", (2, 2), (2, 2)), ("stem",), (1, 64, 16, 16))
NETWORK = Network(
    "stem and pool",
    (
        Layer("x", Input(), (), (1, 3, 64, 64)),
        STEM,
        POOL,
        Layer("y", Output(), ("pool",), (1, 64, 16, 16)),
    ),
)


def ran(taken: TensorLayout, left: TensorLayout, time_us: float) -> ProbeOutcome:
    tensors = (TensorInfo((1, 1, 1024, 64), taken),), (TensorInfo((1, 1, 1024, 64), left),)
    return ProbeOutcome(
        (DeviceOp(f"Fake{time_us}", "", *tensors),), (taken,), left, time_us=time_us
    )


def fitting(request: ProbeRequest) -> Answer:
    """A device where everything fits; folding pays for rows in DRAM, and not in shards."""
    config, layouts = request.config, request.input_layouts or ()
    if isinstance(config, Conv2dConfig):
        return convolved(config, layouts)
    if isinstance(config, PoolConfig) and config.output_memory == "sharded":
        return ran(SHARDS, SHARDS, 5)
    left = config.output if request.op == Input() else TensorLayout()
    return ran(layouts[0] if layouts else TensorLayout(), left, 7)


def convolved(config: Conv2dConfig, layouts: tuple[TensorLayout, ...]) -> Answer:
    slower = 30 if config.fold_input and layouts == (ROW_SHARDS,) else 0
    if config.slicing == "auto":
        return ran(ROWS_IN_DRAM, TensorLayout(), 300 if config.fold_input else 500)
    if config.shard_layout is not ShardLayout.HEIGHT:
        return REFUSED
    native = ROWS_IN_DRAM if config.fold_input else ROW_SHARDS
    taken = layouts[0] if layouts else native
    return ran(taken, SHARDS, (200 if taken == ROWS_IN_DRAM else 10) + slower)


def too_large(request: ProbeRequest) -> Answer:
    """A device where no pool fits, and where rows take slices of width best."""
    config = request.config
    if not isinstance(config, PoolConfig):
        return fitting(request)
    if config.slicing == "auto" or not request.input_layouts:
        return REFUSED
    (taken,) = request.input_layouts
    fast = config.slicing == "dram_width" and taken == ROWS_IN_DRAM
    return ran(taken, TensorLayout(page=config.output_page), 40 if fast else 90)


@pytest.fixture
def build(store: Store, cost: CostModel) -> Callable[..., Tabled]:
    def build(answer: Callable[[ProbeRequest], Answer], network: Network = NETWORK) -> Tabled:
        device = Scripted(ReplayDevice(BOARD, {}, {}, {}), probe=answer)
        book = ProbeBook(store, device, DeviceKey(BOARD.name, "mock", "0.81.1"), cost)
        formats = LayerFormats(network, Formats())
        builder = TableBuilder(network, formats, BOARD, find_effort("quick"), book)
        return dict(builder.build(lambda *_: None).kept), device.probes

    return build


def test_a_stem_is_folded_from_rows_in_dram_and_in_the_fastest_shards(
    build: Callable[..., Tabled],
) -> None:
    tables, asked = build(fitting)
    folded = {
        request.input_layouts
        for request in asked
        if request.op == STEM.op
        and isinstance(request.config, Conv2dConfig)
        and request.config.fold_input
    }
    assert folded >= {None, (ROW_SHARDS,), (ROWS_IN_DRAM,)}
    found = {
        (choice.input_layouts[0], choice.output_layout): choice.config for choice in tables["stem"]
    }
    by_layouts = {
        layouts: config.fold_input
        for layouts, config in found.items()
        if isinstance(config, Conv2dConfig)
    }
    # In shards the fold costs more than it gains; from DRAM to DRAM it is the better last resort.
    assert by_layouts == {
        (ROW_SHARDS, SHARDS): False,
        (ROWS_IN_DRAM, SHARDS): True,
        (ROWS_IN_DRAM, TensorLayout()): True,
    }


@pytest.mark.parametrize(
    ("channels", "methods"), [(3, {"permute"}), (8, {"permute", "convert_to_hwc"})]
)
def test_channels_are_filled_up_for_convolutions_alone(
    build: Callable[..., Tabled], channels: int, methods: set[str]
) -> None:
    """As in a denoiser, whose convolutions tell what is to be taken off the image."""
    shape = (1, channels, 64, 64)
    noise = Conv2d(channels, channels, (3, 3), padding=(1, 1, 1, 1))
    layers = (
        Layer("x", Input(), (), shape),
        Layer("noise", noise, ("x",), shape),
        Layer("rest", Binary("sub"), ("x", "noise"), shape),
        Layer("y", Output(), ("rest",), shape),
    )
    tables, _ = build(fitting, Network("denoiser", layers))
    found = {choice.config for choice in tables["x"]}
    assert {config.method for config in found if isinstance(config, FixedConfig)} == methods


def test_a_pool_that_fits_is_not_sliced(build: Callable[..., Tabled]) -> None:
    _, asked = build(fitting)
    pools = [request for request in asked if isinstance(request.config, PoolConfig)]
    assert pools
    assert all(request.config.slicing == "auto" for request in pools)


def test_a_pool_that_fits_nowhere_is_tried_in_slices(build: Callable[..., Tabled]) -> None:
    tables, asked = build(too_large)
    tried = {
        (request.config.slicing, request.input_layouts == (ROWS_IN_DRAM,))
        for request in asked
        if isinstance(request.config, PoolConfig) and request.input_layouts
    }
    assert tried >= {
        (slicing, rows)
        for slicing in ("auto", "dram_height", "dram_width")
        for rows in (False, True)
    }
    best = tables["pool"][0]
    assert isinstance(best.config, PoolConfig)
    assert best.config.slicing == "dram_width"
    assert best.input_layouts == (ROWS_IN_DRAM,)
    assert best.config.output_page is PageLayout.ROW_MAJOR


def test_what_takes_no_input_has_a_table(build: Callable[..., Tabled]) -> None:
    shape = (1, 64, 16, 16)
    layers = (
        *NETWORK.layers[:-1],
        Layer("shift", Constant(), (), shape),
        Layer("sum", Binary("add"), ("pool", "shift"), shape),
        Layer("y", Output(), ("sum",), shape),
    )

    def answer(request: ProbeRequest) -> Answer:
        found = fitting(request)
        if isinstance(request.op, Constant) and isinstance(found, ProbeOutcome):
            return replace(found, input_layouts=())
        return found

    tables, _ = build(answer, Network("shifted", layers))
    assert [choice.input_layouts for choice in tables["shift"]] == [()]
