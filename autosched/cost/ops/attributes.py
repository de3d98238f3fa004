"""The attributes of a device op as named text, in both spellings tt-metal uses.

The profiler's ``ATTRIBUTES`` column names its fields (``{'dtype': 'DataType::BFLOAT16'; ...}``,
in older releases with a trailing underscore); graph capture writes them by position
(``Conv2dParams(SlidingWindowConfig(1, 0, {56, 56}, ...), 64, ...)``) in the order of the C++
structs' declarations (tt-metal ``conv2d_device_operation_types.hpp``, ``sliding_window.hpp``,
``halo_device_operation_types.hpp``). Both become one mapping from field name to text.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from autosched.schedule.configurations import Fidelity

_POSITIONAL_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Conv2dParams": (
        "sliding_window_config",
        "output_channels",
        "groups",
        "untilize_out",
        "has_bias",
        "activation",
        "parallelization_config",
        "block_config",
        "memory_config",
        "dtype",
        "input_tensor_shape",
        "compute_kernel_config",
        "enable_act_double_buffer",
        "enable_weights_double_buffer",
        "full_inner_dim",
        "enable_activation_reuse",
        "config_tensors_in_dram",
        "pre_op_l1_allocation_size_bytes",
        "force_split_reader",
    ),
    "SlidingWindowConfig": (
        "batch_size",
        "channels",
        "input_hw",
        "window_hw",
        "stride_hw",
        "padding",
        "output_padding",
        "dilation_hw",
        "scale_h",
        "scale_w",
        "ceil_pad",
        "num_cores_nhw",
        "num_cores_c",
    ),
    "Conv2dParallelizationConfig": (
        "grid_size",
        "num_cores_nhw",
        "num_cores_c_in",
        "num_cores_c_out",
        "per_core_out_matrix_height_ntile",
        "per_core_out_matrix_width_ntile",
    ),
    "Conv2dBlockConfig": (
        "act_block_h_ntiles",
        "act_block_w_ntiles",
        "out_subblock_h_ntiles",
        "out_subblock_w_ntiles",
    ),
    "HaloParams": (
        "config",
        "parallel_config",
        "pad_val",
        "remote_read",
        "transpose_mcast",
        "max_out_nsticks_per_core",
        "in_nsticks_per_core",
        "output_memory_config",
        "is_out_tiled",
        "config_tensors_in_dram",
    ),
}
_NAMED = re.compile(r"'(\w+?)_?': '([^']*)'")
_TOKEN = re.compile(r"[(){}\[\]<>,;]")
_KEY = re.compile(r"\s*(\w+)\s*=(?!=)")
# Graph capture's core grids lack a closing brace; no field is read from a memory configuration.
_MEMORY_CONFIG = re.compile(r"MemoryConfig\([^()]*\)")
_NUMBER = re.compile(r"-?\d+")
_FIDELITY = re.compile(r"math_fidelity(?:=|': ')(\w+)")
_CONFIG_FLAG = {
    name: re.compile(name + r"(?:=|': ')(\w+)") for name in ("fp32_dest_acc_en", "packer_l1_acc")
}
_OPENING = "({[<"
_CLOSING = ")}]>"


@lru_cache(maxsize=65536)
def fields(text: str) -> Mapping[str, str]:
    """Return the named fields of an attribute text; empty where the text has none."""
    if text.lstrip().startswith("{'"):
        return dict(_NAMED.findall(text))
    return members(_MEMORY_CONFIG.sub("MemoryConfig()", text))


@lru_cache(maxsize=65536)
def members(text: str) -> Mapping[str, str]:
    """Return the members of one ``Name(...)`` text, named or by position."""
    head, _, rest = text.partition("(")
    names = _POSITIONAL_FIELDS.get(head.strip(), ())
    found = {}
    for place, part in enumerate(_split(rest[: rest.rfind(")")])):
        key = _KEY.match(part)
        if key:
            found[key[1]] = part[key.end() :].strip()
        elif place < len(names):
            found[names[place]] = part.strip()
    return found


def _split(text: str) -> list[str]:
    """Cut at commas or semicolons that no bracket encloses."""
    parts, depth, start = [], 0, 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in _OPENING:
            depth += 1
        elif token in _CLOSING:
            depth -= 1
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    return parts


def numbers(text: str) -> tuple[int, ...]:
    """Return the integers in a text, in order."""
    return tuple(map(int, _NUMBER.findall(text)))


def pair_of(text: str) -> tuple[int, int]:
    """Return the first two integers of a text, such as the height and width of a window."""
    one, other = numbers(text)[:2]
    return one, other


def flag(text: str | None) -> bool:
    """Read a boolean: ``true``/``1``, anything else is false."""
    return text in ("true", "1")


def word(text: str) -> str:
    """Return what follows the last ``::``."""
    return text.rpartition("::")[2]


def fidelity_of(attributes: str) -> Fidelity:
    """Return the math fidelity in an op's attributes; ttnn's default is HiFi4."""
    match = _FIDELITY.search(attributes)
    return Fidelity(match[1]) if match and match[1] != "Invalid" else Fidelity.HIFI4


def config_flag(attributes: str, name: str) -> bool:
    """Return a flag of the compute-kernel configuration, false where it is not named."""
    match = _CONFIG_FLAG[name].search(attributes)
    return match is not None and flag(match[1])


def sliding_window_text(attributes: str) -> str:
    """Return the ``SlidingWindowConfig(...)`` in an attribute text, empty if there is none.

    Pools print their attributes without the structure's name, so no field leads to it.
    """
    start = attributes.find("SlidingWindowConfig(")
    if start < 0:
        return ""
    depth = 0
    for match in _TOKEN.finditer(attributes, start):
        depth += (match[0] == "(") - (match[0] == ")")
        if depth == 0 and match[0] == ")":
            return attributes[start : match.end()]
    return ""


_SUFFIX = re.compile(r"(?:DeviceOperation|Operation|Op)$")


@lru_cache(maxsize=4096)
def plain_code(code: str) -> str:
    """Return an op code without namespace and suffix, in lower case."""
    return _SUFFIX.sub("", word(code).strip()).lower()
