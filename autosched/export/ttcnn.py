"""Convolutions of a program by tt-metal's TT-CNN builder, ``models/tt_cnn/tt/builder.py``.

A field that the builder's ``Conv2dConfiguration`` lacks is set once it has made ttnn's own.
"""

import ast

from autosched.export.module_text import CallText, NodeText, assignment, flat_text, quoted

IMPORTS = ["from importlib.util import find_spec, module_from_spec, spec_from_file_location"]
LOADER = '''
def builder_module():
    """Return tt-metal's builder, or the copy in tt-symbiote, of which that file alone is loaded."""
    try:
        from models.tt_cnn.tt import builder
    except ImportError:
        package = find_spec("tt_symbiote")
        if package is None:
            raise
        (place,) = package.submodule_search_locations
        file = Path(place) / "modules" / "tt_cnn" / "builder.py"
        spec = spec_from_file_location("tt_cnn_builder", file)
        builder = sys.modules[spec.name] = module_from_spec(spec)
        spec.loader.exec_module(builder)
    return builder


builder = builder_module()
'''
TORCH_LAYER = '''
def torch_layer(weights, name, stride, padding, dilation=(1, 1), groups=1):
    """Return a convolution of PyTorch with the weights of a layer."""
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    inputs, kernel = weight.shape[1] * groups, tuple(weight.shape[2:])
    layer = torch.nn.Conv2d(
        inputs, weight.shape[0], kernel, stride, padding, dilation, groups, bias is not None
    )
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = bias.reshape(-1)
    return layer
'''

_STRATEGIES = {
    "HEIGHT_SHARDED": ("HeightSharded", ("act_block_h_override",)),
    "WIDTH_SHARDED": ("WidthSharded", ("act_block_w_div",)),
    "BLOCK_SHARDED": ("BlockSharded", ("act_block_h_override", "act_block_w_div")),
}
# Those of ttnn.Conv2dConfig that the builder takes by the same name; where it has another default
# than ttnn, what ttnn's is.
_SAME = (
    "weights_dtype",
    "activation",
    "deallocate_activation",
    "reallocate_halo_output",
    "config_tensors_in_dram",
    "output_layout",
    "enable_act_double_buffer",
    "enable_weights_double_buffer",
)
_TTNN_DEFAULTS = {"enable_weights_double_buffer": "False"}


def builder_text(layer: str, call: CallText, compute: NodeText) -> str:
    """Return the statements that make a layer's convolution, indented once.

    ``call`` is that of ``ttnn.conv2d``, ``compute`` what the constant of its configuration is.
    """
    given = dict(call.keywords)
    config = given.pop("conv_config")
    assert isinstance(config, CallText)  # noqa: S101 - ttnn.Conv2dConfig
    fields = {**_TTNN_DEFAULTS, **dict(config.keywords)}
    keywords: dict[str, NodeText] = {
        name: given[name] for name in ("input_height", "input_width", "batch_size")
    }
    keywords |= {name: fields.pop(name) for name in _SAME if name in fields}
    keywords["output_dtype"] = given["dtype"]
    strategy = _sharding(fields)
    if strategy is not None:
        keywords["sharding_strategy"] = strategy
    if "slice_config" in given:
        keywords["slice_strategy"] = _slices(given["slice_config"])
    keywords |= {
        name: value
        for name, value in _keywords(compute).items()
        if name not in ("math_approx_mode", "throttle_level")
    }
    name = f"convolutions[{quoted(layer)}]"
    made = _configuration(layer, given, keywords)
    text = assignment(name, CallText("builder.TtConv2d", (made, "device")), 1)
    later = [f"{name}.conv2d_config.{key} = {flat_text(node)}" for key, node in fields.items()]
    lacking = list(fields)
    if _keywords(compute)["math_approx_mode"] != "True":
        lacking.append("math_approx_mode")
        later.append(f"{name}.compute_config = {flat_text(given['compute_config'])}")
    if not later:
        return text
    comment = f"    # The builder has no field for {', '.join(lacking)}.\n"
    return text + comment + "".join(f"    {line}\n" for line in later)


def _keywords(node: NodeText) -> dict[str, NodeText]:
    assert isinstance(node, CallText)  # noqa: S101 - a configuration
    return dict(node.keywords)


def _configuration(
    layer: str, given: dict[str, NodeText], keywords: dict[str, NodeText]
) -> CallText:
    """Return a configuration of PyTorch's layer; its padding is set later where it is uneven."""
    top, bottom, left, right = ast.literal_eval(flat_text(given["padding"]))
    sides = repr((top, left))
    of_layer: list[tuple[str, NodeText]] = [("stride", given["stride"]), ("padding", sides)]
    of_layer += [(name, given[name]) for name in ("dilation", "groups") if name in given]
    torch_layer = CallText("torch_layer", ("weights", quoted(layer)), tuple(of_layer))
    made = CallText(
        "builder.Conv2dConfiguration.from_torch", (torch_layer,), tuple(keywords.items())
    )
    if (top, left) == (bottom, right):
        return made
    return CallText("replace", (made,), (("padding", given["padding"]),))


def _sharding(fields: dict[str, NodeText]) -> CallText | None:
    """Return the sharding strategy, and take what it says out of the fields."""
    layout = fields.pop("shard_layout", None)
    if layout is None:
        return None
    kind, taken = _STRATEGIES[flat_text(layout).rpartition(".")[2]]
    said = {name: fields.pop(name) for name in ("reshard_if_not_optimal", *taken) if name in fields}
    if "core_grid" in fields:
        said["override_core_grid"] = fields.pop("core_grid")
        fields.pop("override_sharding_config", None)
    return CallText(f"builder.{kind}StrategyConfiguration", keywords=tuple(said.items()))


def _slices(node: NodeText) -> CallText:
    if not isinstance(node, CallText):
        return CallText("builder.L1FullSliceStrategyConfiguration")
    said = dict(node.keywords)
    kind = "Height" if flat_text(said["slice_type"]).endswith("Height") else "Width"
    count = (("num_slices", said.get("num_slices", "0")),)
    return CallText(f"builder.{kind}SliceStrategyConfiguration", keywords=count)
