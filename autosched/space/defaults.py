"""What ttnn does when nobody chooses: the schedule every search starts from.

Every tensor waits in DRAM, interleaved; convolutions and pools get no configuration beyond the
formats, so that ttnn picks the sharding and slices what it finds too large.
"""

from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Binary,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    HostOp,
    Linear,
    Pool2d,
    Unary,
)
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import TensorLayout
from autosched.space.convolutions import in_slices
from autosched.space.formats import Formats, LayerFormats, host_config


def conv2d_base(layer: Layer, formats: LayerFormats) -> Conv2dConfig:
    """Return a convolution's configuration with nothing but its formats."""
    return Conv2dConfig(
        weights_dtype=formats.weights_dtype(layer),
        output_dtype=formats.output_dtype(layer),
        compute=formats.compute(layer),
    )


def default_config(layer: Layer, formats: LayerFormats) -> LayerConfig:
    """Return the configuration under which ttnn decides everything but the formats."""
    dtype = formats.output_dtype(layer)
    op = layer.op
    if isinstance(op, HostOp):
        return host_config(layer, formats)
    if isinstance(op, Conv2d | ConvTranspose2d):
        return in_slices(conv2d_base(layer, formats))
    if isinstance(op, Linear):
        return MatmulConfig(
            weights_dtype=formats.weights_dtype(layer),
            output_dtype=dtype,
            compute=formats.compute(layer),
        )
    if isinstance(op, Pool2d | GlobalAvgPool2d):
        return PoolConfig(
            output_dtype=formats.left_in_dram(layer).dtype,
            output_memory="dram",
            reallocate_halo_output=True,
        )
    if isinstance(op, Binary | Unary):
        dtype = formats.left_in_dram(layer).dtype
        return EltwiseConfig(output_dtype=dtype, layout=TensorLayout(dtype=dtype))
    return FixedConfig(output=formats.left_in_dram(layer))


def default_schedule(network: Network, board: str, ttnn_version: str, formats: Formats) -> Schedule:
    """Return ttnn's default schedule of a network."""
    by_layer = LayerFormats(network, formats)
    return Schedule(
        Provenance(
            network.name,
            network.signature,
            board,
            ttnn_version,
            network.batch,
        ),
        {layer.name: default_config(layer, by_layer) for layer in network},
    )
