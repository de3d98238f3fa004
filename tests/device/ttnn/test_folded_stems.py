"""Strided stems on a folded input, on the mock device."""

from dataclasses import replace

import pytest

from autosched.cost.model import CostModel
from autosched.cost.ops.families import is_known
from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Layer, Network
from autosched.network.operators import Activation, Conv2d, Input, Output
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.tensors import CoreRange, DataType, PageLayout, ShardLayout, TensorLayout
from autosched.space.convolutions import in_slices
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.examples.device_layers import sharded_schedule
from tests.examples.layouts import DRAM_8B, ROWS_IN_DRAM, height
from tests.examples.networks import BOARD

SHAPE, HALF = (1, 3, 64, 64), (1, 64, 32, 32)
STEM = Conv2d(3, 64, (7, 7), (2, 2), (3, 3, 3, 3), activation=Activation("relu"))
FOLDED = Conv2dConfig(shard_layout=ShardLayout.HEIGHT, fold_input=True)
# 64 rows of 64 pixels: two image rows on each of 32 cores.
WHOLE_ROWS = height(
    128, 8, (CoreRange(0, 0, 7, 3),), dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR
)


def probed(
    worker: WorkerDevice,
    config: Conv2dConfig,
    *layouts: TensorLayout,
    op: Conv2d = STEM,
    shape: tuple[int, ...] = SHAPE,
    output: tuple[int, ...] = HALF,
) -> ProbeOutcome:
    sources = (ROWS_IN_DRAM,)
    request = ProbeRequest(op, (shape,), output, config, layouts or None, sources)
    outcome = worker.probe(request)
    assert isinstance(outcome, ProbeOutcome), outcome
    return outcome


def codes(outcome: ProbeOutcome) -> list[str]:
    return [op.code.removesuffix("DeviceOperation") for op in outcome.ops]


def weight_rows(outcome: ProbeOutcome) -> int:
    (convolution,) = (op for op in outcome.ops if op.code.startswith("Conv2d"))
    return convolution.inputs[1].shape[-2]


def test_a_folded_stem_takes_rows_from_dram(worker: WorkerDevice) -> None:
    outcome = probed(worker, FOLDED)
    assert outcome.input_layouts == (ROWS_IN_DRAM,)
    assert codes(outcome) == ["Fold", "InterleavedToSharded", "Halo", "Conv2d"]
    assert outcome.ops[0].outputs[0].shape == (1, 1, 32 * 32, 12)
    # 4x4 on 12 channels, which ttnn pads to none of its own, against 7x7 on 3.
    assert weight_rows(outcome) == 4 * 4 * 12
    unfolded = probed(worker, replace(FOLDED, fold_input=False), ROWS_IN_DRAM)
    assert weight_rows(unfolded) == 7 * 7 * 3
    assert outcome.output_layout == unfolded.output_layout


def test_shards_of_whole_rows_are_folded_where_they_are(worker: WorkerDevice) -> None:
    """Shards pad 3 channels to 8, which are folded as they lie."""
    outcome = probed(worker, FOLDED, WHOLE_ROWS)
    assert codes(outcome)[0] == "Fold"
    fold = outcome.ops[0]
    assert fold.factory == "MultiCore"
    assert fold.outputs[0].shape == (1, 1, 32 * 32, 32)
    assert fold.outputs[0].layout == replace(WHOLE_ROWS, shard_shape=(32, 32))
    assert weight_rows(outcome) == 4 * 4 * 32


def test_an_image_of_odd_size_is_padded_first(worker: WorkerDevice) -> None:
    op = Conv2d(3, 64, (3, 3), (2, 2), (1, 1, 1, 1))
    outcome = probed(worker, FOLDED, op=op, shape=(2, 3, 65, 63), output=(2, 64, 33, 32))
    assert codes(outcome)[:2] == ["Pad", "Fold"]
    assert outcome.ops[0].outputs[0].shape == (2, 66, 64, 3)
    assert outcome.ops[1].outputs[0].shape == (1, 1, 2 * 33 * 32, 12)


def test_every_op_of_a_folded_stem_has_formulas(worker: WorkerDevice) -> None:
    op = Conv2d(3, 64, (3, 3), (2, 2), (1, 1, 1, 1))
    outcome = probed(worker, FOLDED, op=op, shape=(1, 3, 65, 65), output=(1, 64, 33, 33))
    assert {"Pad", "Fold"} < set(codes(outcome))
    cost = CostModel.load(BOARD.arch)
    for item in cost.estimate(outcome.ops):
        assert is_known(item)
        assert item.time_ns is not None
        assert 0 < item.time_ns < 1e9
        assert cost.predict(item).known


def test_a_folded_stem_can_be_sliced(worker: WorkerDevice) -> None:
    config = in_slices(replace(FOLDED, shard_layout=None))
    outcome = probed(worker, config, ROWS_IN_DRAM)
    assert codes(outcome)[0] == "Fold"
    assert not outcome.output_layout.is_sharded


def stem_network(op: Conv2d, output: tuple[int, ...]) -> Network:
    layers = (
        Layer("x", Input(), (), SHAPE),
        Layer("stem", op, ("x",), output),
        Layer("y", Output(), ("stem",), output),
    )
    return Network("stem", layers)


@pytest.mark.parametrize("place", [ROWS_IN_DRAM, WHOLE_ROWS])
def test_a_network_runs_with_its_stem_folded(
    worker: WorkerDevice, network: Network, place: TensorLayout
) -> None:
    """Also where the next run has it unfolded: the weights of one are not taken for the other."""
    stem = stem_network(STEM, HALF)
    base = default_schedule(stem, BOARD.name, "", Formats())
    method = "convert_to_hwc" if place.is_sharded else "permute"
    x = replace(base.layers["x"], output=place, method=method)
    worker.load(stem)
    found = []
    for fold_input in (True, False, True):
        config = replace(FOLDED, fold_input=fold_input)
        outcome = worker.run(replace(base, layers={**base.layers, "x": x, "stem": config}))
        assert isinstance(outcome, RunOutcome), outcome
        ops = [op for op in outcome.ops if op.layer == "stem"]
        found.append([op.code for op in ops])
        alone = probed(worker, config, place)
        assert {op.code for op in ops} == {op.code for op in alone.ops}
        convolved = [item.inputs for item in ops if item.code.startswith("Conv2d")]
        assert convolved == [item.inputs for item in alone.ops if item.code.startswith("Conv2d")]
    worker.load(network)
    assert found[0] == found[2] != found[1]


def test_what_has_no_folded_form_is_refused(worker: WorkerDevice, network: Network) -> None:
    schedule = sharded_schedule(network)
    stem = replace(schedule.layers["stem"], fold_input=True)
    rejection = worker.run(replace(schedule, layers={**schedule.layers, "stem": stem}))
    assert isinstance(rejection, Rejection)
    assert (rejection.kind, rejection.layer) == (RejectionKind.INVALID, "stem")
    assert "fold_input is True; legal is False without a stride" in rejection.message


def test_many_channels_have_no_folded_form(worker: WorkerDevice) -> None:
    op = Conv2d(64, 64, (3, 3), (2, 2), (1, 1, 1, 1))
    request = ProbeRequest(
        op, ((1, 64, 32, 32),), (1, 64, 16, 16), Conv2dConfig(fold_input=True), (DRAM_8B,)
    )
    rejection = worker.probe(request)
    assert isinstance(rejection, Rejection)
    assert rejection.kind is RejectionKind.INVALID
    assert "fold_input is True; legal is False: it takes few channels" in rejection.message
