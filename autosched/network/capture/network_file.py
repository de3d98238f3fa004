"""A user's ``net.py``: the module to schedule, and the inputs it is scheduled for.

The file is ordinary Python. It defines a ``torch.nn.Module`` (an instance, a class, or a function
without arguments) under the name ``model``, ``network`` or ``build_model``, or under another name
given as ``net.py:name``; and ``example_inputs`` (a tensor or a tuple of tensors) or
``input_shape`` (a tuple of integers, or a tuple of such tuples for several inputs). A function
``calibration_inputs`` may return real ones, of the same shapes, to compare results on; more images
than a batch are more batches, which formats are judged on and not chosen by. A function
``metric(outputs, reference)`` is a figure of the user's own, the higher the better, and
``metric_floor`` what it has to be at least.
``input_layout`` and ``output_layout`` may say in which order of elements images come and are wanted
on the device, "nhwc" or "device" (:mod:`autosched.network.ends`).

A ``.pt2`` file, which ``torch.export.save`` writes, has the module and its inputs in itself.
"""

import importlib.util
import inspect
import os
import reprlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from autosched.errors import NetworkFileError
from autosched.network.capture.exporting import (
    check_tensors,
    export_quiet,
    first_line,
    is_exported,
)
from autosched.network.capture.file_inputs import (
    check_size,
    further_batches,
    memory_of_inputs,
    read_calibration_inputs,
    read_inputs,
    read_metric,
    user_code,
    with_batch,
)
from autosched.network.ends import NCHW, ORDERS, Ends
from autosched.network.graph import Network
from autosched.user_code import is_of_the_user, process_kept

MODULE_NAMES = ("model", "network", "build_model")
EXPORTED = ".pt2"
"""How the names of files end that torch.export.save writes."""
_SEED = 0
_IMAGE_DIMS = 4


@dataclass(frozen=True)
class LoadedFile:
    """What a network file defines: a module in eval mode, its inputs, and the file's stem.

    ``calibration_inputs`` are those to compare results on: the example's, where the file has none.
    ``held_out`` are further batches of them. ``ends`` are the orders of elements that the file asks
    for on the device. ``metric`` is called with the outputs and the reference, a tensor each or a
    tuple of them.
    """

    module: nn.Module
    example_inputs: tuple[torch.Tensor, ...]
    name: str
    path: Path
    calibration_inputs: tuple[torch.Tensor, ...] = ()
    ends: Ends = field(default_factory=Ends)
    held_out: tuple[tuple[torch.Tensor, ...], ...] = ()
    metric: Callable[[Any, Any], float] | None = None
    metric_floor: float | None = None

    def with_samples(self, network: Network) -> Network:
        """Return a network with what its accuracy is judged on, and by."""
        return replace(
            network,
            samples=self.calibration_inputs,
            held_out=self.held_out,
            metric=self.metric,
        )


def load_network_file(path: str, batch: int | None = None) -> LoadedFile:
    """Run a network file and check that its module accepts its inputs.

    Args:
        path: "net.py", "net.py:name" to say which object is the module, or "net.pt2".
        batch: Replaces the leading dimension of every input, by repeating or cutting it.

    Raises:
        NetworkFileError: Anything is wrong with the file, its module or its inputs.
    """
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise NetworkFileError(f"{path}: the batch size must be an integer >= 1, not {batch!r}.")
    file, attribute = split_path(path)
    with _importable(file.resolve().parent), torch.random.fork_rng(devices=()):
        # Weights drawn by the file itself are then the same in every process that loads it.
        torch.manual_seed(_SEED)
        is_program = file.suffix == EXPORTED
        namespace = _exported(file) if is_program else vars(_imported(file))
        module = _in_evaluation(_module(file, namespace, attribute))
    inputs = read_inputs(file, namespace)
    real = read_calibration_inputs(file, namespace, inputs)
    if batch is not None:
        for tensor in inputs:
            check_size(file, (batch, *tensor.shape[1:]))
        with memory_of_inputs(file):
            inputs = tuple(with_batch(tensor, batch) for tensor in inputs)
    with memory_of_inputs(file):
        held_out = further_batches(real, inputs)
        real = tuple(with_batch(item, len(one)) for item, one in zip(real, inputs, strict=True))
    check_tensors(module, inputs, file.name)
    _check_accepted(file, module, inputs)
    metric, floor = read_metric(file, namespace)
    return LoadedFile(
        module,
        inputs,
        file.stem,
        file,
        real,
        _ends(file, namespace),
        held_out,
        metric,
        floor,
    )


def with_smaller_images(loaded: LoadedFile, side: int) -> LoadedFile:
    """Return a file's module with the first ``side`` rows and columns of its images (N, C, H, W).

    Whether the module accepts them shows when it is captured.
    """
    inputs, real, *held_out = (
        tuple(
            tensor[..., :side, :side].contiguous() if tensor.dim() == _IMAGE_DIMS else tensor
            for tensor in tensors
        )
        for tensors in (loaded.example_inputs, loaded.calibration_inputs, *loaded.held_out)
    )
    return replace(loaded, example_inputs=inputs, calibration_inputs=real, held_out=tuple(held_out))


def split_path(path: str) -> tuple[Path, str | None]:
    """Separate "net.py:name", and check that the file can be a Python file.

    Raises:
        NetworkFileError: if it cannot.
    """
    text, _, attribute = path.rpartition(":")
    named = bool(text) and attribute.isidentifier() and not os.path.exists(path)
    file = Path(text if named else path)
    _check_name(file)
    if file.is_dir():
        raise NetworkFileError(f"{file} is a directory; give the Python file in it (net.py).")
    if not file.exists():
        raise NetworkFileError(f"{file} does not exist; give the path of a network file (net.py).")
    if file.suffix not in {".py", EXPORTED}:
        raise NetworkFileError(
            f"{file} is neither a Python file (.py) nor an exported program ({EXPORTED}); write "
            "one that defines `model` and `input_shape`."
        )
    return file, attribute if named else None


def _check_name(file: Path) -> None:
    try:
        file.stat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NetworkFileError(f"{file} cannot be read: {why}; name another file.") from None


def _exported(file: Path) -> dict[str, Any]:
    """What a file that torch.export.save wrote defines: its module, and the inputs it has."""
    try:
        with export_quiet(), process_kept():
            program = torch.export.load(file)
    except BaseException as error:
        if not is_of_the_user(error):
            raise
        raise NetworkFileError(
            f"{file.name} cannot be read by torch.export.load of PyTorch {torch.__version__}: "
            f"{first_line(error)}. Write it again with torch.export.save of this version."
        ) from None
    positional, by_name = program.example_inputs or ((), {})
    if by_name or not positional:
        raise NetworkFileError(
            f"{file.name} has no example inputs, or such by name; export the module with "
            "torch.export.export(module, inputs), inputs being a tuple of tensors."
        )
    return {"model": program.module(), "example_inputs": tuple(positional)}


def _in_evaluation(module: nn.Module) -> nn.Module:
    return module if is_exported(module) else module.eval()


def _imported(file: Path) -> ModuleType:
    """Run the file as a module."""
    name = f"_autosched_network_file_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None  # noqa: S101 - true for every path that ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with user_code(file, "raises when it is run"):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Let the file import its neighbours, as Python does for scripts."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(str(directory))


def _module(file: Path, namespace: dict[str, Any], attribute: str | None) -> nn.Module:
    names = [name for name in MODULE_NAMES if name in namespace]
    if attribute is not None:
        if attribute not in namespace:
            raise NetworkFileError(
                f"{file.name} has no attribute '{attribute}'{_suggestion(file, namespace)}."
            )
        names = [attribute]
    if not names:
        raise NetworkFileError(
            f"{file.name} defines no torch.nn.Module under the names {', '.join(MODULE_NAMES)}"
            f"{_suggestion(file, namespace)}. Assign your module to `model`, or give its name."
        )
    if len({id(namespace[name]) for name in names}) > 1:
        raise NetworkFileError(
            f"{file.name} defines several candidates: {', '.join(names)}. "
            f"Say which one, as {file.name}:{names[0]}."
        )
    return _instance(file, names[0], namespace[names[0]])


def _suggestion(file: Path, namespace: dict[str, Any]) -> str:
    """Name the modules that the file itself defines."""
    found = [
        f"{file.name}:{name}"
        for name, value in namespace.items()
        if isinstance(value, nn.Module)
        or (_is_module_class(value) and value.__module__ == namespace["__name__"])
    ]
    return f" (it does define {', '.join(found)})" if found else ""


def _is_module_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)


def _instance(file: Path, name: str, value: Any) -> nn.Module:
    """The module itself, or what its class or function makes without arguments."""
    if isinstance(value, torch.export.ExportedProgram):
        value = value.module()
    if isinstance(value, nn.Module):
        return value
    if not callable(value) or (isinstance(value, type) and not _is_module_class(value)):
        raise NetworkFileError(
            f"{file.name}: `{name}` is of type {type(value).__name__}, not a torch.nn.Module, "
            "a class of one, or a function that returns one."
        )
    _check_no_arguments(file, name, value)
    with user_code(file, f"raises when `{name}()` is called"):
        made = value()
    if not isinstance(made, nn.Module):
        raise NetworkFileError(
            f"{file.name}: `{name}()` returns {type(made).__name__}; "
            "it must return a torch.nn.Module."
        )
    return made


def _check_no_arguments(file: Path, name: str, function: Any) -> None:
    parameters = inspect.signature(function).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]
    if needed:
        raise NetworkFileError(
            f"{file.name}: `{name}` needs arguments ({', '.join(needed)}); "
            f"give them defaults, or write `model = {name}(...)` in the file."
        )


def _ends(file: Path, namespace: dict[str, Any]) -> Ends:
    """Return the orders of elements that the file asks for, PyTorch's where it says nothing."""
    asked = {}
    for end, name in (("inputs", "input_layout"), ("outputs", "output_layout")):
        word = namespace.get(name, NCHW)
        if not isinstance(word, str) or word not in ORDERS:
            raise NetworkFileError(
                f"{file.name}: `{name}` is {reprlib.repr(word)}; it is one of {', '.join(ORDERS)}."
            )
        asked[end] = word
    return Ends(**asked)


def _check_accepted(file: Path, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Run the module once, so that a wrong shape is reported as PyTorch itself reports it."""
    # An exported program has its batch written into it.
    if not is_exported(module) and _accepts_two_images(module, inputs):
        return
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
    with user_code(file, f"has a model that rejects inputs of shape {shapes}"), torch.no_grad():
        module(*(tensor.clone() for tensor in inputs))


def _accepts_two_images(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> bool:
    """Return whether the module runs on the start of a large batch, which takes far less time.

    Two images rather than one, so that a batch of one written into the model shows.
    """
    batches = {tensor.shape[0] if tensor.dim() else 1 for tensor in inputs}
    if len(batches) != 1 or max(batches) <= 2:
        return False
    try:
        with torch.no_grad(), process_kept():
            module(*(tensor[:2].clone() for tensor in inputs))
    except BaseException as error:  # the whole batch has the last word, and the message
        if not is_of_the_user(error):
            raise
        return False
    return True
