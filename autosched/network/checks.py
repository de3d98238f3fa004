"""What a module and its inputs must be before they are captured."""

from collections.abc import Iterable

import torch
from torch import nn

from autosched.errors import NetworkFileError


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
                f"{name}: {where} is in training mode; call model.eval() before capturing it."
            )


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
                "Create the model and its inputs on the CPU (map_location='cpu')."
            )
        is_integer = not (tensor.is_floating_point() or tensor.is_complex())
        if tensor.dtype != torch.float32 and not (integers and is_integer):
            raise NetworkFileError(
                f"{name}: {what} is {tensor.dtype}; capture takes torch.float32 (the schedule "
                "chooses the formats on the device). Convert it with .float()."
            )
