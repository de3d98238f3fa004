import pytest

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.operators import ActivatedOutput, Activation, Input, Output
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.outcomes import ProbeOutcome
from autosched.schedule.tensors import CoreRange, Memory, PageLayout, ShardLayout, TensorLayout

ROWS = TensorLayout(page=PageLayout.ROW_MAJOR)


def test_the_last_core_may_have_fewer_pixels_of_an_image(worker: WorkerDevice) -> None:
    """No number of cores divides 227 x 227 pixels in whole tiles."""
    shape, grid = (1, 3, 227, 227), (CoreRange(0, 0, 7, 6), CoreRange(0, 7, 1, 7))
    target = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, ROWS.dtype, ROWS.page, grid, shard_shape=(896, 8)
    )
    config = FixedConfig(output=target, method="convert_to_hwc")
    outcome = worker.probe(ProbeRequest(Input(), (shape,), shape, config, (ROWS,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.ops[-1].outputs[0].layout == target
    assert outcome.ops[-1].outputs[0].shape == (1, 1, 227 * 227, 8)


@pytest.mark.parametrize(
    ("sides", "cores", "rows", "converted"),
    [((64, 64), 64, 192, (1, 3, 3, 4096)), ((37, 41), 48, 96, (1, 1, 3, 4551))],
)
def test_several_images_come_in_one_by_one_or_side_by_side(
    worker: WorkerDevice,
    sides: tuple[int, int],
    cores: int,
    rows: int,
    converted: tuple[int, ...],
) -> None:
    """64 cores have an equal part of each of three images, or 48 of what there is of all."""
    shape, grid = (3, 3, *sides), (CoreRange(0, 0, 7, cores // 8 - 1),)
    target = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, ROWS.dtype, ROWS.page, grid, shard_shape=(rows, 8)
    )
    config = FixedConfig(output=target, method="convert_to_hwc")
    outcome = worker.probe(ProbeRequest(Input(), (shape,), shape, config, (ROWS,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.ops[-1].inputs[0].shape == converted
    assert outcome.ops[-1].outputs[0].shape == (1, 1, 3 * sides[0] * sides[1], 8)


@pytest.mark.parametrize(
    ("shape", "cores", "rows", "columns"),
    [
        ((1, 2, 64, 72), 36, 128, 4608),
        ((1, 2, 64, 72), 29, 160, 4608),
        ((1, 16, 67, 67), 36, 128, 4512),
        ((3, 2, 37, 41), 36, 128, 4576),
    ],
)
def test_shards_of_a_map_are_turned_where_they_lie(
    worker: WorkerDevice, shape: tuple[int, ...], cores: int, rows: int, columns: int
) -> None:
    """The last core may have fewer pixels than the others, and the last tile some of nobody's."""
    config = FixedConfig(method="convert_to_chw")
    grid = (CoreRange(0, 0, 7, cores // 8 - 1), CoreRange(0, cores // 8, cores % 8 - 1, cores // 8))
    taken = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, ROWS.dtype, PageLayout.TILE, grid, (rows, 32)
    )
    outcome = worker.probe(ProbeRequest(Output(), (shape,), shape, config, (taken,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.ops[-1].outputs[0].shape == (1, 1, shape[1], columns)
    assert [op.code.removesuffix("DeviceOperation") for op in outcome.ops] == [
        "ConvertToCHW",
        "ShardedToInterleaved",
    ]


@pytest.mark.parametrize(
    ("method", "codes"),
    [
        (
            "transpose",
            [
                *("InterleavedToSharded", "Tilize", "Transpose"),
                *("Transpose", "Untilize", "ShardedToInterleaved"),
            ],
        ),
        ("transpose_on_the_way", ["Tilize", "Transpose", "Transpose", "Untilize"]),
    ],
)
@pytest.mark.parametrize(("shape", "rows"), [((1, 96, 64, 64), 128), ((2, 64, 32, 48), 96)])
def test_many_channels_are_turned_in_shards_at_both_ends(
    worker: WorkerDevice, shape: tuple[int, ...], rows: int, method: str, codes: list[str]
) -> None:
    batch, channels, height, width = shape
    pixels = batch * height * width
    tiles = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, 7, 3),), shard_shape=(rows, channels)
    )
    config = FixedConfig(output=tiles, method=method)
    entered = worker.probe(ProbeRequest(Input(), (shape,), shape, config, (ROWS,)))
    assert isinstance(entered, ProbeOutcome), entered
    assert entered.output_layout == tiles
    assert entered.ops[-1].outputs[0].shape == (1, 1, pixels, channels)
    config = FixedConfig(method=method)
    left = worker.probe(ProbeRequest(Output(), (shape,), shape, config, (tiles,)))
    assert isinstance(left, ProbeOutcome), left
    assert left.ops[-1].outputs[0].shape == (1, 1, channels, pixels)
    ops = [*entered.ops, *left.ops]
    assert [item.code.removesuffix("DeviceOperation") for item in ops] == codes


@pytest.mark.parametrize(
    ("method", "codes"),
    [
        ("convert_to_chw", ["ConvertToCHW", "Unary", "ShardedToInterleaved"]),
        ("transpose", ["Unary", "Transpose", "UntilizeWithUnpadding"]),
    ],
)
def test_a_function_is_computed_where_fewest_numbers_are_of_nobody(
    worker: WorkerDevice, method: str, codes: list[str]
) -> None:
    shape, op = (1, 2, 64, 72), ActivatedOutput(Activation("sigmoid"))
    taken = TensorLayout()
    if method == "convert_to_chw":
        grid = (CoreRange(0, 0, 7, 3), CoreRange(0, 4, 3, 4))
        taken = TensorLayout(
            Memory.L1, ShardLayout.HEIGHT, ROWS.dtype, PageLayout.TILE, grid, (128, 32)
        )
    config = FixedConfig(method=method)
    outcome = worker.probe(ProbeRequest(op, (shape,), shape, config, (taken,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert [item.code.removesuffix("DeviceOperation") for item in outcome.ops] == codes
    assert "UnaryOpType::SIGMOID" in outcome.ops[codes.index("Unary")].attributes


@pytest.mark.parametrize(("batch", "channels"), [(1, 64), (2, 40), (3, 96)])
def test_more_channels_than_a_tile_has_are_turned_in_parts(
    worker: WorkerDevice, batch: int, channels: int
) -> None:
    shape, columns = (batch, channels, 64, 72), batch * 64 * 72
    config = FixedConfig(method="convert_to_chw")
    wide = -(-channels // 32) * 32
    taken = TensorLayout(
        Memory.L1,
        ShardLayout.HEIGHT,
        ROWS.dtype,
        PageLayout.TILE,
        (CoreRange(0, 0, 7, 5),),
        (columns // 48, wide),
    )
    outcome = worker.probe(ProbeRequest(Output(), (shape,), shape, config, (taken,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.ops[-1].outputs[0].shape == (1, 1, channels, columns)
    assert [op.code.removesuffix("DeviceOperation") for op in outcome.ops] == [
        *(["Slice", "ConvertToCHW"] * (wide // 32)),
        "Concat",
        "ShardedToInterleaved",
    ]
