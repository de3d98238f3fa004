"""Reading of hand-made captures; real ones are in ``laboratory.py``."""

from typing import Any

import pytest

from autosched.device.ttnn.graph_capture import (
    FUSED_PREFIX,
    MARK_PREFIX,
    STATED_PREFIX,
    dataflow_buffers,
    lacks_buffers,
    parse_memory_config,
    peak_l1_bytes,
    read_device_ops,
)
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

DRAM_TEXT = (
    "MemoryConfig(memory_layout=TensorMemoryLayout::INTERLEAVED,buffer_type=BufferType::DRAM,"
    "shard_spec=std::nullopt)"
)
SHARDS_TEXT = (
    "MemoryConfig(memory_layout=TensorMemoryLayout::HEIGHT_SHARDED,buffer_type=BufferType::L1,"
    'shard_spec=ShardSpec{grid=[{"start":{"x":0,"y":0},"end":{"x":7,"y":2}}, '
    '{"start":{"x":0,"y":3},"end":{"x":3,"y":3}}], shape=[64, 96], '
    "orientation=ShardOrientation::COL_MAJOR})"
)
SHARDS = TensorLayout(
    Memory.L1,
    ShardLayout.HEIGHT,
    DataType.BFLOAT8_B,
    PageLayout.TILE,
    (CoreRange(0, 0, 7, 2), CoreRange(0, 3, 3, 3)),
    (64, 96),
    transposed=True,
)

Node = dict[str, Any]


class Recorder:
    """Writes captures as ttnn does."""

    def __init__(self) -> None:
        self.graph: list[Node] = []

    def add(self, node_type: str, level: int = 1, **params: Any) -> int:
        self.graph.append(
            {
                "node_type": node_type,
                "params": params,
                "stacking_level": level,
                "connections": [],
                "input_tensors": [],
                "arguments": [],
            }
        )
        return len(self.graph) - 1

    def tracked(self, name: str) -> None:
        self.add("function_start", name=name)
        self.add("function_end", name=name)

    def mark(self, name: str) -> None:
        self.tracked(MARK_PREFIX + name)

    def program(self, code: str, *inside: tuple[str, Node], level: int = 2) -> int:
        start = self.add("function_start", level, name=code, program_factory_type=f"ns::{code}Two")
        for node_type, params in inside:
            self.add(node_type, level, **params)
        self.add("circular_buffer_deallocate_all", level)
        self.add("program_execution", level, worker_core_ranges=WORKERS)
        self.add("function_end", level, name=code)
        return start


WORKERS = '[{"end":{"x":7,"y":7},"start":{"x":0,"y":0}}]'


def circular(size: int, over_tensor: bool = False, cores: str = "{[0-0 - 7-0]}") -> Any:
    shared = str(int(over_tensor))
    return (
        "circular_buffer_allocate",
        {"size": size, "globally_allocated": shared, "core_range_set": cores},
    )


def dataflow(size: int, over_tensor: bool = False, cores: str = "{[0-0 - 3-0]}") -> Any:
    shared = str(int(over_tensor))
    return (
        "dataflow_buffer_allocate",
        {"size": size, "borrows_memory": shared, "core_range_set": cores},
    )


def test_memory_configurations_are_read() -> None:
    assert parse_memory_config(DRAM_TEXT, "bfloat16", "tile") == TensorLayout()
    assert parse_memory_config(SHARDS_TEXT, "bfloat8_b", "tile") == SHARDS
    rows = parse_memory_config(DRAM_TEXT, "float32", "row_major")
    assert (rows.dtype, rows.page) == (DataType.FLOAT32, PageLayout.ROW_MAJOR)


def test_what_is_no_memory_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="not a memory configuration: nonsense"):
        parse_memory_config("nonsense", "bfloat16", "tile")


def test_ops_have_the_layer_of_the_latest_mark() -> None:
    recorder = Recorder()
    recorder.program("Early")
    recorder.mark("conv1")
    recorder.program("Halo")
    recorder.program("Conv2d")
    recorder.mark("conv1 -> pool")
    recorder.program("Reshard")
    ops = read_device_ops(recorder.graph)
    assert [(op.code, op.layer) for op in ops] == [
        ("Early", ""),
        ("Halo", "conv1"),
        ("Conv2d", "conv1"),
        ("Reshard", "conv1 -> pool"),
    ]
    assert {op.factory for op in ops} == {"EarlyTwo", "HaloTwo", "Conv2dTwo", "ReshardTwo"}


def test_what_is_stated_is_of_the_next_product_alone() -> None:
    recorder = Recorder()
    recorder.program("Matmul")
    recorder.tracked(STATED_PREFIX + "in0_block_w=4")
    recorder.program("Tilize")
    recorder.program("Matmul")
    recorder.program("Matmul")
    said = [op.attributes.endswith("; in0_block_w=4") for op in read_device_ops(recorder.graph)]
    assert said == [False, False, True, False]


def test_what_is_fused_is_said_of_each_op_of_the_call_unless_ttnn_runs_it_apart() -> None:
    recorder = Recorder()
    for codes in (("Halo", "Conv2d", "Conv2d"), ("Matmul", "Unary"), ("Matmul",)):
        recorder.tracked(FUSED_PREFIX + "SILU")
        for code in codes:
            recorder.program(code)
        recorder.tracked(FUSED_PREFIX)
    recorder.program("Conv2d")
    said = [op.attributes.endswith("; fused=SILU") for op in read_device_ops(recorder.graph)]
    assert said == [False, True, True, False, False, True, False]


def test_a_function_alone_is_named_by_who_asks_for_it_or_by_the_call() -> None:
    recorder = Recorder()
    recorder.tracked(FUSED_PREFIX + "SILU")
    recorder.tracked("ttnn.unary_chain")
    recorder.program("Unary")
    recorder.tracked(FUSED_PREFIX)
    recorder.tracked("ttnn.sigmoid")
    recorder.program("Unary")
    said = [op.attributes.rpartition("; ")[2] for op in read_device_ops(recorder.graph)]
    assert said == ["UnaryOpType::SILU", "UnaryOpType::SIGMOID"]


def test_tensors_are_those_of_the_program() -> None:
    recorder = Recorder()
    taken = recorder.add(
        "tensor",
        shape="Shape([1, 1, 1792, 96])",
        dtype="DataType::BFLOAT8_B",
        layout="Layout::TILE",
        memory_config=SHARDS_TEXT,
    )
    on_host = recorder.add("tensor", shape="Shape([1])", dtype="DataType::FLOAT32", layout="x")
    start = recorder.program("Copy")
    recorder.graph[start]["input_tensors"] = [taken, on_host]
    recorder.graph[-1]["connections"] = [taken]
    (op,) = read_device_ops(recorder.graph)
    assert op.inputs == op.outputs
    assert (op.inputs[0].shape, op.inputs[0].layout) == ((1, 1, 1792, 96), SHARDS)
    assert op.cores == SHARDS.cores == 28


def test_cores_come_from_buffers_and_else_from_all_workers() -> None:
    recorder = Recorder()
    recorder.program("Conv2d", circular(100), circular(200, cores="{[0-0 - 7-3], [0-4 - 1-4]}"))
    recorder.program("Permute")
    assert [op.cores for op in read_device_ops(recorder.graph)] == [34, 64]


def test_buffers_over_tensors_take_nothing() -> None:
    recorder = Recorder()
    recorder.program("Conv2d", circular(100), circular(900, over_tensor=True), circular(30))
    (op,) = read_device_ops(recorder.graph)
    assert op.circular_buffer_bytes == 130
    assert peak_l1_bytes(recorder.graph) == 130


def test_a_program_inside_a_program_ends_at_its_own_end() -> None:
    recorder = Recorder()
    start = recorder.add("function_start", 2, name="Same", program_factory_type="a::Outer")
    recorder.program("Same", circular(10), level=3)
    recorder.add("circular_buffer_allocate", 2, **circular(5)[1])
    recorder.add("function_end", 2, name="Same")
    outer, inner = read_device_ops(recorder.graph)
    assert start == 0
    assert (outer.circular_buffer_bytes, inner.circular_buffer_bytes) == (15, 10)


def test_peak_follows_tensors_through_their_lives() -> None:
    recorder = Recorder()
    recorder.add("buffer_allocate", buffer_type=1, address=10, max_size_per_bank="1000")
    recorder.add("buffer_allocate", buffer_type=0, address=20, max_size_per_bank="9999")
    recorder.program("Halo", circular(50))
    recorder.add("buffer_allocate", buffer_type=1, address=30, max_size_per_bank="200")
    recorder.add("buffer_deallocate", address=10)
    recorder.add("buffer_deallocate", address=77)
    recorder.program("Conv2d", circular(400))
    assert peak_l1_bytes(recorder.graph) == 1200
    assert peak_l1_bytes(recorder.graph, kept_bytes=5) == 1205


def test_dataflow_buffers_are_matched_past_what_a_dry_capture_omits() -> None:
    real, dry = Recorder(), Recorder()
    real.add("buffer_allocate", buffer_type=1, address=10, max_size_per_bank="1000")
    real.program("Halo", circular(50))
    real.program("Move")
    first = real.program("Matmul")
    second = real.program("Matmul")
    dry.program("Halo", circular(50))
    dry.program("Matmul", dataflow(300), dataflow(800, over_tensor=True))
    dry.program("Matmul", dataflow(40, cores="{[0-0 - 0-0]}"))
    buffers = dataflow_buffers(real.graph, dry.graph)
    assert {place: len(found) for place, found in buffers.items() if found} == {first: 2, second: 1}
    ops = read_device_ops(real.graph, buffers)
    assert [op.circular_buffer_bytes for op in ops] == [50, 0, 300, 40]
    assert [op.cores for op in ops] == [8, 64, 4, 1]
    assert peak_l1_bytes(real.graph, buffers=buffers) == 1300
    assert peak_l1_bytes(real.graph) == 1050


def test_a_capture_with_circular_buffers_everywhere_lacks_none() -> None:
    recorder = Recorder()
    assert not lacks_buffers(recorder.graph)
    recorder.program("Halo", circular(50))
    assert not lacks_buffers(recorder.graph)
    recorder.program("Matmul")
    assert lacks_buffers(recorder.graph)
