from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import DataType
from autosched.space.defaults import default_schedule
from autosched.space.formats import Formats
from tests.examples.space_layers import NETWORK

SCHEDULE = default_schedule(NETWORK, "n150", "0.81.1", Formats())


def test_every_layer_has_a_configuration_in_execution_order() -> None:
    assert list(SCHEDULE.layers) == [layer.name for layer in NETWORK]
    assert not SCHEDULE.reshards
    assert not SCHEDULE.moves
    kinds = {name: type(config) for name, config in SCHEDULE.layers.items()}
    assert kinds == {
        "x": FixedConfig,
        "gate": EltwiseConfig,
        "conv1": Conv2dConfig,
        "conv2": Conv2dConfig,
        "sum": EltwiseConfig,
        "pool": PoolConfig,
        "mean": PoolConfig,
        "flat": FixedConfig,
        "fc": MatmulConfig,
        "soft": FixedConfig,
        "y": FixedConfig,
    }


def test_its_provenance_is_the_networks() -> None:
    provenance = SCHEDULE.provenance
    assert provenance.network_signature == NETWORK.signature
    assert (provenance.network, provenance.batch) == ("every kind", 1)
    assert (provenance.board, provenance.ttnn_version) == ("n150", "0.81.1")
    assert provenance.latency_us is None


def test_ttnn_decides_everything_but_the_formats() -> None:
    config = SCHEDULE.layers["conv2"]
    assert isinstance(config, Conv2dConfig)
    assert (config.shard_layout, config.core_grid, config.act_block_h_override) == (None, (), 0)
    assert (config.slicing, config.output_memory) == ("auto", "dram")
    assert config.output_dtype is DataType.BFLOAT8_B
    assert config.compute.math_fidelity is Fidelity.LOFI


def test_nothing_frees_a_tensor_that_may_be_read_again() -> None:
    assert not SCHEDULE.frees
