"""SegFormer-B0's encoder, 512x512, for n150.

Source: tt-metal's public SegFormer for semantic segmentation, whose choices for the encoder are
restated here as values by stage. What differs:

- The source has a decoding head after the encoder, so that its published throughput is of more.
  Ours hands all four feature maps back in PyTorch's order, by a transpose of tiles.
- Linear layers run as 1x1 convolutions, in the source's shards and on its cores.
- Attention is one layer of ours, its products and softmax interleaved; the source has queries,
  scores and shares in height shards, and scales the scores rather than the queries.
- The input comes from DRAM and is brought into rows of channels by ``convert_to_hwc``; the source
  pads and permutes it in L1.
"""

import re
from collections.abc import Mapping

from autosched.network.graph import Layer
from autosched.network.operators import Attention, Binary, Conv2d, Input, LayerNorm, Output
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    LayerConfig,
)
from autosched.schedule.tensors import Memory, ShardLayout, TensorLayout
from by_hand.baseline import B8, B16, ROWS, Baseline, Layouts, sharded

HEIGHT, BLOCK = ShardLayout.HEIGHT, ShardLayout.BLOCK
PLAIN = ComputeConfig(packer_l1_acc=False)
PRECISE = ComputeConfig(Fidelity.HIFI4, packer_l1_acc=False)
SPREAD = TensorLayout(Memory.L1, dtype=B8)
SPREAD_ROWS = TensorLayout(Memory.L1, page=ROWS)

Stage = Mapping[str, TensorLayout]

STAGES: tuple[Stage, ...] = (
    {
        "query": sharded(HEIGHT, 8, 8, (256, 32)),
        "key": sharded(HEIGHT, 1, 8, (32, 32)),
        "project": sharded(HEIGHT, 8, 8, (256, 32)),
        "grow": SPREAD,
        "shrink": sharded(HEIGHT, 8, 8, (256, 128)),
    },
    {
        "query": sharded(HEIGHT, 8, 8, (64, 64)),
        "key": sharded(HEIGHT, 1, 8, (32, 64)),
        "project": sharded(HEIGHT, 8, 8, (64, 64)),
        "grow": sharded(BLOCK, 2, 8, (512, 32)),
        "shrink": sharded(BLOCK, 2, 8, (512, 128)),
    },
    {
        "query": sharded(BLOCK, 5, 8, (128, 32)),
        "key": sharded(BLOCK, 5, 8, (32, 32)),
        "project": sharded(BLOCK, 5, 8, (128, 32)),
        "grow": sharded(BLOCK, 5, 8, (128, 32)),
        "shrink": sharded(BLOCK, 5, 8, (128, 128)),
    },
    {
        "query": sharded(BLOCK, 8, 8, (32, 32)),
        "key": sharded(BLOCK, 8, 8, (32, 32)),
        "project": sharded(BLOCK, 8, 8, (32, 32)),
        "grow": sharded(BLOCK, 8, 8, (32, 32)),
        "shrink": sharded(BLOCK, 8, 8, (32, 128)),
    },
)
"""In which shards each stage's linear layers take their inputs; values come as keys do."""
_STAGE = re.compile(r"stages\.(\d)\.")


class SegFormerB0(Baseline):
    """One image on n150."""

    study = "segformer_b0"

    def config(self, layer: Layer, taken: tuple[TensorLayout, ...]) -> LayerConfig:
        match layer.op:
            case Input():
                image = sharded(HEIGHT, 8, 8, (4096, 8), B16, ROWS)
                return FixedConfig(output=image, method="convert_to_hwc")
            case Output():
                return FixedConfig(method="transpose")
            case Conv2d():
                return convolution(layer)
            case LayerNorm():
                compute = PRECISE if step(layer.name) == "norm" else PLAIN
                return FixedConfig(output=taken[0], compute=compute)
            case Binary():
                return EltwiseConfig(output_dtype=B8, layout=SPREAD)
            case _:
                return FixedConfig(output=TensorLayout(dtype=B8))

    def taken(self, layer: Layer, layouts: Layouts) -> tuple[TensorLayout, ...]:
        lies = super().taken(layer, layouts)
        if isinstance(layer.op, Attention):
            return (SPREAD,) * len(lies)
        found = _STAGE.match(layer.name)
        if found is None:
            return lies
        name = step(layer.name)
        if name == "patches":
            return lies if found[1] == "0" else (SPREAD_ROWS,)
        if name == "norm":
            return (SPREAD,)
        stage = STAGES[int(found[1])]
        if name != "query" and ("key" if name == "value" else name) in stage:
            return (stage["key" if name == "value" else name],)
        return lies

    def moved(self, layer: Layer, layouts: Layouts) -> dict[str, TensorLayout]:
        """Queries and the smaller image are made from bfloat16; all else goes on spread."""
        name = step(layer.name)
        found = _STAGE.match(layer.name)
        if name == "norm1" and found is not None:
            lies = STAGES[int(found[1])]["query"]
            return {
                layer.name: TensorLayout(
                    lies.memory, lies.sharding, B16, lies.page, lies.grid, lies.shard_shape
                )
            }
        return {layer.name: SPREAD} if name in ("patches", "project", "shrink") else {}


def step(name: str) -> str:
    """Return what a layer is in its block."""
    return name.rpartition(".")[2]


def convolution(layer: Layer) -> Conv2dConfig:
    """Return a convolution's configuration; linear layers are 1x1 convolutions.

    All are LoFi. ttnn folds what the smaller image is made of, and spreads it.
    """
    assert isinstance(layer.op, Conv2d)  # noqa: S101 - nothing else comes here
    name = step(layer.name)
    if layer.op.kernel == (1, 1):
        spread = layer.name.startswith("stages.0") and name == "grow"
        return Conv2dConfig(
            shard_layout=HEIGHT if spread else None,
            output_dtype=B16 if name == "query" else B8,
        )
    wide = name == "mix" and layer.shape[1] >= 640
    is_first = layer.name == "stages.0.patches"
    return Conv2dConfig(
        shard_layout=None if is_first else BLOCK if wide else HEIGHT,
        act_block_h_override=32 if wide else 0,
        enable_act_double_buffer=True,
        enable_weights_double_buffer=True,
        reallocate_halo_output=True,
        weights_dtype=B16,
        compute=PLAIN,
    )
