"""Layers that enlarge images, put them together or cut them, on the mock device."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Activation,
    Binary,
    Concat,
    ConcatRows,
    Conv2d,
    ConvTranspose2d,
    Crop,
    Gather,
    Input,
    LayerOp,
    Output,
    Pad,
    PixelShuffle,
    Pool2d,
    Slice,
    Upsample,
)
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RunOutcome
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.convolutions import in_slices
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.examples.device_layers import HEIGHT
from tests.examples.layouts import DRAM_8B, ROWS_IN_DRAM, WHOLE_GRID, height
from tests.examples.networks import BOARD

HALF = (CoreRange(0, 0, 7, 3),)
SHARDS = height(32, 64, HALF)
ROW_SHARDS = replace(SHARDS, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR)

Shape = tuple[int, ...]


def image(channels: int, side: int = 32, batch: int = 1) -> Shape:
    return (batch, channels, side, side)


def probed(
    worker: WorkerDevice,
    op: LayerOp,
    shapes: list[Shape],
    shape: Shape,
    config: LayerConfig,
    *layouts: TensorLayout,
) -> ProbeOutcome:
    outcome = worker.probe(ProbeRequest(op, tuple(shapes), shape, config, layouts or None))
    assert isinstance(outcome, ProbeOutcome), outcome
    return outcome


def codes(outcome: ProbeOutcome) -> list[str]:
    return [op.code.removesuffix("DeviceOperation") for op in outcome.ops]


def rows_and_columns(outcome: ProbeOutcome) -> Shape:
    """Shape of what the last op left, without the ones in front."""
    shape = outcome.ops[-1].outputs[0].shape
    columns = shape[-1]
    rows = 1
    for size in shape[:-1]:
        rows *= size
    return (rows, columns)


@pytest.mark.parametrize(
    ("place", "inputs"),
    [
        (DRAM_8B, [DRAM_8B, DRAM_8B]),
        (DRAM_TILE, [DRAM_8B, ROWS_IN_DRAM]),
        (ROWS_IN_DRAM, [ROWS_IN_DRAM, ROWS_IN_DRAM]),
        (replace(SHARDS, shard_shape=(32, 96)), [SHARDS, replace(SHARDS, shard_shape=(32, 32))]),
        (
            replace(ROW_SHARDS, shard_shape=(32, 96)),
            [ROW_SHARDS, replace(ROW_SHARDS, shard_shape=(32, 32))],
        ),
    ],
)
def test_channels_are_concatenated_where_the_inputs_are(
    worker: WorkerDevice, place: TensorLayout, inputs: list[TensorLayout]
) -> None:
    shapes = [image(64), image(32)]
    outcome = probed(worker, Concat(), shapes, image(96), FixedConfig(place), *inputs)
    assert outcome.output_layout == place
    assert codes(outcome)[-1] == "Concat"
    assert rows_and_columns(outcome) == (1024, 96)


def test_shards_on_other_cores_are_not_concatenated(worker: WorkerDevice) -> None:
    shapes, other = (image(64), image(64)), replace(SHARDS, grid=WHOLE_GRID, shard_shape=(16, 64))
    config = FixedConfig(replace(SHARDS, shard_shape=(32, 128)))
    request = ProbeRequest(Concat(), shapes, image(128), config, (SHARDS, other))
    assert isinstance(worker.probe(request), Rejection)


@pytest.mark.parametrize("place", [DRAM_8B, ROWS_IN_DRAM, SHARDS])
def test_channels_are_cut(worker: WorkerDevice, place: TensorLayout) -> None:
    left = replace(place, shard_shape=(32, 32)) if place.is_sharded else place
    outcome = probed(worker, Slice(32, 64), [image(64)], image(32), FixedConfig(left), place)
    assert codes(outcome) == ["Slice"]
    assert outcome.output_layout == left
    assert rows_and_columns(outcome) == (1024, 32)


@pytest.mark.parametrize("source", [DRAM_8B, ROWS_IN_DRAM, SHARDS])
@pytest.mark.parametrize("op", [Crop((2, 30, 1), (0, 32, 1)), Crop((1, 32, 2), (0, 31, 2))])
def test_rows_and_columns_are_cut(worker: WorkerDevice, op: Crop, source: TensorLayout) -> None:
    height, width = (len(range(*span)) for span in (op.rows, op.columns))
    shape = (1, 64, height, width)
    outcome = probed(worker, op, [image(64)], shape, FixedConfig(), source)
    assert "Slice" in codes(outcome)
    assert rows_and_columns(outcome) == (height * width, 64)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("channels", "side"), [(64, 32), (24, 14)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("source", [DRAM_8B, ROWS_IN_DRAM])
def test_images_are_enlarged_in_dram(
    worker: WorkerDevice, mode: str, source: TensorLayout, batch: int, channels: int, side: int
) -> None:
    before, after = image(channels, side, batch), (batch, channels, 2 * side, 3 * side)
    config = FixedConfig(ROWS_IN_DRAM)
    outcome = probed(worker, Upsample(mode, (2, 3)), [before], after, config, source)
    assert outcome.output_layout == ROWS_IN_DRAM
    assert "UpsampleOperation" in codes(outcome)
    assert rows_and_columns(outcome) == (batch * 6 * side**2, channels)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("source", [SHARDS, ROW_SHARDS])
def test_cores_enlarge_their_own_shards(
    worker: WorkerDevice, mode: str, source: TensorLayout
) -> None:
    config = FixedConfig(replace(ROW_SHARDS, shard_shape=(128, 64)))
    op = Upsample(mode, (2, 2))
    outcome = probed(worker, op, [image(64)], image(64, 64), config, source)
    assert outcome.output_layout == config.output


@pytest.mark.parametrize(
    ("padding", "codes_of_it"),
    [((4, -4, 0, 0), {"Slice", "Pad"}), ((-2, 0, 0, -3), {"Slice"}), ((0, 0, 5, 0), {"Pad"})],
)
def test_padding_below_zero_cuts(
    worker: WorkerDevice, padding: tuple[int, int, int, int], codes_of_it: set[str]
) -> None:
    top, bottom, left, right = padding
    after = (1, 36, 16 + top + bottom, 16 + left + right)
    config = FixedConfig(ROWS_IN_DRAM)
    outcome = probed(worker, Pad(padding), [image(36, 16)], after, config, DRAM_8B)
    assert outcome.output_layout == ROWS_IN_DRAM
    assert rows_and_columns(outcome) == (after[2] * after[3], 36)
    assert codes_of_it == {"Slice", "Pad"} & {*codes(outcome)}


@pytest.mark.parametrize("batch", [1, 2])
def test_padding_and_pixel_shuffle_leave_rows(worker: WorkerDevice, batch: int) -> None:
    config = FixedConfig(ROWS_IN_DRAM)
    before = image(36, 16, batch)
    padded = (batch, 36, 19, 23)
    outcome = probed(worker, Pad((1, 2, 3, 4)), [before], padded, config, DRAM_8B)
    assert rows_and_columns(outcome) == (batch * 19 * 23, 36)
    outcome = probed(worker, PixelShuffle(3), [before], image(4, 48, batch), config, ROWS_IN_DRAM)
    assert outcome.output_layout == ROWS_IN_DRAM
    assert rows_and_columns(outcome) == (batch * 48**2, 4)


@pytest.mark.parametrize("source", [DRAM_8B, ROWS_IN_DRAM])
def test_pixels_are_looked_up_in_one_op(worker: WorkerDevice, source: TensorLayout) -> None:
    op, config = Gather((2, 1, 0, 1), (1, 0, 3)), FixedConfig(ROWS_IN_DRAM)
    outcome = probed(worker, op, [image(36, 8, 2)], (2, 36, 4, 3), config, source)
    assert outcome.output_layout == ROWS_IN_DRAM
    assert rows_and_columns(outcome) == (2 * 12, 36)
    assert [op.code for op in outcome.ops][-1] == "EmbeddingsDeviceOperation"


def test_the_numbers_of_many_pixels_fit_in_l1(worker: WorkerDevice) -> None:
    lines = (3, 2, 1, *range(256), 254, 253, 252)
    shape, config = (1, 3, 262, 262), FixedConfig(ROWS_IN_DRAM)
    outcome = probed(worker, Gather(lines, lines), [image(3, 256)], shape, config, ROWS_IN_DRAM)
    assert rows_and_columns(outcome) == (262**2, 3)


@pytest.mark.parametrize(
    ("batch", "rows", "found"),
    [
        (1, (64, 32, 20), ["Concat"]),
        (1, (20, 64), ["UntilizeWithUnpadding"] * 2 + ["Concat", "TilizeWithValPadding"]),
        (2, (64, 32), ["Concat"]),
    ],
)
def test_rows_are_joined_as_tiles_where_they_end_with_one(
    worker: WorkerDevice, batch: int, rows: tuple[int, ...], found: list[str]
) -> None:
    before = [(batch, 80, count, 1) for count in rows]
    after = (batch, 80, sum(rows), 1)
    layouts = (DRAM_TILE,) * len(rows)
    config = FixedConfig(output=DRAM_TILE)
    outcome = probed(worker, ConcatRows(), before, after, config, *layouts)
    assert codes(outcome) == found
    # What fills up the last tile is left out again without an op.
    assert rows_and_columns(outcome)[0] - batch * sum(rows) in {0, 12}


def test_the_pixel_shuffle_is_pytorchs() -> None:
    from autosched.device.ttnn.images import PIXEL_SHUFFLE_ORDER  # noqa: PLC0415 - loads ttnn

    images = torch.randn(2, 12, 3, 5)
    rows = images.permute(0, 2, 3, 1).reshape(2 * 3, 5, 3, 2, 2).permute(PIXEL_SHUFFLE_ORDER)
    shuffled = rows.reshape(2, 6, 10, 3).permute(0, 3, 1, 2)
    assert torch.equal(shuffled, F.pixel_shuffle(images, 2))


@pytest.mark.parametrize("layout", [ShardLayout.HEIGHT, ShardLayout.BLOCK, None])
@pytest.mark.parametrize(
    ("op", "after"),
    [
        (ConvTranspose2d(64, 32, (2, 2), (2, 2)), image(32, 32)),
        (ConvTranspose2d(64, 32, (3, 3), (2, 2), (1, 1), (1, 1)), image(32, 32)),
        (ConvTranspose2d(64, 64, (4, 4), (2, 2), (1, 1), groups=64), image(64, 32)),
        (ConvTranspose2d(64, 32, (2, 2), (2, 2), has_bias=False), image(32, 32)),
    ],
)
def test_transposed_convolutions_run_as_convolutions(
    worker: WorkerDevice, op: ConvTranspose2d, after: Shape, layout: ShardLayout | None
) -> None:
    op = replace(op, activation=Activation("relu"))
    config = replace(HEIGHT, shard_layout=layout)
    outcome = probed(worker, op, [image(64, 16)], after, config)
    assert codes(outcome)[-1] == "Conv2d"
    assert rows_and_columns(outcome) == (1024, op.out_channels)
    sliced = probed(worker, op, [image(64, 16)], after, in_slices(Conv2dConfig()), DRAM_8B)
    assert sliced.output_layout == DRAM_8B


DEPTHWISE = Conv2d(96, 96, (3, 3), padding=(1, 1, 1, 1), groups=96)


@pytest.mark.parametrize(
    "op",
    [
        DEPTHWISE,
        replace(DEPTHWISE, kernel=(5, 5), padding=(2, 2, 2, 2)),
        replace(DEPTHWISE, padding=(2, 2, 2, 2), dilation=(2, 2)),
        replace(DEPTHWISE, groups=3),
        replace(DEPTHWISE, groups=1, padding=(6, 6, 6, 6), dilation=(6, 6)),
    ],
)
@pytest.mark.parametrize("layout", [ShardLayout.HEIGHT, ShardLayout.BLOCK])
def test_depthwise_grouped_and_dilated_convolutions_run(
    worker: WorkerDevice, op: Conv2d, layout: ShardLayout
) -> None:
    config = replace(HEIGHT, shard_layout=layout)
    outcome = probed(worker, op, [image(96, 28)], image(96, 28), config)
    assert codes(outcome)[-1] == "Conv2d"
    assert outcome.output_layout.sharding is layout


BROADCAST = Binary("mul")


@pytest.mark.parametrize(
    ("batch", "side", "place"),
    [
        (1, 32, SHARDS),
        (1, 14, DRAM_8B),
        (2, 32, replace(SHARDS, grid=WHOLE_GRID)),
        (2, 32, DRAM_8B),
        (2, 14, DRAM_8B),
    ],
)
@pytest.mark.parametrize("factor", [DRAM_8B, DRAM_TILE])
def test_a_factor_per_channel_is_repeated_for_every_pixel(
    worker: WorkerDevice, batch: int, side: int, place: TensorLayout, factor: TensorLayout
) -> None:
    whole, small = image(64, side, batch), (batch, 64, 1, 1)
    config = EltwiseConfig(DataType.BFLOAT8_B, place)
    outcome = probed(worker, BROADCAST, [whole, small], whole, config, place, factor)
    assert outcome.output_layout == place
    (product,) = (op for op in outcome.ops if op.code.startswith("Binary"))
    assert product.inputs[1].shape[-2:] == (1, 64)


def test_convolutions_and_pools_too_large_for_l1_run_from_dram(worker: WorkerDevice) -> None:
    whole, half = (1, 64, 480, 640), (1, 64, 240, 320)
    convolution = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
    in_l1 = ProbeRequest(convolution, (whole,), whole, HEIGHT)
    assert isinstance(worker.probe(in_l1), Rejection)
    outcome = probed(worker, convolution, [whole], whole, in_slices(HEIGHT), DRAM_8B)
    assert codes(outcome).count("Conv2d") > 1
    parts = replace(in_slices(HEIGHT), slicing="dram_height", num_slices=8)
    outcome = probed(worker, convolution, [whole], whole, parts, DRAM_8B)
    assert codes(outcome).count("Conv2d") == 8
    pool = PoolConfig(output_dtype=DataType.BFLOAT8_B, output_memory="dram")
    outcome = probed(worker, Pool2d("max", (2, 2), (2, 2)), [whole], half, pool, DRAM_8B)
    assert outcome.output_layout == DRAM_8B


@pytest.mark.parametrize("mode", ["max", "avg"])
@pytest.mark.parametrize(
    ("slicing", "count", "pools"),
    [("auto", 0, 8), ("dram_height", 16, 16), ("dram_width", 16, 16), ("dram_height", 0, None)],
)
def test_large_pools_run_in_the_slices_they_are_told(
    worker: WorkerDevice, mode: str, slicing: str, count: int, pools: int | None
) -> None:
    whole, half = (1, 64, 1080, 1920), (1, 64, 540, 960)
    pool = Pool2d(mode, (2, 2), (2, 2))
    in_dram = PoolConfig(output_dtype=DataType.BFLOAT8_B, output_memory="dram")
    config = replace(in_dram, slicing=slicing, num_slices=count, reallocate_halo_output=True)
    outcome = probed(worker, pool, [whole], half, config, DRAM_8B)
    found = codes(outcome).count("Pool2D")
    assert found == pools if pools else found > 1
    assert outcome.output_layout == DRAM_8B


def test_what_was_pooled_in_slices_is_read_by_every_kind_of_layer(
    worker: WorkerDevice, network: Network
) -> None:
    """A width of broken tiles: only a layer that cannot take (N, H, W, C) copies it."""
    whole, half = (1, 64, 250, 380), (1, 64, 125, 190)
    pool = Pool2d("max", (2, 2), (2, 2))
    same = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
    head = (
        Layer("x", Input(), (), (1, 3, 250, 380)),
        Layer("wide", Conv2d(3, 64, (3, 3), padding=(1, 1, 1, 1)), ("x",), whole),
        Layer("pool", pool, ("wide",), half),
    )
    readers = {
        "conv": (Layer("conv", same, ("pool",), half),),
        "sum": (
            Layer("conv", same, ("pool",), half),
            Layer("sum", Binary("add"), ("conv", "pool"), half),
        ),
    }
    copies = {}
    for name, tail in readers.items():
        read = Network("pooled", (*head, *tail, Layer("y", Output(), (name,), half)))
        schedule = default_schedule(read, BOARD.name, "", Formats())
        sliced = replace(schedule.layers["pool"], slicing="dram_height", num_slices=4)
        worker.load(read)
        outcome = worker.run(replace(schedule, layers={**schedule.layers, "pool": sliced}))
        assert isinstance(outcome, RunOutcome), outcome
        ops = [(op.layer, op.code.removesuffix("DeviceOperation")) for op in outcome.ops]
        assert ops.count(("pool", "Pool2D")) == 4
        assert ("pool", "ReshapeView") not in ops[ops.index(("pool", "Pool2D")) :]
        copies[name] = (name, "ReshapeView") in ops
    worker.load(network)
    assert copies["sum"]


def test_a_pool_in_slices_of_rows_copies_nothing(worker: WorkerDevice) -> None:
    whole, half = (2, 64, 250, 380), (2, 64, 125, 190)
    pool = Pool2d("max", (2, 2), (2, 2))
    tiles = PoolConfig(output_dtype=DataType.BFLOAT8_B, output_memory="dram", num_slices=8)
    tiles = replace(tiles, slicing="dram_height", reallocate_halo_output=True)
    rows = replace(tiles, output_page=PageLayout.ROW_MAJOR, output_dtype=DataType.BFLOAT16)
    in_tiles = probed(worker, pool, [whole], half, tiles, DRAM_8B)
    in_rows = probed(worker, pool, [whole], half, rows, ROWS_IN_DRAM)
    assert "ReshapeView" in codes(in_tiles)
    assert set(codes(in_rows)) == {"PaddedSlice", "Halo", "Move", "Pool2D", "SliceWrite"}


def test_large_transposed_convolutions_run_in_slices(worker: WorkerDevice) -> None:
    op = ConvTranspose2d(64, 32, (2, 2), (2, 2))
    small, large = (1, 64, 540, 960), (1, 32, 1080, 1920)
    low = in_slices(replace(HEIGHT, act_block_h_override=32))
    for config, convolutions in (
        (low, None),
        (replace(low, slicing="dram_height", num_slices=8), 8),
        (replace(low, slicing="dram_width", num_slices=8), 8),
    ):
        outcome = probed(worker, op, [small], large, config, DRAM_8B)
        found = codes(outcome).count("Conv2d")
        assert found == convolutions if convolutions else found > 1


def test_a_network_of_them_runs_as_ttnn_has_it(worker: WorkerDevice, network: Network) -> None:
    """Every layer hands on what the next one takes, without a reshard."""
    half = image(24, 16)
    layers = (
        Layer("x", Input(), (), image(3)),
        Layer("conv", Conv2d(3, 24, (3, 3), (2, 2), (1, 1, 1, 1)), ("x",), half),
        Layer("widen", ConvTranspose2d(24, 32, (2, 2), (2, 2)), ("conv",), image(32)),
        Layer("enlarge", Upsample("bilinear", (2, 2)), ("conv",), image(24)),
        Layer("cat", Concat(), ("widen", "enlarge", "x"), image(59)),
        Layer("slice", Slice(3, 39), ("cat",), image(36)),
        Layer("double", Binary("add"), ("slice", "slice"), image(36)),
        Layer("shuffle", PixelShuffle(2), ("double",), image(9, 64)),
        Layer("pad", Pad((0, 1, 1, 0)), ("shuffle",), image(9, 65)),
        Layer("y", Output(), ("pad",), image(9, 65)),
    )
    image_network = Network("image layers", layers)
    worker.load(image_network)
    outcome = worker.run(default_schedule(image_network, BOARD.name, "", Formats()))
    worker.load(network)
    assert isinstance(outcome, RunOutcome), outcome
    assert outcome.output_layouts["cat"] == DRAM_TILE
