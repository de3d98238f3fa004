"""torch.export, with its failures turned into one message and aliased mutation made explicit."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from autosched.errors import AutoschedError, NetworkFileError, UnsupportedOperatorError
from autosched.network.mutations import first_written_parameter
from autosched.network.naming import source_in_text, source_of_error

# PyTorch annotates these as new tensors, but in eval mode they return their input itself.
_HIDDEN_ALIASES = ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout")


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
        with _quiet(), torch.no_grad():
            program = torch.export.export(module, inputs, strict=False)
            if mutates_an_alias(program):
                program = program.run_decompositions({})
    except Exception as error:
        with _quiet():
            translated = _translated(error, module, inputs, name)
        raise translated from None
    return program


def mutates_an_alias(program: ExportedProgram) -> bool:
    """Whether an in-place operator changes a tensor that is read later under another name.

    The exported graph shows such a mutation as a plain operator, so that reading it as a pure
    data flow would be wrong; decomposing makes it one.
    """
    nodes = list(program.graph.nodes)
    order = {node: index for index, node in enumerate(nodes)}
    families: dict[Node, list[Node]] = {}
    for node in nodes:
        base = _aliased(node)
        family = families[node] = [] if base is None else families.get(base, [])
        if _is_in_place(node) and any(
            order[user] > order[node] for member in family for user in member.users
        ):
            return True
        family.append(node)
    return False


def _aliased(node: Node) -> Node | None:
    """The argument whose memory the node's result shares."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not node.all_input_nodes:
        return None
    shares = any(value.alias_info for value in schema.returns) or schema.name in _HIDDEN_ALIASES
    return node.all_input_nodes[0] if shares else None


def _is_in_place(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable and _aliased(node) is not None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
    error: Exception, module: nn.Module, inputs: tuple[torch.Tensor, ...], name: str
) -> AutoschedError:
    """Say whose fault a failed export is: the module's own, or something export cannot trace."""
    try:
        with torch.no_grad():
            module(*(tensor.clone() for tensor in inputs))
    except Exception as own:
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


def _why(error: Exception) -> tuple[str, str]:
    """Why an export failed, and what holds for networks instead."""
    if isinstance(error, GuardOnDataDependentSymNode):
        reason = "a branch, a loop or a shape depends on the values of a tensor"
        return reason, "Control flow and shapes must be the same for all values"
    if ".numpy()" in str(error):
        return "it leaves PyTorch for NumPy", "A network is made of PyTorch's operators alone"
    if _keeps_tensors(error):
        reason = "it keeps a computed tensor on a module, or changes a parameter through .data"
        return reason, "A call must leave the module as it was"
    return first_line(error), "Control flow and shapes must not depend on the values of tensors"


def _keeps_tensors(error: Exception) -> bool:
    return "fake tensor in the exported program" in str(error)


def first_line(error: BaseException) -> str:
    """An exception as one line: its type and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _at(error: Exception) -> str:
    source = source_of_error(error) or source_in_text(str(error))
    return f" at {source}" if source else ""
