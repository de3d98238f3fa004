"""What a network file says beside its module: inputs, real ones to judge on, and a figure.

Whatever of it is wrong, or raises, is one message that names the file.
"""

import math
import os
import reprlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from autosched.errors import NetworkFileError
from autosched.network.capture.exporting import first_line
from autosched.network.source_places import source_of_error
from autosched.user_code import is_of_the_user, process_kept

MOST_ELEMENTS = 1 << 30
"""Elements of one input: 2 GiB in bfloat16, of a board's 12 GB and more."""
_SEED = 0


@contextmanager
def user_code(file: Path, what: str) -> Iterator[None]:
    """Turn what the user's code raises into one message, also what would end the process."""
    try:
        with process_kept():
            yield
    except NetworkFileError:
        raise
    except SyntaxError as error:
        where = f"{os.path.basename(error.filename or file.name)}:{error.lineno}"
        message = f"{where}: {type(error).__name__}: {error.msg}. Correct this line."
        raise NetworkFileError(message) from None
    except BaseException as error:
        if not is_of_the_user(error):
            raise
        where = source_of_error(error, str(file.resolve())) or file.name
        raise NetworkFileError(
            f"{file.name} {what}, at {where}: {first_line(error)}. Correct it there."
        ) from None


def read_inputs(file: Path, namespace: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Return the example's inputs, or normally distributed ones of the shapes that are named.

    Raises:
        NetworkFileError: if the file has neither, or no such.
    """
    if "example_inputs" in namespace:
        return _given_inputs(file, namespace["example_inputs"])
    if "input_shape" in namespace:
        return _random_inputs(file, namespace["input_shape"])
    raise NetworkFileError(
        f"{file.name} defines neither `example_inputs` nor `input_shape`; "
        "add, for example, `input_shape = (1, 3, 224, 224)`."
    )


def read_calibration_inputs(
    file: Path, namespace: dict[str, Any], inputs: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    """Return what the file's function returns, the example's inputs where there is none.

    Raises:
        NetworkFileError: if it raises, or they are not of the network's shapes and types, or not
            finite.
    """
    function = namespace.get("calibration_inputs")
    if function is None:
        return inputs
    with user_code(file, "raises when `calibration_inputs()` is called"):
        found = _given_inputs(file, function(), "calibration_inputs()")
    shapes, wanted = ([tuple(tensor.shape[1:]) for tensor in group] for group in (found, inputs))
    if shapes != wanted:
        raise NetworkFileError(
            f"{file.name}: `calibration_inputs()` returns shapes {shapes} after the batch; the "
            f"network takes {wanted}."
        )
    types, wanted_types = ([tensor.dtype for tensor in group] for group in (found, inputs))
    if types != wanted_types:
        raise NetworkFileError(
            f"{file.name}: `calibration_inputs()` returns tensors of {_words(types)}; the network "
            f"takes {_words(wanted_types)}."
        )
    if any(_has_no_number(tensor) for tensor in found):
        raise NetworkFileError(
            f"{file.name}: `calibration_inputs()` returns numbers that are not finite; no accuracy "
            "can be judged on them."
        )
    return found


def _has_no_number(tensor: torch.Tensor) -> bool:
    is_real = tensor.is_floating_point() and tensor.device.type != "meta"
    return is_real and not bool(tensor.isfinite().all())


def _words(types: Sequence[torch.dtype]) -> str:
    return ", ".join(str(item).removeprefix("torch.") for item in types)


def further_batches(
    real: tuple[torch.Tensor, ...], inputs: tuple[torch.Tensor, ...]
) -> tuple[tuple[torch.Tensor, ...], ...]:
    """Return the whole batches after the first."""
    sizes = [len(tensor) for tensor in inputs]
    batches = min(len(tensor) // size for tensor, size in zip(real, sizes, strict=True))
    return tuple(
        tuple(
            tensor[number * size : (number + 1) * size]
            for tensor, size in zip(real, sizes, strict=True)
        )
        for number in range(1, batches)
    )


def read_metric(
    file: Path, namespace: dict[str, Any]
) -> tuple[Callable[[Any, Any], float] | None, float | None]:
    """Return the file's own figure, which names the file where it raises, and its floor.

    Raises:
        NetworkFileError: if they are no function and no number.
    """
    function, floor = namespace.get("metric"), namespace.get("metric_floor")
    if floor is not None and (
        isinstance(floor, bool) or not isinstance(floor, int | float) or not math.isfinite(floor)
    ):
        raise NetworkFileError(
            f"{file.name}: `metric_floor` is {_short(floor)}; it must be a finite number."
        )
    if function is None:
        if floor is not None:
            raise NetworkFileError(
                f"{file.name} defines `metric_floor`, but no `metric(outputs, reference)`."
            )
        return None, None
    if not callable(function):
        raise NetworkFileError(
            f"{file.name}: `metric` is of type {type(function).__name__}; it must be a function "
            "metric(outputs, reference) that returns a number."
        )

    def metric(outputs: Any, reference: Any) -> float:
        with user_code(file, "raises when `metric(outputs, reference)` is called"):
            found = float(function(outputs, reference))
        if math.isnan(found):
            raise NetworkFileError(
                f"{file.name}: `metric(outputs, reference)` returns NaN; it must be a number, the "
                "higher the better."
            )
        return found

    return metric, None if floor is None else float(floor)


def _given_inputs(file: Path, value: Any, name: str = "example_inputs") -> tuple[torch.Tensor, ...]:
    inputs = (value,) if isinstance(value, torch.Tensor) else value
    if (
        not isinstance(inputs, (tuple, list))
        or not inputs
        or not all(isinstance(x, torch.Tensor) and x.dim() and x.numel() for x in inputs)
    ):
        raise NetworkFileError(
            f"{file.name}: `{name}` must be a tensor or a tuple of tensors, "
            "each with a batch dimension and at least one element."
        )
    return tuple(tensor.detach() for tensor in inputs)


def _random_inputs(file: Path, value: Any) -> tuple[torch.Tensor, ...]:
    """Normally distributed inputs of the given shapes, the same in every run."""
    several = isinstance(value, (tuple, list)) and value and isinstance(value[0], (tuple, list))
    shapes = value if several else (value,)
    if not all(_is_shape(shape) for shape in shapes):
        raise NetworkFileError(
            f"{file.name}: `input_shape` is {_short(value)}; it must be a tuple of whole "
            "numbers >= 1, batch first, such as (1, 3, 224, 224), or a tuple of such tuples."
        )
    for shape in shapes:
        check_size(file, shape)
    generator = torch.Generator().manual_seed(_SEED)
    with memory_of_inputs(file):
        return tuple(torch.randn(tuple(shape), generator=generator) for shape in shapes)


@contextmanager
def memory_of_inputs(file: Path) -> Iterator[None]:
    """Say which file's inputs there is no memory for."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise NetworkFileError(
            f"{file.name}: its inputs cannot be made: {first_line(error)}. Use a smaller shape or "
            "--batch."
        ) from None


def check_size(file: Path, shape: Sequence[int]) -> None:
    """Refuse an input that no board has room for, before the memory of this machine is asked."""
    if math.prod(shape) > MOST_ELEMENTS:
        raise NetworkFileError(
            f"{file.name}: an input of shape {_shown(shape)} has more than {MOST_ELEMENTS:,} "
            "elements; no board has room for it. Use a smaller shape or --batch."
        )


def _short(value: object) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # Python does not print integers of several thousand digits
        return f"a {type(value).__name__}"


def _shown(shape: Sequence[int]) -> str:
    return f"({', '.join(str(size) if size < 10**15 else '10^15 or more' for size in shape)})"


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, (tuple, list))
        and bool(value)
        and all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in value)
    )


def with_batch(tensor: torch.Tensor, batch: int) -> torch.Tensor:
    """Return so many images: the first ones, or all again from the start."""
    if tensor.device.type == "meta":
        return tensor
    return tensor[torch.arange(batch) % tensor.shape[0]]
