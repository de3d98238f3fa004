"""The few helpers and classes an exported module defines, each only where it is used."""

from collections.abc import Iterator

_CORES = '''
def cores(*rectangles):
    """Cores as rectangles (x0, y0, x1, y1), both corners included."""
    return ttnn.CoreRangeSet(
        [
            ttnn.CoreRange(ttnn.CoreCoord(x0, y0), ttnn.CoreCoord(x1, y1))
            for x0, y0, x1, y1 in rectangles
        ]
    )
'''

_SHARDED = '''
def sharded(memory_layout, grid, shard_shape, transposed=False, buffer_type=ttnn.BufferType.L1):
    """One shard of shard_shape (rows, columns in elements) on each core of the grid."""
    orientation = ttnn.ShardOrientation.COL_MAJOR if transposed else ttnn.ShardOrientation.ROW_MAJOR
    spec = ttnn.ShardSpec(grid, shard_shape, orientation)
    return ttnn.MemoryConfig(memory_layout, buffer_type, spec)
'''

_PLACEMENT = '''
class Placement(NamedTuple):
    """Where and how a tensor lies: for ttnn.to_memory_config, ttnn.typecast, ttnn.to_layout."""

    memory_config: ttnn.MemoryConfig = ttnn.DRAM_MEMORY_CONFIG
    dtype: ttnn.DataType = ttnn.bfloat16
    layout: ttnn.Layout = ttnn.TILE_LAYOUT
'''

_CONV2D = '''
class Conv2d(NamedTuple):
    """Arguments of ttnn.conv2d; the output is then brought to memory_config, if one is given.

    With fold_input the image is first folded by the stride (ttnn.fold), and the convolution runs
    with stride 1 on weights rearranged alike (autosched.network.stem_folding).
    """

    conv_config: ttnn.Conv2dConfig
    compute_config: ttnn.WormholeComputeKernelConfig
    dtype: ttnn.DataType
    slice_config: ttnn.Conv2dSliceConfig | None = ttnn.Conv2dL1FullSliceConfig
    memory_config: ttnn.MemoryConfig | None = None
    fold_input: bool = False
'''

_MATMUL = '''
class Matmul(NamedTuple):
    """Arguments of ttnn.linear, and the format of its weights."""

    weights_dtype: ttnn.DataType
    compute_kernel_config: ttnn.WormholeComputeKernelConfig
    dtype: ttnn.DataType
    memory_config: ttnn.MemoryConfig = ttnn.DRAM_MEMORY_CONFIG
    core_grid: ttnn.CoreGrid | None = None
'''

_POOL = '''
class Pool(NamedTuple):
    """Arguments of ttnn.max_pool2d and ttnn.avg_pool2d; the scheme is for interleaved inputs."""

    applied_shard_scheme: ttnn.TensorMemoryLayout | None = None
    dtype: ttnn.DataType = ttnn.bfloat16
    output_layout: ttnn.Layout = ttnn.TILE_LAYOUT
    dram_slice_config: ttnn.Conv2dSliceConfig | None = None
    memory_config: ttnn.MemoryConfig | None = None
    reallocate_halo_output: bool = False
    deallocate_input: bool = True
'''

_ELTWISE = '''
class Eltwise(NamedTuple):
    """Output format of an addition, multiplication or activation, and where it runs."""

    dtype: ttnn.DataType
    placement: Placement = Placement()
'''

_FIXED = '''
class Fixed(NamedTuple):
    """A step without choices but where it leaves its output, and how it converts."""

    placement: Placement = Placement()
    method: str = ""
'''

_HELPERS = {"cores": _CORES, "sharded": _SHARDED}
_CLASSES = {
    "Placement": _PLACEMENT,
    "Conv2d": _CONV2D,
    "Matmul": _MATMUL,
    "Pool": _POOL,
    "Eltwise": _ELTWISE,
    "Fixed": _FIXED,
}
_NEEDS_PLACEMENT = ("Eltwise", "Fixed")


def definitions(used: set[str]) -> Iterator[str]:
    """Yield the source of the functions and classes named in ``used`` and of what they need."""
    wanted = set(used)
    if wanted.intersection(_NEEDS_PLACEMENT):
        wanted.add("Placement")
    for name, source in (*_HELPERS.items(), *_CLASSES.items()):
        if name in wanted:
            yield source.lstrip("\n")
