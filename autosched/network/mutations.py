"""Where a module writes into its own parameters: torch.export does not say."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from autosched.network.naming import source_of_call


class _Writes(TorchDispatchMode):
    """Notes the place of the first operator that writes into some memory."""

    def __init__(self, memory: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory = memory
        self.place: str = ""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        written = args[0] if args and func._schema.is_mutable else None
        if not self.place and isinstance(written, torch.Tensor):
            name = self.memory.get(written.untyped_storage().data_ptr())
            if name is not None:
                self.place = f"{source_of_call()} ({name})"
        return func(*args, **(kwargs or {}))


def first_written_parameter(module: nn.Module, inputs: Sequence[torch.Tensor]) -> str:
    """Run a module, and return the place and name of the first parameter it changes, or ""."""
    owned = [*module.named_parameters(), *module.named_buffers()]
    memory = {tensor.untyped_storage().data_ptr(): name for name, tensor in owned}
    writes = _Writes(memory)
    with writes, torch.no_grad():
        module(*(tensor.clone() for tensor in inputs))
    return writes.place
