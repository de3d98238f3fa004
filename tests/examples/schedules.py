"""Schedules that the export tests share: one by hand with every kind of layer, and random ones."""

from dataclasses import replace

from hypothesis import strategies as st

from autosched.export.validation import FIXED_METHODS
from autosched.schedule.configurations import (
    MATMUL_KINDS,
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from tests.examples.layouts import WHOLE_GRID, block, height

GRID_60 = (CoreRange(0, 0, 7, 6), CoreRange(0, 7, 3, 7))
HEIGHT_64 = height(64, 64, WHOLE_GRID)
BLOCK_60 = block(64, 32, GRID_60, transposed=True)


def small_schedule() -> Schedule:
    """Every kind of layer, reshard and move, with default and chosen fields."""
    return Schedule(
        Provenance(
            network="tiny",
            network_signature="0123456789abcdef",
            board="n150",
            ttnn_version="0.81.1",
            batch=1,
            study="tiny-n150",
            trial=41,
            latency_us=812.25,
            latency_kind=TimeKind.ESTIMATED,
            cost_model="1-2f6c",
            date="2026-11-22",
        ),
        {
            "x": FixedConfig(method="permute"),
            "conv1": Conv2dConfig(
                ShardLayout.HEIGHT,
                act_block_h_override=64,
                enable_act_double_buffer=True,
                enable_activation_reuse=True,
                force_split_reader=True,
                output_dtype=DataType.BFLOAT16,
            ),
            "maxpool": PoolConfig(ShardLayout.HEIGHT, output_dtype=DataType.BFLOAT8_B),
            "layer1.0.conv1": Conv2dConfig(
                ShardLayout.BLOCK,
                core_grid=GRID_60,
                full_inner_dim=True,
                output_memory="dram",
                slicing="auto",
                compute=ComputeConfig(Fidelity.HIFI2, fp32_dest_acc_en=True, packer_l1_acc=False),
            ),
            "layer1.0.add": EltwiseConfig(layout=HEIGHT_64),
            "avgpool": PoolConfig(output_memory="dram", output_page=PageLayout.ROW_MAJOR),
            "flatten": FixedConfig(),
            "fc": MatmulConfig(core_grid=(8, 4), output="width"),
            "output": FixedConfig(TensorLayout(page=PageLayout.ROW_MAJOR)),
        },
        {
            Edge("maxpool", "layer1.0.conv1"): BLOCK_60,
            Edge("maxpool", "layer1.0.add", 1): TensorLayout(memory=Memory.L1),
        },
        {Edge("maxpool", "layer1.0.conv1"): TensorLayout(dtype=DataType.BFLOAT8_B)},
        frozenset({"conv1", "layer1.0.conv1", "avgpool"}),
    )


_sharded = st.sampled_from([ShardLayout.HEIGHT, ShardLayout.WIDTH, ShardLayout.BLOCK])
_floats = st.sampled_from(
    [DataType.BFLOAT16, DataType.BFLOAT8_B, DataType.BFLOAT4_B, DataType.FLOAT32]
)
_outputs = st.sampled_from(["sharded", "dram"])
_small = st.integers(0, 12)


@st.composite
def _grids(draw: st.DrawFn) -> tuple[CoreRange, ...]:
    """One to three rectangles on different rows of cores, so that none overlap."""
    parts = []
    for row in draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)):
        x0, y0 = draw(_small), row * 3
        parts.append(CoreRange(x0, y0, x0 + draw(_small), y0 + draw(st.integers(0, 2))))
    return tuple(parts)


@st.composite
def layouts(draw: st.DrawFn, dtypes: st.SearchStrategy[DataType] = _floats) -> TensorLayout:
    dtype = draw(dtypes)
    is_block_float = dtype in (DataType.BFLOAT8_B, DataType.BFLOAT4_B)
    page = PageLayout.TILE if is_block_float else draw(st.sampled_from(PageLayout))
    memory = draw(st.sampled_from(Memory))
    if draw(st.booleans()):
        sharding = draw(st.sampled_from(ShardLayout))
        return TensorLayout(memory, sharding, dtype, page)
    shape = draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
    return TensorLayout(
        memory, draw(_sharded), dtype, page, draw(_grids()), shape, draw(st.booleans())
    )


_computes = st.builds(
    ComputeConfig, st.sampled_from(Fidelity), st.booleans(), st.booleans(), st.booleans()
)
_flags = (
    "enable_act_double_buffer",
    "enable_weights_double_buffer",
    "full_inner_dim",
    "enable_activation_reuse",
    "config_tensors_in_dram",
    "transpose_shards",
    "reallocate_halo_output",
    "fold_input",
)
_optional_flags = ("force_split_reader", "enable_kernel_stride_folding")
_slicings = st.sampled_from(
    [("l1_full", 0), ("auto", 0), ("dram_height", 0), ("dram_height", 4), ("dram_width", 17)]
)
_whole_conv2ds = st.builds(
    Conv2dConfig,
    shard_layout=st.none() | _sharded,
    act_block_h_override=st.integers(0, 64).map(lambda tiles: 32 * tiles),
    act_block_w_div=st.integers(1, 8),
    core_grid=st.just(()) | _grids(),
    weights_dtype=_floats,
    output_dtype=_floats,
    output_memory=_outputs,
    compute=_computes,
    **{name: st.booleans() for name in _flags},
    **{name: st.none() | st.booleans() for name in _optional_flags},
)
_pages = st.sampled_from(
    [{}, {"output_page": PageLayout.ROW_MAJOR, "output_dtype": DataType.BFLOAT16}]
)
_conv2ds = st.builds(
    lambda config, slicing, page: replace(
        config, slicing=slicing[0], num_slices=slicing[1], **page
    ),
    _whole_conv2ds,
    _slicings,
    _pages,
)
_grids_of_cores = st.tuples(st.integers(1, 13), st.integers(1, 10))
_programs = st.builds(
    MatmulProgram,
    st.sampled_from(MATMUL_KINDS),
    _grids_of_cores,
    *[st.integers(1, 64)] * 5,
)
_grid_or_program = st.one_of(
    st.fixed_dictionaries({"core_grid": st.none() | _grids_of_cores}),
    st.fixed_dictionaries({"program": _programs}),
)
_matmuls = st.builds(
    lambda chosen, **values: MatmulConfig(**chosen, **values),
    _grid_or_program,
    output=st.sampled_from(["dram", "l1", "width", "height", "block"]),
    weights_dtype=_floats,
    output_dtype=_floats,
    compute=_computes,
)
_whole_pools = st.builds(
    PoolConfig,
    st.none() | _sharded,
    st.sampled_from(PageLayout),
    _floats,
    _outputs,
    st.booleans(),
)
_pools = st.builds(
    lambda config, slicing: replace(config, slicing=slicing[0], num_slices=slicing[1]),
    _whole_pools,
    _slicings.filter(lambda slicing: slicing[0] != "l1_full"),
)
_text = st.text(st.characters(codec="utf-8"), max_size=8)
configs = st.one_of(
    _conv2ds,
    _matmuls,
    _pools,
    layouts().map(lambda layout: EltwiseConfig(layout.dtype, layout)),
    st.builds(FixedConfig, layouts(), st.sampled_from(FIXED_METHODS)),
)


@st.composite
def _provenances(draw: st.DrawFn) -> Provenance:
    latency = draw(st.none() | st.floats(0, 1e9))
    kinds = st.sampled_from(TimeKind)
    return Provenance(
        network=draw(_text),
        network_signature=draw(_text),
        board=draw(_text),
        ttnn_version=draw(_text),
        batch=draw(st.integers(1, 512)),
        study=draw(_text),
        trial=draw(st.none() | st.integers(0, 10**6)),
        latency_us=latency,
        latency_kind=draw(st.none() | kinds if latency is None else kinds),
        cost_model=draw(_text),
        date=draw(_text),
    )


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Legal schedules; a layer's name may be any text that an edge's text form can carry."""
    name = _text.filter(lambda text: text and "#" not in text and " -> " not in f" {text} ")
    names = draw(st.lists(name, min_size=1, max_size=4, unique=True))
    some_layer = st.sampled_from(names)
    by_edge = st.dictionaries(
        st.builds(Edge, some_layer, some_layer, st.integers(0, 3)),
        layouts(st.sampled_from(DataType)),
        max_size=3,
    )
    layers = {layer: draw(configs) for layer in names}
    freeing = [
        name for name, config in layers.items() if isinstance(config, Conv2dConfig | PoolConfig)
    ]
    frees = draw(st.frozensets(st.sampled_from(freeing))) if freeing else frozenset()
    return Schedule(draw(_provenances()), layers, draw(by_edge), draw(by_edge), frees)
