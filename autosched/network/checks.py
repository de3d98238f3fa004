"""What a module and its inputs must be before they are captured."""

import inspect
import os
from collections.abc import Iterable

import torch
from torch import nn

from autosched.errors import NetworkFileError

_HOST_ADVICE = (
    "Create the model and its inputs on the CPU (map_location='cpu').",
    "It has no values: make it with model.to_empty(device='cpu') and load its parameters.",
)


def check_module(module: nn.Module, name: str) -> None:
    """Refuse a module that is in training mode, in whole or in part, or compiled by TorchScript.

    Raises:
        NetworkFileError: It, or a submodule of it, is.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise NetworkFileError(
            f"{name}: the model is a TorchScript module, which cannot be exported; "
            "give the torch.nn.Module that it was made from."
        )
    for path, part in module.named_modules():
        if part.training:
            where = f"its submodule {path}" if path else "the module"
            raise NetworkFileError(
                f"{name}: {where} is in training mode; call model.eval() before capturing it. If "
                f"that was done, something in {_class_place(module)} switches it back: a call of "
                "train() in forward(), or an eval() of its own."
            )


def _class_place(module: nn.Module) -> str:
    """Return a module's class with the place where it is written."""
    kind = type(module)
    try:
        file, (_, line) = inspect.getsourcefile(kind), inspect.getsourcelines(kind)
    except (OSError, TypeError):
        return kind.__name__
    return f"{kind.__name__} ({os.path.basename(file or '')}:{line})"


def check_tensors(module: nn.Module, inputs: tuple[torch.Tensor, ...], name: str) -> None:
    """Refuse parameters, buffers and inputs that are not float32 in the memory of the host.

    Integer buffers (such as a batch norm's counter) are left alone.

    Raises:
        NetworkFileError: One is of another format or on another device.
    """
    _check(((f"example input {i}", x) for i, x in enumerate(inputs)), name, integers=False)
    _check(((f"parameter {path}", x) for path, x in module.named_parameters()), name, False)
    _check(((f"buffer {path}", x) for path, x in module.named_buffers()), name, integers=True)


def _check(tensors: Iterable[tuple[str, torch.Tensor]], name: str, integers: bool) -> None:
    for what, tensor in tensors:
        if tensor.device.type != "cpu":
            raise NetworkFileError(
                f"{name}: {what} is on device '{tensor.device}'; autosched captures on the host. "
                f"{_HOST_ADVICE[tensor.device.type == 'meta']}"
            )
        is_integer = not (tensor.is_floating_point() or tensor.is_complex())
        if tensor.dtype != torch.float32 and not (integers and is_integer):
            raise NetworkFileError(
                f"{name}: {what} is {tensor.dtype}; capture takes torch.float32 (the schedule "
                f"chooses the formats on the device). {_float_advice(tensor)}"
            )


def _float_advice(tensor: torch.Tensor) -> str:
    if tensor.is_complex():
        return "Give real and imaginary parts as channels (torch.view_as_real)."
    if tensor.is_floating_point():
        return "Convert it with .float()."
    return (
        "Convert it with .float(), or look indices up before the network and give what they name."
    )
