"""Python expressions as text, laid out as ``ruff format`` would leave them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

LINE_LENGTH = 100
_INDENT = "    "


@dataclass(frozen=True)
class CallText:
    """A call with positional arguments, then keywords."""

    function: str
    arguments: tuple["NodeText", ...] = ()
    keywords: tuple[tuple[str, "NodeText"], ...] = ()


@dataclass(frozen=True)
class Table:
    """A dict literal with text keys, one entry a line."""

    entries: tuple[tuple[str, "NodeText"], ...] = ()


NodeText: TypeAlias = str | CallText | Table
"""An expression: source text that stays on one line, a call, or a table."""


def quoted(text: str) -> str:
    """Return a string literal, in double quotes where that needs no escapes."""
    literal = repr(text)
    if literal[0] == "'" and '"' not in literal:
        return f'"{literal[1:-1]}"'
    return literal


def prose(text: str) -> str:
    """Return text as it may stand inside a docstring of double quotes, on one line."""
    escaped = " ".join(text.split()).encode("unicode_escape").decode("ascii")
    return escaped.replace('"', '\\"')


def assignment(name: str, node: NodeText, depth: int = 0) -> str:
    """Return ``name = node``, indented so many times, with a line break at its end."""
    return statement(f"{name} = ", node, depth)


def statement(lead: str, node: NodeText, depth: int, end: str = "") -> str:
    """Return a line, or several, of an expression between ``lead`` and ``end``, indented."""
    pad = _INDENT * depth
    return f"{pad}{lead}{_text(node, depth, len(pad) + len(lead) + len(end))}{end}\n"


def _text(node: NodeText, depth: int, used: int) -> str:
    """Return the text of ``node`` after ``used`` characters of a line indented by ``depth``."""
    if not isinstance(node, Table) or not node.entries:
        flat = flat_text(node)
        if isinstance(node, str) or used + len(flat) + 1 <= LINE_LENGTH:
            return flat
    pad = _INDENT * (depth + 1)
    items = "".join(
        f"{pad}{lead}{_text(item, depth + 1, len(pad) + len(lead))},\n"
        for lead, item in _items(node)
    )
    opening, closing = _brackets(node)
    return f"{opening}\n{items}{_INDENT * depth}{closing}"


def flat_text(node: NodeText) -> str:
    """Return an expression on one line."""
    if isinstance(node, str):
        return node
    opening, closing = _brackets(node)
    return opening + ", ".join(lead + flat_text(item) for lead, item in _items(node)) + closing


def _items(node: CallText | Table) -> list[tuple[str, NodeText]]:
    if isinstance(node, Table):
        return [(f"{quoted(key)}: ", item) for key, item in node.entries]
    keywords = [(f"{name}=", item) for name, item in node.keywords]
    return [("", item) for item in node.arguments] + keywords


def _brackets(node: CallText | Table) -> tuple[str, str]:
    return ("{", "}") if isinstance(node, Table) else (f"{node.function}(", ")")


def functions_called(node: NodeText) -> set[str]:
    """Return the name of every function that ``node`` calls."""
    if isinstance(node, str):
        return set()
    names = {node.function} if isinstance(node, CallText) else set()
    return names.union(*(functions_called(item) for _, item in _items(node)))


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
    """Arguments of ttnn.linear, and the format of its weights.

    The program_config of either kind fuses the layer's activation, which is not said here.
    """

    weights_dtype: ttnn.DataType
    compute_kernel_config: ttnn.WormholeComputeKernelConfig
    dtype: ttnn.DataType
    memory_config: ttnn.MemoryConfig = ttnn.DRAM_MEMORY_CONFIG
    core_grid: ttnn.CoreGrid | None = None
    program_config: ttnn.MatmulMultiCoreReuseMultiCastProgramConfig | None = None
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
    """A step without choices but where it leaves its output, and how it converts or computes."""

    placement: Placement = Placement()
    method: str = ""
    compute_kernel_config: ttnn.WormholeComputeKernelConfig | None = None
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


def known_definitions() -> dict[str, str]:
    """Return the source of every function and class that an exported module may have, by name."""
    return {name: source.lstrip("\n") for name, source in {**_HELPERS, **_CLASSES}.items()}


def definitions(used: set[str]) -> Iterator[str]:
    """Yield the source of the functions and classes named in ``used`` and of what they need."""
    wanted = set(used)
    if wanted.intersection(_NEEDS_PLACEMENT):
        wanted.add("Placement")
    for name, source in known_definitions().items():
        if name in wanted:
            yield source


RUNNING = '''
def zeros():
    """Return images to measure with: what they show makes no difference."""
    return [torch.zeros(shape) for shape in INPUT_SHAPES]


def run(device):
    """Return a forward pass, as autosched profile takes it."""
    model = build(device, torch.load(WEIGHTS, weights_only=True))
    inputs = upload(device, zeros())
    return lambda: model(inputs)


def images_per_second(device, model, passes=200):
    """Return how many images go through two traces, each with inputs and outputs of its own.

    Queue 1 brings the inputs of one while queue 0 computes with the other's. What is read stays
    until it is there.
    """
    images = on_host(zeros())
    slots = [upload(device, zeros()) for _ in range(2)]
    for inputs in slots:
        model(inputs)
    traces = []
    for inputs in slots:
        trace = ttnn.begin_trace_capture(device, cq_id=0)
        outputs = model(inputs)
        ttnn.end_trace_capture(device, trace, cq_id=0)
        traces.append((inputs, trace, outputs))
    computed = [ttnn.record_event(device, 0) for _ in traces]
    results = [[], []]
    ttnn.synchronize_device(device)
    start = time.perf_counter()
    for number in range(passes):
        slot = number % 2
        inputs, trace, outputs = traces[slot]
        ttnn.event_synchronize(computed[slot])
        for image, tensor in zip(images, inputs, strict=True):
            ttnn.copy_host_to_device_tensor(image, tensor, cq_id=1)
        written = ttnn.record_event(device, 1)
        ttnn.wait_for_event(0, written)
        ttnn.execute_trace(device, trace, cq_id=0, blocking=False)
        results[slot] = [output.cpu(blocking=False) for output in outputs]
        computed[slot] = ttnn.record_event(device, 0)
    ttnn.synchronize_device(device)
    seconds = time.perf_counter() - start
    for _, trace, _ in traces:
        ttnn.release_trace(device, trace)
    return passes * BATCH / seconds
'''
"""What runs the model of a program, and times it by traces on two command queues."""
MAIN = '''
def main():
    """Open the device, run the model, and print how many images it computes a second."""
    is_mock = "TT_METAL_MOCK_CLUSTER_DESC_PATH" in os.environ
    is_simulated = "TT_METAL_SIMULATOR" in os.environ
    is_slow = "TT_METAL_SLOW_DISPATCH_MODE" in os.environ
    if not (is_mock or is_simulated or Path("/dev/tenstorrent").exists()):
        here = Path(__file__).name
        raise SystemExit(f"no Tenstorrent card here; without one: autosched profile {here}")
    has_traces = not is_slow and (is_simulated or not is_mock)
    options = {"trace_region_size": 64 << 20, "num_command_queues": 2} if has_traces else {}
    device = OPENING, **options)
    try:
        model = build(device, torch.load(WEIGHTS, weights_only=True))
        outputs = read(model(upload(device, zeros())))
        print("outputs of", ", ".join(str(tuple(output.shape)) for output in outputs))
        if has_traces:
            print(f"{images_per_second(device, model):.1f} images per second")
        else:
            print("not timed: the mock device and slow dispatch take no traces")
    finally:
        ttnn.close_device(device)


if __name__ == "__main__":
    main()
'''
"""What runs as a program; OPENING stands for the call that opens the device."""
