from autosched.network.graph import Layer, Network
from autosched.network.operators import Activation, Binary, DeviceInput, Input, Output, Unary
from autosched.network.read_layouts import UPLOADED, read_layouts, uploaded
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import DRAM_TILE, Edge
from tests.examples.layouts import WHOLE_GRID, block, height

SHAPE = (1, 32, 8, 8)
NETWORK = Network(
    "waiting",
    (
        Layer("x", Input(), (), SHAPE),
        Layer("a", Unary(Activation("relu")), ("x",), SHAPE),
        Layer("b", Unary(Activation("relu")), ("a",), SHAPE),
        Layer("sum", Binary("add"), ("b", "a"), SHAPE),
        Layer("y", Output(), ("sum",), SHAPE),
    ),
)
HEIGHT, BLOCK = height(32, 32, WHOLE_GRID), block(32, 32, WHOLE_GRID)
LEFT = {"x": DRAM_TILE, "a": HEIGHT, "b": HEIGHT, "sum": BLOCK, "y": DRAM_TILE}


def schedule(reshards: dict[Edge, object], moves: dict[Edge, object]) -> Schedule:
    layers = {layer.name: FixedConfig() for layer in NETWORK}
    return Schedule(Provenance("waiting", "", "n150", "0"), layers, reshards, moves)  # type: ignore[arg-type]


def test_layers_read_what_was_left() -> None:
    read = read_layouts(NETWORK, schedule({}, {}), LEFT)
    assert read.inputs["sum"] == (HEIGHT, HEIGHT)
    assert read.inputs["x"] == ()
    assert read.changes == ()


def test_a_reshard_is_for_one_reader_and_a_spill_for_all_later_ones() -> None:
    spill = Edge("a", "b")
    found = read_layouts(NETWORK, schedule({Edge("a", "b"): BLOCK}, {spill: DRAM_TILE}), LEFT)
    assert found.inputs["b"] == (BLOCK,)
    assert found.inputs["sum"] == (HEIGHT, DRAM_TILE)
    assert [(item.label, item.source, item.target) for item in found.changes] == [
        ("a -> b", HEIGHT, BLOCK),
        ("a -> b (move)", HEIGHT, DRAM_TILE),
    ]


def test_what_is_packed_where_it_lies_changes_no_layout() -> None:
    found = read_layouts(NETWORK, schedule({}, {Edge("a", "b"): HEIGHT}), LEFT)
    assert found.changes == ()


def test_inputs_come_as_rows_unless_they_wait_where_their_readers_want_them() -> None:
    assert uploaded(Input(), FixedConfig(output=HEIGHT)) == UPLOADED
    assert uploaded(DeviceInput("device"), FixedConfig(output=HEIGHT)) == HEIGHT
