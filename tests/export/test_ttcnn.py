"""The builder's configurations as text; that they run the same ops is tested with the recorder."""

import ast

from autosched.export.module_text import CallText, NodeText
from autosched.export.ttcnn import builder_text

COMPUTE = CallText(
    "ttnn.init_device_compute_kernel_config",
    ("ttnn.Arch.WORMHOLE_B0",),
    (
        ("math_fidelity", "ttnn.MathFidelity.LoFi"),
        ("math_approx_mode", "True"),
        ("fp32_dest_acc_en", "False"),
        ("packer_l1_acc", "True"),
    ),
)
SLICES = CallText(
    "ttnn.Conv2dSliceConfig",
    keywords=(("slice_type", "ttnn.Conv2dDRAMSliceWidth"), ("num_slices", "4")),
)


def text_of(
    config: dict[str, NodeText], padding: str = "(1, 1, 1, 1)", compute: CallText = COMPUTE
) -> str:
    given: dict[str, NodeText] = {
        "input_tensor": "x",
        "batch_size": "1",
        "input_height": "8",
        "input_width": "8",
        "stride": "(1, 1)",
        "padding": padding,
        "groups": "2",
        "dtype": "ttnn.bfloat8_b",
        "conv_config": CallText("ttnn.Conv2dConfig", keywords=tuple(config.items())),
        "compute_config": "LOFI",
        "slice_config": SLICES,
    }
    text = builder_text("a.b", CallText("ttnn.conv2d", keywords=tuple(given.items())), compute)
    ast.parse(f"if True:\n{text}")
    return " ".join(text.split())


def test_what_the_builder_has_is_its_own() -> None:
    text = text_of(
        {
            "weights_dtype": "ttnn.bfloat8_b",
            "shard_layout": "ttnn.TensorMemoryLayout.BLOCK_SHARDED",
            "reshard_if_not_optimal": "True",
            "core_grid": "cores((0, 0, 7, 7))",
            "override_sharding_config": "True",
            "act_block_h_override": "64",
        }
    )
    assert 'torch_layer(weights, "a.b", stride=(1, 1), padding=(1, 1), groups=2)' in text
    for word in (
        "builder.BlockShardedStrategyConfiguration(",
        "override_core_grid=cores((0, 0, 7, 7))",
        "act_block_h_override=64",
        "builder.WidthSliceStrategyConfiguration(num_slices=4)",
        "enable_weights_double_buffer=False",
        "output_dtype=ttnn.bfloat8_b",
        "packer_l1_acc=True",
    ):
        assert word in text
    assert "no field" not in text


def test_what_it_lacks_is_set_later_and_named() -> None:
    exact = CallText(
        COMPUTE.function,
        COMPUTE.arguments,
        tuple((name, "False" if "approx" in name else node) for name, node in COMPUTE.keywords),
    )
    text = text_of(
        {
            "shard_layout": "ttnn.TensorMemoryLayout.WIDTH_SHARDED",
            "act_block_h_override": "32",
            "full_inner_dim": "True",
        },
        padding="(0, 1, 0, 1)",
        compute=exact,
    )
    assert "no field for act_block_h_override, full_inner_dim, math_approx_mode." in text
    assert 'convolutions["a.b"].conv2d_config.full_inner_dim = True' in text
    assert 'convolutions["a.b"].conv2d_config.act_block_h_override = 32' in text
    assert 'convolutions["a.b"].compute_config = LOFI' in text
    assert "replace( builder.Conv2dConfiguration.from_torch(" in text
    assert "padding=(0, 1, 0, 1)" in text
