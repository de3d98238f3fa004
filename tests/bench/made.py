"""Joint problems made by hand: a few convolutions, layouts with round sizes, no device."""

from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Conv2d, Input, Output
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import JointProblem
from autosched.probing.reshard_tables import ReshardTable
from autosched.schedule.configurations import Conv2dConfig, EltwiseConfig, FixedConfig
from autosched.schedule.tensors import CoreRange, Edge, ShardLayout
from tests.examples.layouts import DRAM_8B, shards
from tests.examples.networks import BOARD

SHAPE = (1, 64, 32, 32)
DRAM = DRAM_8B
KIB = 1024


def sharded(layout, cores, kib=17):
    """L1 shards of ``kib`` KiB (a multiple of 17: sixteen tiles of bfloat8_b) on some cores."""
    return shards(layout, 32 * 16 * kib // 17, 32, (CoreRange(0, 0, cores - 1, 0),))


HEIGHT = sharded(ShardLayout.HEIGHT, 8)
WIDE = sharded(ShardLayout.HEIGHT, 4)
BLOCK = sharded(ShardLayout.BLOCK, 8)
BIG = sharded(ShardLayout.HEIGHT, 8, kib=680)


def conv(inputs, output, scratch_kib=0, time_us=1.0, **switches):
    return Choice(Conv2dConfig(**switches), (inputs,), output, time_us, scratch_kib * KIB, ())


def add(layout):
    config = EltwiseConfig(layout=layout)
    return Choice(config, (layout, layout), layout, 1.0, 0, ())


def given(output):
    return Choice(FixedConfig(output=output), (DRAM,), output, 1.0, 0, ())


def layer(name, *inputs):
    op = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
    if not inputs:
        op = Input()
    elif len(inputs) == 2:
        op = Binary("add")
    elif name == "out":
        op = Output()
    return Layer(name, op, inputs, SHAPE)


def joint(layers, tables, impossible=()):
    """All reshards are possible but those of ``impossible`` pairs; all that waits may spill."""
    network = Network("made", tuple(layers))
    layouts = {layout for choices in tables.values() for item in choices for layout in item.layouts}
    layouts.add(DRAM)
    pairs = {
        (source, target): 1.0
        for source in layouts
        for target in layouts
        if source != target and (source, target) not in impossible
    }
    to_dram = {pair: time for pair, time in pairs.items() if pair[1] == DRAM}
    position = {item.name: index for index, item in enumerate(layers)}
    waits = {
        edge.producer
        for edge in network.edges
        if position[edge.consumer] > position[edge.producer] + 1
    }
    return JointProblem(
        network,
        tables,
        {edge: ReshardTable(pairs) for edge in network.edges},
        {name: ReshardTable(to_dram) for name in waits},
        BOARD,
    )


def spill(tensor, after):
    return Edge(tensor, after)
