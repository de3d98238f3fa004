"""The single figures that the fit takes in, and the configurations that they are of.

Times and remarks are those of ``points.csv``; where it says something in words (a ratio, a second
figure), the number stands here. What it does not say is assumed, and said here: HiFi4 and bfloat16
weights where a fidelity is not stated, ttnn's defaults for the rest. Pools are the single figures
of the calibration set's README.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ttnn

from autosched.cost.calibration.observations import Observation, Source, conv_group
from autosched.cost.ops.attributes import plain_code
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.families import read_features
from autosched.cost.ops.halo import HaloOp
from autosched.cost.ops.pooling import PoolOp
from autosched.cost.ops.work import Record
from autosched.schedule.tensors import ShardLayout
from calibration.mock_device import Ops, captured, convolution, matmul, tensor

Run = Callable[[Any], Ops]

TODAY = "0.81.1"
"""The release whose kernels points show where they do not say otherwise."""


@dataclass(frozen=True)
class Point:
    """A figure of one op of a run.

    ``code`` is the op's, plain. ``time_us`` is its time, or its share within a ``bundle``, of which
    only ratios count. ``legacy`` halos are those before both data-movement processors shared them.
    ``layer`` is what is held out together, where that is more than the figure or its bundle.
    """

    name: str
    board: str
    code: str
    time_us: float
    run: Run
    bundle: str = ""
    weight: float = 1.0
    legacy: bool = False
    layer: str = ""


def points() -> Iterator[Point]:
    """Yield every point, in the order of ``points.csv``."""
    yield from _convolutions()
    yield from _pairs()
    yield from _halos()
    yield from _layout_changes()
    yield from _products()


_RICH: dict[str, Any] = {
    "act_block_h_override": 64,
    "weights": "float32",
    "fp32": True,
    "rows_out": True,
    "fidelity": "HiFi4",
}


def _convolutions() -> Iterator[Point]:
    few = partial(convolution, channels=(4, 512), image=(128, 128), layout="height")
    yield Point("4>512 128x128", "n150", "conv2d", 67.0, few)
    yield Point("4>512 128x128, 13x10 cores", "p150-140", "conv2d", 25.0, few)
    yield Point("4>512 128x128, 11x10 cores", "p150", "conv2d", 27.28, few)
    rich = partial(convolution, layout="height", **_RICH)
    cases: tuple[tuple[float, dict[str, Any]], ...] = (
        (57.455, {"channels": (16, 320), "image": (64, 64), "batch": 2}),
        (
            36.770,
            {
                "channels": (64, 256),
                "image": (56, 56),
                "batch": 20,
                "kernel": (1, 1),
                "stride": 2,
                "padding": 0,
            },
        ),
        (245.403, {"channels": (128, 448), "image": (16, 16), "batch": 8}),
    )
    for time_us, case in cases:
        into, out = case["channels"]
        name = f"tt-metal 45995: {into}>{out}, batch {case['batch']}"
        yield Point(name, "n150", "conv2d", time_us, partial(rich, **case))


_BOTH: dict[str, Any] = {
    "enable_act_double_buffer": True,
    "enable_weights_double_buffer": True,
}
# Shapes that SDXL's convolutions have; the thread gives times and no shapes.
_SDXL = ((1280, 1280, 32), (640, 640, 32), (2560, 1280, 16), (1920, 1280, 16), (1280, 1280, 16))
_SDXL_MS = ((8.48, 5.24), (3.09, 1.87), (12.95, 7.97), (3.89, 2.32), (6.46, 4.00))
# The branch log says 37 to 60 % less.
_FULL_SHARES = (100.0, 50.0)


def _pairs() -> Iterator[Point]:
    """Yield what is known as a ratio alone."""
    layouts = partial(convolution, channels=(256, 128), image=(128, 128))
    rich = partial(layouts, weights="bfloat16", fidelity="HiFi4")
    for layout, time_us in (("block", 876.0), ("height", 224.0)):
        name = "tt-mlir 8010: 256>128 128x128"
        run = partial(rich, layout=layout)
        yield Point(f"{name} {layout}", "n150", "conv2d", time_us, run, bundle=name)
    for (into, out, side), times in zip(_SDXL, _SDXL_MS, strict=True):
        name = f"tt-metal 23123: {into}>{out} {side}x{side}"
        wide = partial(
            convolution,
            channels=(into, out),
            image=(side, side),
            layout="width",
            weights="bfloat16",
            fidelity="HiFi2",
            tiles_in=True,
            act_block_h_override=128,
        )
        runs = (("none", wide), ("both", partial(wide, **_BOTH)))
        for (buffers, run), milliseconds in zip(runs, times, strict=True):
            label = f"{name}, {buffers}"
            yield Point(label, "n150", "conv2d", 1e3 * milliseconds, run, name, weight=0.5)
    for channels, side in ((512, 7), (256, 14)):
        name = f"full inner dimension and double buffers: {channels} {side}x{side}"
        plain = partial(
            convolution, channels=(channels, channels), image=(side, side), layout="block"
        )
        runs = (("off", plain), ("on", partial(plain, full_inner_dim=True, **_BOTH)))
        for (state, run), share in zip(runs, _FULL_SHARES, strict=True):
            yield Point(f"{name}, {state}", "p150", "conv2d", share, run, name, weight=0.2)


def _halos() -> Iterator[Point]:
    """Yield two halos of dilated windows, each as it was with and without a split configuration.

    What was tried with one weighs little: it was no release's, and today's kernel sends whole rows.
    """
    cases = (
        ("32>48 284x284 dilation 2", (32, 48), 284, 2, (44.0, 26.0)),
        ("56>64 272x272 dilation 8", (56, 64), 272, 8, (205.0, 112.0)),
    )
    for name, channels, side, dilation, times in cases:
        run = partial(
            convolution,
            channels=channels,
            image=(side, side),
            layout="height",
            padding=dilation,
            dilation=dilation,
        )
        layer = f"tt-metal 18394: {name}"
        before = f"{layer}, one processor"
        yield Point(before, "n150", "halo", times[0], run, legacy=True, layer=layer)
        yield Point(f"{layer}, split", "n150", "halo", times[1], run, layer=layer, weight=0.1)


def _layout_changes() -> Iterator[Point]:
    untilized = (
        ((170, 206), 4.266),
        ((201, 196), 4.288),
        ((1, 188, 200), 4.270),
        ((102, 165), 4.049),
    )
    for shape, time_us in untilized:
        run = partial(_changed, change=ttnn.untilize, shape=shape, tiles=True)
        layer = "tt-metal 50178: untilize"
        yield Point(f"{layer} {shape}", "n150", "untilizecodegen", time_us, run, layer=layer)
    for sizes, time_us in (((512, 2048), 53.818), ((1024, 1024), 30.696)):
        run = partial(_changed, change=ttnn.tilize, shape=(1, 1, *sizes))
        yield Point(f"tt-metal 51919: tilize {sizes}", "n150", "tilize", time_us, run)
    permuted = (
        ((1, 4, 96, 128), (0, 2, 1, 3), 4.217),
        ((1, 4, 96, 128), (3, 2, 1, 0), 78.255),
        ((2, 96, 128), (1, 2, 0), 14.760),
    )
    for turned, order, time_us in permuted:
        run = partial(_changed, change=partial(ttnn.permute, dims=order), shape=turned)
        yield Point(f"tt-metal 51913: permute {turned} {order}", "n150", "permute", time_us, run)
    yield Point("tt-metal 52312: concat of three 64x64", "n150", "concat", 1.608, _joined)
    yield Point("upsample 2x of 2x640x32x32, BLOCK", "n150", "upsample", 13.1, _enlarged)


def _changed(
    device: Any, *, change: Callable[[Any], Any], shape: Sequence[int], tiles: bool = False
) -> Ops:
    source = tensor(device, shape, tiles=tiles)
    return captured(lambda: change(source))


def _joined(device: Any) -> Ops:
    parts = [tensor(device, (1, 1, 64, 64)) for _ in range(3)]
    return captured(lambda: ttnn.concat(parts, -1))


def _enlarged(device: Any) -> Ops:
    shards = ttnn.create_sharded_memory_config(
        (2048, 640), ttnn.CoreGrid(x=8, y=8), ttnn.ShardStrategy.BLOCK
    )
    image = ttnn.to_memory_config(tensor(device, (2, 32, 32, 640)), shards)
    return captured(lambda: ttnn.upsample(image, 2))


def _products() -> Iterator[Point]:
    for columns, times in ((5120, (2027.0, 264.0)), (640, (95.0, 48.0))):
        name = f"tt-mlir 7702: 1024x640x{columns}"
        for in_l1, time_us in zip((True, False), times, strict=True):
            run = partial(matmul, sizes=(1024, 640, columns), l1=in_l1)
            label = f"{name} of {'L1' if in_l1 else 'DRAM'}"
            yield Point(label, "n150", "matmul", time_us, run, name, weight=0.5)
    for inner, columns, time_us in ((2048, 4096, 49.1), (1536, 576, 11.2), (1536, 32, 10.2)):
        run = partial(matmul, sizes=(640, inner, columns), fidelity="HiFi2")
        yield Point(f"640x{inner}x{columns}", "p150", "matmul", time_us, run, weight=0.5)


def observe(point: Point, device: Any, arch: str) -> Observation:
    """Run a point's configuration and return what the fit learns from it.

    Raises:
        LookupError: if the run has no op of the kind.
    """
    found = [op for op in point.run(device) if plain_code(op.code) == point.code]
    if not found:
        raise LookupError(f"{point.name}: no {point.code} among what ran")
    record = read_features(found[0])
    if isinstance(record, HaloOp):
        record = replace(record, legacy=point.legacy)
    return Observation(
        arch=arch,
        record=record,
        time_ns=round(1e3 * point.time_us, 3),
        group=_group(record, point),
        label=point.name,
        origin="points.csv",
        release=TODAY,
        source=Source.POINT,
        bundle=point.bundle,
        weight=point.weight,
    )


def _group(record: Record, point: Point) -> str:
    if isinstance(record, Conv2dOp):
        return conv_group(record)
    return point.layer or point.bundle or point.name


def _pool(window: int, stride: int, sticks: int, channels: int, kind: str) -> PoolOp:
    return PoolOp(
        layout=ShardLayout.HEIGHT,
        cores=64,
        kind=kind,
        window_hw=(window, window),
        stride_hw=(stride, stride),
        out_sticks=sticks,
        stick_bytes=2 * channels,
        channels=channels,
        tiled_output=False,
    )


# (op, microseconds) on Wormhole. Sticks are per core of 64: 16 images of 56x56, one of 112x112, one
# of 16x16, and ten single positions.
_POOLS = (
    (_pool(3, 2, 784, 64, "max"), 124.7),
    (_pool(2, 2, 196, 64, "max"), 31.4),
    (_pool(4, 4, 4, 1152, "avg"), 17.6),
    (_pool(7, 1, 1, 1280, "avg"), 8.38),
)


def pools() -> Iterator[Observation]:
    """Yield the single figures of pools, whose configurations are too sparse to be run."""
    for op, time_us in _POOLS:
        name = f"{op.kind} pool {op.window_hw} of {op.out_sticks} sticks, {op.channels} channels"
        yield Observation(
            arch="wormhole_b0",
            record=op,
            time_ns=1e3 * time_us,
            group=name,
            label=name,
            origin="README of the calibration set",
            release="sweep",
            source=Source.POINT,
        )
