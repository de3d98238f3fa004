"""What was asked beside what ttnn left: on records, and on the mock device."""

from dataclasses import replace

import pytest

from autosched.device.asked_layouts import check_brought, check_left
from autosched.device.interface import ProbeRequest
from autosched.device.rejections import LayoutMismatchError, classify
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Network
from autosched.network.operators import Pool2d
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from tests.examples.device_layers import sharded_schedule
from tests.examples.layouts import DRAM_8B, HALF_GRID, ONE_ROW, height

HEIGHT = height(32, 64, HALF_GRID)
BLOCK = replace(HEIGHT, sharding=ShardLayout.BLOCK)
IN_L1 = replace(DRAM_8B, memory=Memory.L1)
ROWS = replace(HEIGHT, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR)


@pytest.mark.parametrize(
    ("config", "left"),
    [
        (Conv2dConfig(ShardLayout.HEIGHT), HEIGHT),
        # On how many cores is ttnn's to decide.
        (Conv2dConfig(ShardLayout.HEIGHT, core_grid=ONE_ROW), HEIGHT),
        (Conv2dConfig(), BLOCK),
        (Conv2dConfig(ShardLayout.HEIGHT, output_memory="dram"), DRAM_8B),
        (PoolConfig(output_dtype=DataType.BFLOAT8_B), IN_L1),
        (MatmulConfig(output="l1", output_dtype=DataType.BFLOAT8_B), IN_L1),
        (MatmulConfig(), DRAM_TILE),
        (EltwiseConfig(layout=BLOCK), BLOCK),
        (FixedConfig(DRAM_8B), DRAM_8B),
        # Where rows are not cut, a shard holds all there is, however much fills up a tile.
        (FixedConfig(replace(ROWS, shard_shape=(32, 96))), ROWS),
    ],
)
def test_what_was_asked_passes(config: LayerConfig, left: TensorLayout) -> None:
    check_left(config, left)


@pytest.mark.parametrize(
    ("config", "left", "words"),
    [
        (
            Conv2dConfig(ShardLayout.BLOCK),
            HEIGHT,
            "asked L1 block, got L1 height 32 cores of",
        ),
        (Conv2dConfig(ShardLayout.BLOCK), DRAM_8B, "asked L1 block, got DRAM interleaved"),
        (Conv2dConfig(), DRAM_8B, "asked L1, got DRAM interleaved"),
        (Conv2dConfig(output_memory="dram"), HEIGHT, "asked DRAM interleaved, got L1 height"),
        (
            Conv2dConfig(ShardLayout.BLOCK, output_dtype=DataType.BFLOAT16),
            HEIGHT,
            "asked bfloat16 and L1 block, got L1 height 32 cores of 32x64 bfloat8_b tile",
        ),
        (
            PoolConfig(output_dtype=DataType.BFLOAT16, output_page=PageLayout.TILE),
            ROWS,
            "asked tile, got L1 height 32 cores of 32x64 bfloat16 row_major",
        ),
        (MatmulConfig(output="width"), DRAM_TILE, "asked L1 width, got DRAM interleaved"),
        (MatmulConfig(), DRAM_8B, "asked bfloat16, got DRAM interleaved bfloat8_b tile"),
        (EltwiseConfig(layout=BLOCK), HEIGHT, "asked L1 block 32 cores of 32x64"),
        (FixedConfig(DRAM_TILE), DRAM_8B, "asked DRAM interleaved bfloat16 tile, got DRAM inter"),
        (FixedConfig(replace(ROWS, shard_shape=(64, 64))), ROWS, "asked .* 64x64 .*, got .* 32x64"),
        (FixedConfig(replace(ROWS, grid=ONE_ROW)), ROWS, "asked L1 height 8 cores"),
    ],
)
def test_what_ttnn_did_otherwise_is_said(
    config: LayerConfig, left: TensorLayout, words: str
) -> None:
    with pytest.raises(LayoutMismatchError, match=f"^{words}"):
        check_left(config, left)


def test_a_reshard_ends_exactly_where_it_was_to() -> None:
    check_brought(HEIGHT, HEIGHT)
    elsewhere = replace(HEIGHT, grid=(CoreRange(0, 0, 3, 7),))
    with pytest.raises(LayoutMismatchError, match=r"asked L1 height 32 cores .*, got L1 height"):
        check_brought(elsewhere, HEIGHT)


def test_a_mismatch_is_a_kind_of_its_own() -> None:
    found = classify(LayoutMismatchError("asked L1, got DRAM"), "conv1")
    assert found == Rejection(RejectionKind.LAYOUT_MISMATCH, "asked L1, got DRAM", "conv1")


IMAGE, HALF = (1, 64, 32, 32), (1, 64, 16, 16)
MAX = Pool2d("max", (2, 2), (2, 2))
POOL = PoolConfig(output_dtype=DataType.BFLOAT8_B)


@pytest.mark.parametrize(
    ("config", "taken", "words"),
    [
        (replace(POOL, shard_layout=ShardLayout.BLOCK), HEIGHT, "asked block, got L1 height 32"),
        (
            replace(POOL, shard_layout=ShardLayout.HEIGHT, slicing="dram_height", num_slices=2),
            DRAM_8B,
            "asked L1 height, got DRAM interleaved bfloat8_b tile",
        ),
    ],
)
def test_a_probe_in_another_layout_is_a_rejection(
    worker: WorkerDevice, config: PoolConfig, taken: TensorLayout, words: str
) -> None:
    found = worker.probe(ProbeRequest(MAX, (IMAGE,), HALF, config, (taken,)))
    assert isinstance(found, Rejection), found
    assert found.kind is RejectionKind.LAYOUT_MISMATCH
    assert found.message.startswith(words)


def test_a_run_in_another_layout_names_the_layer(worker: WorkerDevice, network: Network) -> None:
    schedule = sharded_schedule(network)
    pool = replace(schedule.layers["pool"], shard_layout=ShardLayout.WIDTH)
    found = worker.run(replace(schedule, layers={**schedule.layers, "pool": pool}))
    assert isinstance(found, Rejection), found
    assert (found.kind, found.layer) == (RejectionKind.LAYOUT_MISMATCH, "pool")
    assert found.message.startswith("asked width, got L1 height")
