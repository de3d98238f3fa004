"""Write the hand-tuned ResNet-50 schedule for n150 at batch 16.

    python studies/baselines/make_hand_tuned.py [FILE]

Source: tt-metal's public ResNet-50 model for Wormhole, whose choices are restated here as rules
over layer names. Where they leave a layout to ttnn, the mock device says what it becomes. Three
things differ from the source, because a layer of ours is one ttnn call:

- The stem is the plain 7x7 convolution of stride 2. The source folds the image into a 4x4
  convolution of stride 1 on 115x115x16, which reads fewer rows and reuses activations.
- Residual additions write a new tensor instead of overwriting an input. Those of the first stage
  are therefore packed to the end of L1 (``ttnn.move``), and the stem's gathered rows are, or the
  next 3x3 does not fit.
- The input comes from DRAM and is brought from PyTorch's order into rows of channels by
  ``convert_to_hwc``.

The published figure is the sum of the kernel times of one forward pass whose input lies in L1
shards already: the folding on the device counts, the transfer from DRAM into L1 does not. So two
estimates are printed beside it: that of the schedule as it is, and that of the same schedule with
the source's stem and without the transfer and the packing, which is what was timed on silicon
(with our conversion in the place of the source's folding).
"""

# ruff: noqa: T201 - a script speaks to whoever runs it

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import autosched
from autosched.boards import find_board
from autosched.cost.model import CostModel
from autosched.device.interface import ProbeRequest
from autosched.device.machine import ttnn_version
from autosched.device.worker import WorkerDevice
from autosched.errors import ScheduleError
from autosched.export.saving import save_schedule
from autosched.network.graph import Layer, Network
from autosched.network.operators import Activation, Binary, Conv2d, Input, Linear
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import DeviceOp, Rejection, TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
    move_label,
)

HERE = Path(__file__).parent
TARGET = HERE / "resnet50_n150_b16_hand_tuned.py"
BOARD, BATCH = "n150", 16
PUBLISHED_US = (2530.0, 2610.0)
"""Device-kernel time of a batch on silicon: 6,335 and 6,140 images/s."""
SOURCE = "hand-tuned, after the public tt-metal model"
B8 = DataType.BFLOAT8_B
IMAGE = TensorLayout(page=PageLayout.ROW_MAJOR)


def sharded(layout: ShardLayout, columns: int, rows: int, shard: tuple[int, int]) -> TensorLayout:
    """Return bfloat8_b tiles over the first ``columns`` x ``rows`` cores."""
    grid = (CoreRange(0, 0, columns - 1, rows - 1),)
    return TensorLayout(Memory.L1, layout, B8, PageLayout.TILE, grid, shard)


STEM_INPUT = replace(
    sharded(ShardLayout.HEIGHT, 8, 8, (12544, 8)),
    dtype=DataType.BFLOAT16,
    page=PageLayout.ROW_MAJOR,
)
MOVES = {
    "maxpool": replace(
        sharded(ShardLayout.HEIGHT, 8, 7, (896, 64)),
        dtype=DataType.BFLOAT16,
        page=PageLayout.ROW_MAJOR,
    ),
    "layer2.3.add": sharded(ShardLayout.BLOCK, 8, 8, (1568, 64)),
    "layer3.5.add": sharded(ShardLayout.BLOCK, 8, 7, (448, 128)),
    "layer4.2.add": sharded(ShardLayout.WIDTH, 8, 8, (800, 32)),
    "flatten": sharded(ShardLayout.WIDTH, 8, 4, (32, 64)),
}
"""The explicit moves, each as soon as the tensor is there."""
POOLS = {
    "maxpool": PoolConfig(output_page=PageLayout.ROW_MAJOR),
    "avgpool": PoolConfig(output_dtype=B8),
}
PACKED = ("layer1.0.add", "layer1.1.add", "layer1.2.add")
"""Tensors moved to the end of L1 in the layout they have."""
FOLDED_STEM = Conv2d(16, 64, (4, 4), activation=Activation("relu"))
FOLDED_SHAPE = (BATCH, 16, 115, 115)
FOLDED_INPUT = replace(STEM_INPUT, shard_shape=(3307, 16))
"""The source's stem: what it computes, on what, and how that lies on 8 x 8 cores."""


def config_of(layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
    """Return a layer's configuration, given the layouts of its inputs."""
    if isinstance(layer.op, Input):
        return FixedConfig(output=STEM_INPUT, method="convert_to_hwc")
    if isinstance(layer.op, Conv2d):
        return convolution(layer.name, layer.op)
    if isinstance(layer.op, Binary):
        return EltwiseConfig(output_dtype=B8, layout=taken[0])
    if isinstance(layer.op, Linear):
        return MatmulConfig(output="width", output_dtype=DataType.BFLOAT16)
    return POOLS.get(layer.name, FixedConfig(output=TensorLayout(dtype=B8)))


def convolution(name: str, op: Conv2d) -> Conv2dConfig:
    """Return a convolution's configuration; it keeps the sharding its input has.

    All have bfloat8_b weights and activations, LoFi and packer_l1_acc.
    """
    if name == "conv1":
        return Conv2dConfig(
            shard_layout=ShardLayout.HEIGHT,
            act_block_h_override=1568,
            enable_act_double_buffer=True,
            reallocate_halo_output=True,
        )
    # The source switches them on there, too; of a matmul ttnn ignores them.
    if op.kernel == op.stride == (1, 1):
        return Conv2dConfig()
    if "downsample" in name:
        return Conv2dConfig(
            enable_act_double_buffer=True,
            enable_weights_double_buffer=name.startswith(("layer3", "layer4")),
            full_inner_dim=True,
        )
    return Conv2dConfig(
        act_block_h_override=448 if name in ("layer1.1.conv2", "layer1.2.conv2") else 0,
        enable_act_double_buffer=True,
        enable_weights_double_buffer=True,
        full_inner_dim=True,
        enable_activation_reuse=name == "layer1.0.conv2",
    )


def hand_tuned(network: Network, device: WorkerDevice) -> Schedule:
    """Return the schedule, its layouts as ttnn makes them."""
    layouts: dict[str, TensorLayout] = {}
    layers: dict[str, LayerConfig] = {}
    reshards: dict[Edge, TensorLayout] = {}
    moves: dict[Edge, TensorLayout] = {}
    frees: set[str] = set()
    for layer in network:
        taken = tuple(layouts[name] for name in layer.inputs)
        if isinstance(layer.op, Binary) and taken[1] != taken[0]:
            taken = (taken[0], taken[0])
            reshards[Edge(layer.inputs[1], layer.name, 1)] = taken[0]
        config = config_of(layer, taken)
        left = left_by(network, device, layer, config, taken or (IMAGE,))
        target = MOVES.get(layer.name, left)
        if target != left or layer.name in PACKED:
            moves[Edge(layer.name, layer.name)] = target
        layouts[layer.name] = target
        layers[layer.name] = config
        if frees_input(network, layer, config, layouts):
            frees.add(layer.name)
    made_for = Provenance(
        network.name,
        network.signature,
        BOARD,
        ttnn_version(),
        BATCH,
        find_board(BOARD).grid,
        study=SOURCE,
    )
    return Schedule(made_for, layers, reshards, moves, frozenset(frees))


def left_by(
    network: Network,
    device: WorkerDevice,
    layer: Layer,
    config: LayerConfig,
    taken: tuple[TensorLayout, ...],
) -> TensorLayout:
    """Return the layout a layer leaves its output in.

    Raises:
        ScheduleError: if the device rejects it.
    """
    shapes = network.input_shapes(layer) or (layer.shape,)
    answer = device.probe(ProbeRequest(layer.op, shapes, layer.shape, config, taken))
    if isinstance(answer, Rejection):
        raise ScheduleError(f"{layer.name}: {answer.kind}: {answer.message}")
    return answer.output_layout


def frees_input(
    network: Network, layer: Layer, config: LayerConfig, layouts: Mapping[str, TensorLayout]
) -> bool:
    """Whether a layer frees its input in its midst, as nobody reads it later."""
    if not isinstance(config, Conv2dConfig | PoolConfig):
        return False
    source = layer.inputs[0]
    return network.last_uses[source] == layer.name and layouts[source].memory is Memory.L1


def folded_stem(device: WorkerDevice) -> tuple[DeviceOp, ...]:
    """Return the device ops of the source's stem.

    Raises:
        ScheduleError: if the device rejects it.
    """
    config = replace(
        convolution("conv1", FOLDED_STEM),
        enable_activation_reuse=True,
        reallocate_halo_output=False,
    )
    request = ProbeRequest(
        FOLDED_STEM, (FOLDED_SHAPE,), (BATCH, 64, 112, 112), config, (FOLDED_INPUT,)
    )
    answer = device.probe(request)
    if isinstance(answer, Rejection):
        raise ScheduleError(f"folded stem: {answer.kind}: {answer.message}")
    return answer.ops


def as_timed(ops: Sequence[DeviceOp], stem: Sequence[DeviceOp]) -> tuple[DeviceOp, ...]:
    """Return the ops that the published figure sums up (see the top of this file)."""
    packed = {move_label(Edge(name, name)) for name in PACKED}
    kept = [
        op
        for op in ops
        if op.layer not in {"conv1", *packed}
        and not (op.layer == "x" and op.code.startswith("Interleaved"))
    ]
    return (*stem, *kept)


def report(ops: Sequence[DeviceOp], cost: CostModel) -> float:
    """Print the estimate of ops by class beside the published figure, and return it in us."""
    by_code: dict[str, float] = defaultdict(float)
    for op in cost.estimate(ops):
        by_code[op.code] += (op.time_ns or 0.0) / 1e3
    total_us = sum(by_code.values())
    for code, time_us in sorted(by_code.items(), key=lambda item: -item[1]):
        print(f"{time_us:10.1f} us {time_us / total_us:6.1%}  {code}")
    low, high = PUBLISHED_US
    apart = total_us / ((low + high) / 2) - 1
    print(f"{total_us:10.1f} us estimated by {cost.version}")
    print(f"{low:10.0f} us to {high:.0f} us published for silicon: {apart:+.1%} of their middle")
    return total_us


def main() -> None:
    """Make the schedule, run it once on the mock device, and write it."""
    loaded = autosched.load_network_file(str(HERE.parent / "resnet50.py"), BATCH)
    network = autosched.capture(loaded.module, loaded.example_inputs, loaded.name)
    board = find_board(BOARD)
    cost = CostModel.load(board.arch)
    with WorkerDevice(board) as device:
        schedule = hand_tuned(network, device)
        device.load(network)
        outcome = device.run(schedule)
        stem = folded_stem(device)
    if isinstance(outcome, Rejection):
        raise ScheduleError(f"{outcome.layer}: {outcome.kind}: {outcome.message}")
    print("With the source's stem, from L1:")
    report(as_timed(outcome.ops, stem), cost)
    print(f"As it is, from DRAM; peak L1 {outcome.peak_l1_bytes} bytes:")
    made_for = replace(
        schedule.provenance,
        latency_us=round(report(outcome.ops, cost), 1),
        latency_kind=TimeKind.ESTIMATED,
        cost_model=cost.version,
    )
    target = sys.argv[1] if sys.argv[1:] else TARGET
    print(save_schedule(replace(schedule, provenance=made_for), target))


if __name__ == "__main__":
    main()
