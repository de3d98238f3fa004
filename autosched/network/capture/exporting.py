"""torch.export, with its failures turned into one message and aliased mutation made explicit."""

import contextlib
import inspect
import io
import logging
import os
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch._subclasses import fake_tensor
from torch.export import ExportedProgram
from torch.fx import Node, Tracer
from torch.fx.experimental import proxy_tensor
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from autosched.errors import AutoschedError, NetworkFileError, UnsupportedOperatorError
from autosched.network.source_places import source_in_text, source_of_call, source_of_error
from autosched.user_code import is_of_the_user, process_kept

# PyTorch annotates these as new tensors, but in eval mode they return their input itself.
_HIDDEN_ALIASES = ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout")
_MOST_VALUES = 4096
"""Of a constant whose values may decide: lists of places and sizes are shorter."""
_MOST_FRACTIONS = 64
"""Of a buffer of floats that may decide: a rate for each layer, not weights."""
_RANGES = (torch.arange, torch.linspace)


def export_program(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], name: str
) -> ExportedProgram:
    """Export ``module`` in the inference form of ATen, with static shapes.

    Raises:
        NetworkFileError: The module itself raises on these inputs.
        UnsupportedOperatorError: Control flow or shapes depend on the values of tensors, or
            PyTorch cannot export the module for another reason.
    """
    try:
        with export_quiet(), torch.no_grad(), process_kept(), _calls_may_raise():
            program = _exported(module, inputs)
            if mutates_an_alias(program):
                program = program.run_decompositions({})
    except BaseException as error:
        if not is_of_the_user(error):
            raise
        with export_quiet():
            translated = _translated(error, module, inputs, name)
        raise translated from None
    return program


def _exported(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    """Export a module; where values decide, once more with all known that no input decides.

    Such are the strides that EnCodec keeps as buffers, lists of places that are tensors, and the
    rate of masks by which EoMT's layers decide; floats only where integers do not do.
    """
    try:
        return torch.export.export(module, inputs, strict=False)
    except GuardOnDataDependentSymNode as error:
        failure = error
    for most_fractions in (0, _MOST_FRACTIONS):
        with (
            _known_buffers(module, most_fractions) as known,
            _values_of_constants(),
            _Lifted(known),
        ):
            try:
                return torch.export.export(module, inputs, strict=False)
            except GuardOnDataDependentSymNode as error:
                failure = error
            except Exception:  # of what was made known: the first words say more
                break
    raise failure from None


@contextlib.contextmanager
def _calls_may_raise() -> Iterator[None]:
    """Let a model catch for a while what a call of a submodule raises, as SpeechBrain's do.

    PyTorch keeps a stack of the modules that are called, and takes off it what returns alone.
    """
    before = Tracer.call_module

    def call_module(tracer: Tracer, *call: Any) -> Any:
        depth = len(tracer.module_stack)
        try:
            return before(tracer, *call)
        except BaseException:
            while len(tracer.module_stack) > depth:
                tracer.module_stack.popitem()
            raise

    Tracer.call_module = call_module  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Tracer.call_module = before  # type: ignore[method-assign]


@contextlib.contextmanager
def _known_buffers(module: nn.Module, most_fractions: int) -> Iterator[dict[int, torch.Tensor]]:
    """Make a module's small buffers attributes for a while, whose values are known.

    Those of norms stay what they are: they are no settings, but weights.
    """
    before = [(part, dict(part._buffers)) for part in module.modules()]
    known: dict[int, torch.Tensor] = {}
    try:
        for part, buffers in before:
            most = 0 if hasattr(part, "running_mean") else most_fractions
            for name, tensor in buffers.items():
                if tensor is not None and _is_small(tensor, most):
                    del part._buffers[name]
                    part.__dict__[name] = known[id(tensor)] = tensor
        yield known
    finally:
        for part, buffers in before:
            for name in buffers.keys() - part._buffers.keys():
                del part.__dict__[name]
            part._buffers.clear()
            part._buffers.update(buffers)


def _is_small(tensor: torch.Tensor, most_fractions: int) -> bool:
    has_fractions = tensor.is_floating_point() or tensor.is_complex()
    return tensor.numel() <= (most_fractions if has_fractions else _MOST_VALUES)


@contextlib.contextmanager
def _values_of_constants() -> Iterator[None]:
    """Have PyTorch compute with the values of larger constants than single numbers for a while."""
    before = [(place, place.CONSTANT_NUMEL_LIMIT) for place in (fake_tensor, proxy_tensor)]
    try:
        for place, _ in before:
            place.CONSTANT_NUMEL_LIMIT = _MOST_VALUES  # type: ignore[attr-defined]
        yield
    finally:
        for place, limit in before:
            place.CONSTANT_NUMEL_LIMIT = limit  # type: ignore[attr-defined]


class _Lifted(TorchFunctionMode):
    """Takes some tensors, and ranges, for what torch.tensor makes: their values are known."""

    def __init__(self, known: Mapping[int, torch.Tensor]) -> None:
        super().__init__()
        self._known = known

    def __torch_function__(
        self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        args, kwargs = tree_map(self._lifted, (tuple(args), kwargs or {}))
        if func not in _RANGES:
            return func(*args, **kwargs)
        with fake_tensor.unset_fake_temporarily(), proxy_tensor.disable_proxy_modes_tracing():
            made = func(*args, **kwargs)
        return torch.ops.aten.lift_fresh(made)

    def _lifted(self, value: Any) -> Any:
        return torch.ops.aten.lift_fresh(value) if id(value) in self._known else value


def mutates_an_alias(program: ExportedProgram) -> bool:
    """Whether an in-place operator changes a tensor that is read later under another name.

    The exported graph shows such a mutation as a plain operator, so that reading it as a pure
    data flow would be wrong; decomposing makes it one.
    """
    nodes = list(program.graph.nodes)
    order = {node: index for index, node in enumerate(nodes)}
    families: dict[Node, list[Node]] = {}
    for node in nodes:
        base = shares_memory_with(node)
        family = families[node] = [] if base is None else families.get(base, [])
        if _is_in_place(node) and any(
            order[user] > order[node] for member in family for user in member.users
        ):
            return True
        family.append(node)
    return False


def shares_memory_with(node: Node) -> Node | None:
    """Return the argument whose memory the node's result shares, if it does."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not node.all_input_nodes:
        return None
    shares = any(value.alias_info for value in schema.returns) or schema.name in _HIDDEN_ALIASES
    return node.all_input_nodes[0] if shares else None


def _is_in_place(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable and shares_memory_with(node) is not None)


@contextlib.contextmanager
def export_quiet() -> Iterator[None]:
    """Keep torch.export's warnings and graph dumps off the user's terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _translated(
    error: BaseException, module: nn.Module, inputs: tuple[torch.Tensor, ...], name: str
) -> AutoschedError:
    """Say whose fault a failed export is: the module's own, or something export cannot trace."""
    try:
        with torch.no_grad(), process_kept():
            module(*(tensor.clone() for tensor in inputs))
    except BaseException as own:
        if not is_of_the_user(own):
            raise
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        return NetworkFileError(
            f"{name}: the model raises on inputs of shape {shapes}{_at(own)}: "
            f"{first_line(own)}. Correct the model or the input shape."
        )
    reason, advice = _why(error)
    where = _at(error)
    if _keeps_tensors(error) and (place := first_written_parameter(module, inputs)):
        reason, where = "it changes a parameter in each call", f" at {place}"
    return UnsupportedOperatorError(
        f"{name}: the model cannot be captured as a fixed graph{where}: {reason}. {advice}; "
        "rewrite that line, or move it out of the network."
    )


def _why(error: BaseException) -> tuple[str, str]:
    """Why an export failed, and what holds for networks instead."""
    if _suppresses(error):
        reason = "non-maximum suppression keeps as many boxes as the values say"
        return reason, "Give the part of the model before it, and call it on what that returns"
    if isinstance(error, GuardOnDataDependentSymNode):
        reason = "a branch, a loop or a shape depends on the values of a tensor"
        return reason, "Control flow and shapes must be the same for all values"
    if ".numpy()" in str(error):
        return "it leaves PyTorch for NumPy", "A network is made of PyTorch's operators alone"
    if _keeps_tensors(error):
        reason = "it keeps a computed tensor on a module, or changes a parameter through .data"
        return reason, "A call must leave the module as it was"
    return first_line(error), "Control flow and shapes must not depend on the values of tensors"


def _suppresses(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any("nms" in frame.name or "nms(" in (frame.line or "") for frame in frames)


def _keeps_tensors(error: BaseException) -> bool:
    return "fake tensor in the exported program" in str(error)


def first_line(error: BaseException) -> str:
    """An exception as one line: its type and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _at(error: BaseException) -> str:
    source = source_of_error(error) or source_in_text(str(error))
    return f" at {source}" if source else ""


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


_HOST_ADVICE = (
    "Create the model and its inputs on the CPU (map_location='cpu').",
    "It has no values: make it with model.to_empty(device='cpu') and load its parameters.",
)


def check_module(module: nn.Module, name: str) -> None:
    """Refuse what is in training mode, in whole or in part, quantized, or compiled by TorchScript.

    What torch.export made has its mode written into its graph.

    Raises:
        NetworkFileError: It, or a submodule of it, is.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise NetworkFileError(
            f"{name}: the model is a TorchScript module, which cannot be exported; "
            "give the torch.nn.Module that it was made from."
        )
    for path, part in module.named_modules():
        if ".nn.quantized" in type(part).__module__:
            kind = f"{type(part).__module__}.{type(part).__qualname__}"
            raise NetworkFileError(
                f"{name}: layer {path or 'model'} is a quantized module ({kind}); give the float "
                "model that it was made from: a schedule chooses the formats itself."
            )
        if part.training and not is_exported(module):
            where = f"its submodule {path}" if path else "the module"
            raise NetworkFileError(
                f"{name}: {where} is in training mode; call model.eval() before capturing it. If "
                f"that was done, something in {_class_place(module)} switches it back: a call of "
                "train() in forward(), or an eval() of its own."
            )


def is_exported(module: nn.Module) -> bool:
    """Return whether a module is what torch.export makes, of which train() and eval() raise."""
    return any(kind.__name__ == "_StatefulGraphModule" for kind in type(module).__mro__)


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
