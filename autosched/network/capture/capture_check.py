"""Whether a captured network computes what its module computes: both run in PyTorch, compared.

Once with the parameters as they are and once with drawn ones, since fresh norms, zero biases and
heads dominated by their biases hide what is lost on the way to them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node
from torch.utils._pytree import tree_leaves

from autosched.errors import NetworkFileError, UnsupportedOperatorError, WrongCaptureError
from autosched.network.capture.exporting import export_program
from autosched.network.capture.program_capture import CapturedProgram, capture_program
from autosched.network.graph import Layer, Network
from autosched.network.multiplications import multiplications
from autosched.network.operators import HostOp, Input, Output
from autosched.network.reference import evaluate_layer, evaluate_network, evaluate_output
from autosched.user_code import is_of_the_user, process_kept

LIMIT = 1e-3
"""How much of the spread of a tensor's values may be another: far above float32's rounding."""
_SEED = 0
# What takes PyTorch minutes on a few cores is not run for a check.
_MOST_MULTIPLICATIONS = 400e9
_MOST_FOR_DRAWN = 150e9
_ROUNDING = 1e-5
# So often the rounding of what a host layer reads is drawn; so many may be ties all the same.
_TREMORS = 8
_MOST_APART = 0.01
# Below it float32 has fewer digits: PyTorch's convolutions may take such values for zero.
_SMALLEST = torch.finfo(torch.float32).tiny
# A tensor whose values lie closer together than this, relative to them, is all rounding.
_FLAT = 1e-2


@dataclass(frozen=True)
class CaptureCheck:
    """How far a captured network is from its module, as a share of the spread of the outputs.

    ``difference`` is with the module's parameters, ``drawn`` with drawn ones; None where that was
    left out: it would take minutes, or the module makes no numbers, or no network, with those.
    """

    difference: float | None = None
    drawn: float | None = None


def check_capture(
    module: nn.Module,
    example_inputs: Sequence[torch.Tensor],
    captured: CapturedProgram,
    *,
    allow_host: bool = False,
) -> CaptureCheck:
    """Evaluate a captured network beside its module on seeded inputs.

    The module's parameters are changed in the meantime, and put back.

    Raises:
        WrongCaptureError: They differ; the message names the first layer that does.
    """
    work = sum(_multiplications(captured.network))
    if work > _MOST_MULTIPLICATIONS:
        return CaptureCheck()
    inputs, truth = _told(module, example_inputs)
    difference = _compared(captured, inputs, truth)
    if work > _MOST_FOR_DRAWN:
        return CaptureCheck(difference)
    with drawn_parameters(module):
        return CaptureCheck(difference, _compared_anew(module, inputs, captured, allow_host))


def check_packing(network: Network, packed: Network) -> float | None:
    """Evaluate a network beside itself with images packed into channels, and return how far it is.

    None where they are not packed, or it would take minutes.

    Raises:
        WrongCaptureError: They differ.
    """
    is_long = sum(_multiplications(packed)) > _MOST_MULTIPLICATIONS
    if packed.packing.images == network.packing.images or is_long:
        return None
    generator = torch.Generator().manual_seed(_SEED)
    shapes = [network.caller_shape(layer) for layer in network if isinstance(layer.op, Input)]
    inputs = [torch.randn(shape, generator=generator) for shape in shapes]
    worst = _worst(evaluate_network(packed, inputs), evaluate_network(network, inputs))
    if worst <= LIMIT:
        return worst
    raise WrongCaptureError(
        f"{network.name}: with {packed.packing.images} images packed into channels its outputs "
        f"differ by {worst:.2g} of their spread. Go on without, by --pack-images 1, and report it"
    )


def _multiplications(network: Network) -> Iterator[int]:
    for layer in network:
        yield multiplications(layer.op, network.input_shapes(layer), layer.shape)


def _told(
    module: nn.Module, example_inputs: Sequence[torch.Tensor]
) -> tuple[tuple[torch.Tensor, ...], list[torch.Tensor]]:
    """Inputs and what the module makes of them: numbers of normally distributed ones if it can."""
    generator = torch.Generator().manual_seed(_SEED)
    drawn = tuple(torch.randn(item.shape, generator=generator) for item in example_inputs)
    truth = _numbers(module, drawn)
    if truth is not None:
        return drawn, truth
    return tuple(example_inputs), _results(module, example_inputs)


def _numbers(module: nn.Module, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor] | None:
    """What a module makes of inputs that it was not written for; None if that is no numbers."""
    try:
        results = _results(module, inputs)
    except BaseException as error:
        if not is_of_the_user(error):
            raise
        return None
    return results if all(bool(item.isfinite().all()) for item in results) else None


def _results(module: nn.Module, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad(), process_kept():
        result = module(*(item.clone() for item in inputs))
    return [item for item in tree_leaves(result) if isinstance(item, torch.Tensor)]


def _compared(
    captured: CapturedProgram,
    inputs: Sequence[torch.Tensor],
    truth: Sequence[torch.Tensor],
    hint: str = "",
) -> float:
    """Return the largest difference of the outputs.

    Raises:
        WrongCaptureError: It is no matter of rounding.
    """
    found = evaluate_network(captured.network, [item.clone() for item in inputs])
    worst = _worst(found, truth)
    if worst <= LIMIT:
        return worst
    guilty = _first_that_differs(captured, inputs, truth)
    if guilty is None:  # each layer alone is right: rounding that the layers after it enlarge
        return worst
    raise WrongCaptureError(_message(captured.network, worst, guilty, hint))


def _compared_anew(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], captured: CapturedProgram, allow_host: bool
) -> float | None:
    """Compare with the parameters that the module has now; None if those make no network."""
    truth = _numbers(module, inputs)
    if truth is None:
        return None
    program, name = captured.program, captured.network.name
    try:
        if not _shares_memory(program, module):
            program = export_program(module, inputs, name)
        again = capture_program(program, name, allow_host=allow_host)
    except (NetworkFileError, UnsupportedOperatorError):  # it depends on what is in them
        return None
    return _compared(again, inputs, truth, " with drawn parameters")


def _shares_memory(program: ExportedProgram, module: nn.Module) -> bool:
    own = {tensor.data_ptr() for tensor in module.state_dict().values()}
    return all(tensor.data_ptr() in own for tensor in program.state_dict.values())


def _worst(found: Sequence[torch.Tensor], truth: Sequence[torch.Tensor]) -> float:
    if len(found) != len(truth):
        return float("inf")
    return max((difference(*pair) for pair in zip(found, truth, strict=True)), default=0.0)


def difference(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the largest difference of two tensors, as a share of how far the truth spreads.

    Infinite where their shapes, their types or their infinite values differ, or any of their
    indices or masks.
    """
    if (found.shape, found.dtype) != (truth.shape, truth.dtype):
        return float("inf")
    if truth.is_complex():
        found, truth = torch.view_as_real(found), torch.view_as_real(truth)
    if not truth.is_floating_point():
        return 0.0 if torch.equal(found, truth) else float("inf")
    finite = truth.isfinite()
    if not torch.equal(finite, found.isfinite()):
        return float("inf")
    ours, theirs = found[finite].double(), truth[finite].double()
    if not ours.numel():
        return 0.0
    spread = max(float((theirs - theirs.mean()).abs().max()), _FLAT * float(theirs.abs().max()))
    largest = float((ours - theirs).abs().max())
    if largest < _SMALLEST:
        return 0.0
    return largest / spread if spread else float("inf") if largest else 0.0


class _Values(Interpreter):
    """Runs a program and keeps what some of its nodes make."""

    def __init__(self, program: ExportedProgram, wanted: set[Node]) -> None:
        super().__init__(program.graph_module)
        self.values: dict[Node, torch.Tensor] = {}
        self._wanted = wanted

    def run_node(self, n: Node) -> Any:
        """Run one node."""
        result = super().run_node(n)
        if n in self._wanted:
            # Later nodes may write into it.
            self.values[n] = result.detach().clone()
        return result


def _first_that_differs(
    captured: CapturedProgram, inputs: Sequence[torch.Tensor], truth: Sequence[torch.Tensor]
) -> Layer | None:
    """Return the first layer that makes something else of its true inputs, None without one."""
    network = captured.network
    made = _true_values(captured, inputs)
    values: dict[str, torch.Tensor] = {}
    waiting, expected = list(inputs), list(truth)
    for layer in network:
        sources = [values[name] for name in layer.inputs]
        if isinstance(layer.op, Input):
            values[layer.name] = waiting.pop(0)
            continue
        made_by = partial(_evaluated, network, layer)
        ours = made_by(sources)
        if isinstance(layer.op, Output):
            own = expected.pop(0) if expected else None
        else:
            own = made.get(layer.name)
        if own is not None and _differs(ours, own, sources):
            is_rounding = isinstance(layer.op, HostOp) and _is_rounding(ours, own, made_by, sources)
            if not is_rounding:
                return layer
        values[layer.name] = ours if own is None else own
    return network.layers[-1] if expected else None


def _evaluated(network: Network, layer: Layer, sources: Sequence[torch.Tensor]) -> torch.Tensor:
    evaluate = evaluate_output if isinstance(layer.op, Output) else evaluate_layer
    with torch.no_grad():
        return evaluate(layer, sources, network.weights.get(layer.name))


def _is_rounding(
    ours: torch.Tensor,
    truth: torch.Tensor,
    made_by: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    sources: Sequence[torch.Tensor],
) -> bool:
    """Whether a host layer's result differs only where rounding of what it reads decides it.

    Of near ties, an index may turn over at the least change of a value.
    """
    if (ours.shape, ours.dtype) != (truth.shape, truth.dtype):
        return False
    generator = torch.Generator().manual_seed(_SEED)
    apart = _apart(ours, truth)
    for _ in range(_TREMORS):
        apart &= ~_apart(made_by([_trembled(item, generator) for item in sources]), ours)
    return int(apart.sum()) <= _MOST_APART * apart.numel()


def _apart(values: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return which elements are others, but for a share of the largest."""
    if not truth.is_floating_point():
        return values != truth
    size = float(truth[truth.isfinite()].abs().max()) if truth.isfinite().any() else 0.0
    return ~torch.isclose(values, truth, rtol=0.0, atol=LIMIT * size, equal_nan=True)


def _trembled(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return values moved by some of their rounding."""
    size = float(values.abs().max()) if values.numel() else 0.0
    return values + _ROUNDING * size * torch.randn(values.shape, generator=generator)


def _differs(ours: torch.Tensor, truth: torch.Tensor, sources: Sequence[torch.Tensor]) -> bool:
    """Whether a layer makes something else of its inputs; values that cancel out are rounding."""
    if difference(ours, truth) <= LIMIT:
        return False
    if (ours.shape, ours.dtype) != (truth.shape, truth.dtype) or not truth.is_floating_point():
        return True
    size = max((float(item.abs().max()) for item in sources if item.numel()), default=0.0)
    # Whatever is not finite is no rounding.
    return not float((ours - truth).abs().max()) <= _ROUNDING * size


def _true_values(
    captured: CapturedProgram, inputs: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """What each layer should make, by the program's nodes."""
    program = captured.program
    wanted = {node for node, _ in captured.made.values()}
    with torch.no_grad():
        run = _Values(program, wanted)
        run.run(*_arguments(program, inputs))
    return {
        name: view.rearrangement_of(run.values[node])
        for name, (node, view) in captured.made.items()
    }


def _arguments(program: ExportedProgram, inputs: Sequence[torch.Tensor]) -> Iterator[Any]:
    """What a program's graph takes: parameters, buffers and inputs, in its order."""
    waiting = iter(inputs)
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            yield next(waiting).clone()
        elif spec.target in program.state_dict:
            yield program.state_dict[spec.target]
        else:
            yield program.constants[str(spec.target)]


def _message(network: Network, worst: float, guilty: Layer, hint: str) -> str:
    where = f" at {guilty.source}" if guilty.source else ""
    return (
        f"{network.name}: the captured network computes something else than the model{hint}: the "
        f"outputs differ by {worst:.2g} of their spread ({LIMIT:g} allowed), first in layer "
        f"{guilty.name} ({type(guilty.op).__name__}){where}. This is a fault of autosched: please "
        "report it with the lines around that place. Written in another way they may be captured "
        "rightly; --no-check (in Python: check=False) searches the wrong network all the same."
    )


_STATISTICS = ("running_mean", "running_var")
_SMALL = 0.1


@contextmanager
def drawn_parameters(module: nn.Module, seed: int = _SEED) -> Iterator[None]:
    """Give a module other parameters and statistics of norms, drawn near its own, for a while."""
    generator = torch.Generator().manual_seed(seed)
    own = dict(module.named_parameters()) | {
        name: item
        for name, item in module.named_buffers()
        if name.rpartition(".")[2] in _STATISTICS
    }
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        with torch.no_grad():
            for name, tensor in own.items():
                before = tensor.clone()
                # What shares memory with itself, or was made for inference alone, stays.
                with suppress(RuntimeError):
                    tensor.copy_(_drawn(name, tensor, generator))
                    kept.append((tensor, before))
        yield
    finally:
        with torch.no_grad():
            for tensor, before in kept:
                tensor.copy_(before)


def _drawn(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Values near a tensor's own; where all of them are alike, other ones of that size."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(tensor.shape, generator=generator) * (high - low) + low

    if name.endswith("running_var"):
        return uniform(0.5, 2.0)
    if name.endswith("running_mean"):
        return uniform(-0.5, 0.5)
    value = float(tensor.flatten()[0]) if tensor.numel() else 0.0
    if abs(value) >= _SMALL or bool((tensor != value).any()):
        return torch.mul(tensor, uniform(0.5, 1.5))
    if value:  # scales of layers that training has only begun
        return uniform(0.1, 0.3)
    inner = max(tensor.numel() // len(tensor), 1) if tensor.dim() > 1 else 4
    return uniform(-1.0, 1.0) / math.sqrt(inner)
