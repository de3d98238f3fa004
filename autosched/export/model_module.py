"""A network and its schedule as one program of ttnn, with its weights in a file beside it.

Its calls are those that were noted when the network ran; what is written here is how they follow
each other, what their values are called, and what runs them.
"""

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autosched.boards import find_board
from autosched.export.config_module import header
from autosched.export.module_text import (
    LINE_LENGTH,
    MAIN,
    RUNNING,
    CallText,
    NodeText,
    assignment,
    definitions,
    flat_text,
    prose,
    quoted,
    statement,
)
from autosched.export.noted_calls import CallReader, CallWriter, NotedCall, inlined
from autosched.export.saving import TEXT_MARK
from autosched.export.ttcnn import IMPORTS, LOADER, TORCH_LAYER, builder_text
from autosched.export.variable_names import Made, Named, identifiers, named
from autosched.schedule.schedule import Provenance

_PARAMETER = re.compile(r'weights\["([^"]+)"\]')


@dataclass(frozen=True)
class NotedStep:
    """The noted calls of a layer, or of a change of layout before or after it.

    ``kind`` is "layer", "reshard" (of what ``layer`` takes) or "move" (of what it left); ``output``
    is the name of what a layer left.
    """

    layer: str
    kind: str
    lines: tuple[str, ...] = ()
    output: str = ""


@dataclass(frozen=True)
class RecordedModel:
    """The noted calls of a network: noted lines, and names or expressions of values in them.

    ``upload`` makes ``uploaded`` on the device of ``images[N]``, PyTorch's tensors of
    ``input_shapes``; ``steps`` make ``returned`` of ``inputs[N]``; ``read`` makes ``seen`` on the
    host of ``outputs[N]``. What stays on the device between runs was made by lines of ``first``.
    """

    input_shapes: tuple[tuple[int, ...], ...]
    upload: tuple[str, ...]
    uploaded: tuple[str, ...]
    first: tuple[str, ...]
    steps: tuple[NotedStep, ...]
    returned: tuple[str, ...]
    read: tuple[str, ...]
    seen: tuple[str, ...]

    def parameters(self) -> set[str]:
        """Return the names of the weights that its lines take."""
        lines = [*self.first, *(line for step in self.steps for line in step.lines)]
        return {name for line in lines for name in _PARAMETER.findall(line)}


def render_model(
    recorded: RecordedModel, made: Provenance, weights_file: str, form: str = "model"
) -> str:
    """Return the program's source; its weights are in ``weights_file``, in the same directory.

    As "ttcnn", its convolutions but for transposed ones are made by the TT-CNN builder.
    """
    reader, writer = CallReader(), CallWriter()
    kept = _kept(recorded, reader)
    words = [name for name, _ in kept.values()] + [step.layer for step in recorded.steps]
    known = identifiers(words)
    parameters = {value: known[name] for value, (name, _) in kept.items()}
    convolutions: list[str] | None = [] if form == "ttcnn" else None
    body = _body(recorded, reader, _Writers(writer, parameters, known, convolutions))
    building = [
        assignment(parameters[value], writer.text(call.expression, parameters), 1)
        for value, (_, call) in kept.items()
    ]
    imports = ["import os", "import time", "from pathlib import Path"]
    helper = _HELPER if " conv2d(" in body else ""
    sources = list(definitions(writer.helpers))
    if convolutions:
        imports = [*imports[:1], "import sys", imports[1], *IMPORTS, *imports[2:]]
        if "replace(" in "".join(convolutions):
            imports.insert(3, "from dataclasses import replace")
        building = [*building, "    convolutions = {}\n", *convolutions]
        sources += [LOADER.lstrip("\n"), TORCH_LAYER.lstrip("\n")]
    constants = [assignment(name, node) for name, node in writer.constants.items()]
    shapes = ", ".join(map(repr, recorded.input_shapes))
    parts = [
        _docstring(made, weights_file, form),
        "\n".join([*imports, "", "import torch", "import ttnn"]) + "\n",
        f"WEIGHTS = Path(__file__).with_name({quoted(weights_file)})\n"
        f"INPUT_SHAPES = [{shapes}]\n"
        f"BATCH = {made.batch}\n" + "".join(constants),
        *(f"\n{source}" for source in sources),
        "\n" + "".join([_BUILD.lstrip("\n"), *building, helper, _INNER, body]),
        "\n" + _host_functions(recorded),
        "\n" + RUNNING.strip("\n") + "\n",
        "\n" + MAIN.strip("\n").replace("OPENING", _opening(made)) + "\n",
    ]
    return "\n".join(parts)


def _kept(recorded: RecordedModel, reader: CallReader) -> dict[str, tuple[str, NotedCall]]:
    """Return the calls of what stays on the device: by value, with the parameter's name."""
    in_steps = [call for step in recorded.steps for call in CallReader().calls(step.lines)]
    needed = set().union(*(call.used for call in in_steps)) - {call.result for call in in_steps}
    first = reader.calls(recorded.first)
    for call in reversed(first):
        if call.result in needed:
            needed |= call.used
    return {
        call.result: (_parameter_of(call), call)
        for call in first
        if call.result in needed and not call.of_layer
    }


def _parameter_of(call: NotedCall) -> str:
    found = _PARAMETER.search(ast.unparse(call.expression).replace("'", '"'))
    return found[1] if found else call.result


@dataclass(frozen=True)
class _Writers:
    """What writes calls: names of parameters by value and of layers.

    ``convolutions`` takes the statements that make them, where they are made by the builder.
    """

    writer: CallWriter
    parameters: Mapping[str, str]
    layers: Mapping[str, str]
    convolutions: list[str] | None


def _body(recorded: RecordedModel, reader: CallReader, writers: _Writers) -> str:
    """Return the statements of the model's function."""
    numbers: dict[str, int] = {}
    calls: list[tuple[NotedStep, NotedCall]] = []
    statements: list[Made] = []
    at = 0
    for step in recorded.steps:
        of_step = reader.calls(step.lines)
        if step.kind != "move" and of_step:
            at = numbers.setdefault(step.layer, len(numbers))
        output = reader.value(step.output) if step.output else ""
        for call in of_step:
            is_output = call is of_step[-1] if step.kind == "move" else call.result == output
            used = frozenset(call.used - writers.parameters.keys())
            calls.append((step, call))
            statements.append(Made(call.result, used, at, step.layer if is_output else ""))
    values = [reader.value(text) for text in recorded.returned]
    names, returned = named(statements, values, writers.layers)
    lines = _statements(calls, names, writers)
    return "".join([*lines, f"        return [{', '.join(returned)}]\n\n    return model\n"])


def _statements(
    calls: Sequence[tuple[NotedStep, NotedCall]],
    names: Sequence[Named],
    writers: _Writers,
) -> Iterator[str]:
    before = ("", "")
    for (step, call), name in zip(calls, names, strict=True):
        group = (step.layer, "move" if step.kind == "move" else "")
        if group != before:
            waits = ", while it waits" if step.kind == "move" else ""
            yield f"        # {step.layer}{waits}\n"
        before = group
        node = writers.writer.text(call.expression, {**writers.parameters, **name.arguments})
        if call.of_layer:
            assert isinstance(node, CallText)  # noqa: S101 - it is a call
            node = _convolution(node, step.layer, writers)
        yield assignment(name.value, node, 2)
        if name.given_up:
            yield f"        del {', '.join(name.given_up)}\n"


def _convolution(call: CallText, layer: str, writers: _Writers) -> CallText:
    if writers.convolutions is None or call.function != "ttnn.conv2d":
        return _by_helper(call, layer)
    given = dict(call.keywords)
    compute = writers.writer.constants[flat_text(given["compute_config"])]
    writers.convolutions.append(builder_text(layer, call, compute))
    return CallText(f"convolutions[{quoted(layer)}]", (given["input_tensor"],))


_GEOMETRY = (
    "in_channels",
    "out_channels",
    "batch_size",
    "input_height",
    "input_width",
    "kernel_size",
    "stride",
    "padding",
)


def _by_helper(call: CallText, layer: str) -> CallText:
    given = dict(call.keywords)
    source = given.pop("input_tensor")
    keywords = {name: given.pop(name) for name in _GEOMETRY if name in given} | given
    if call.function != "ttnn.conv2d":
        keywords = {"function": call.function, **keywords}
    return CallText("conv2d", (quoted(layer), source), tuple(keywords.items()))


def _host_functions(recorded: RecordedModel) -> str:
    """Return what brings inputs to the device, and outputs to the host."""
    writer = CallWriter()
    uploads = inlined(recorded.upload, recorded.uploaded, writer)
    hosts, places = [], []
    for node in uploads:
        assert isinstance(node, CallText)  # noqa: S101 - ttnn.from_torch
        keywords = dict(node.keywords)
        keywords.pop("device")
        places.append(keywords.pop("memory_config"))
        hosts.append(CallText(node.function, node.arguments, tuple(keywords.items())))
    seen = inlined(recorded.read, recorded.seen, writer)
    return "\n".join(
        [
            _HOST_INPUTS.strip("\n") + _listed(hosts),
            "\n" + _UPLOAD.strip("\n").replace("PLACES", ", ".join(map(flat_text, places))) + "\n",
            "\n" + _READ.strip("\n") + _listed(seen),
        ]
    )


def _listed(nodes: Iterable[NodeText]) -> str:
    items = "".join(statement("", node, 2, ",") for node in nodes)
    return f"\n    return [\n{items}    ]\n"


def _docstring(made: Provenance, weights_file: str, form: str) -> str:
    title = f"{made.network} on {made.board}, as one program of ttnn {made.ttnn_version}."
    use = _USE.format(mark=TEXT_MARK, form=form, file=prose(weights_file))
    return header(made, title, textwrap.fill(use, LINE_LENGTH, break_long_words=False) + "\n")


_USE = (
    "Written by {mark} --format {form}: its calls are those of the schedule's trial. "
    "build(device, weights) returns model(inputs), which runs once on what upload() returns and "
    "leaves its outputs on the device; read() brings them to the host. The weights are in {file}. "
    "Run as a program, it prints how many images it computes a second."
)


def _opening(made: Provenance) -> str:
    return find_board(made.board).opening.removesuffix(")")


_BUILD = '''
def build(device, weights):
    """Return the network as a function; weights are by layer, as PyTorch keeps them."""
'''
_HELPER = '''
    prepared = {}

    def conv2d(name, tensor, function=ttnn.conv2d, **arguments):
        """Convolve with the weights of a layer, which ttnn prepares the first time."""
        if name not in prepared:
            found = [weights.get(f"{name}.{kind}") for kind in ("weight", "bias")]
            prepared[name] = [None if item is None else ttnn.from_torch(item) for item in found]
        weight, bias = prepared[name]
        output, prepared[name] = function(
            input_tensor=tensor,
            weight_tensor=weight,
            bias_tensor=bias,
            device=device,
            return_weights_and_bias=True,
            **arguments,
        )
        return output
'''
_INNER = '''
    def model(inputs):
        """Run once, and return the outputs on the device."""
'''
_HOST_INPUTS = '''
def on_host(images):
    """Return images, in PyTorch's order, as the device takes them."""
'''
_UPLOAD = '''
def upload(device, images):
    """Put images, in PyTorch's order, on the device."""
    places = [PLACES]
    return [
        ttnn.to_device(tensor, device, memory_config=place)
        for tensor, place in zip(on_host(images), places, strict=True)
    ]
'''
_READ = '''
def read(outputs):
    """Return what the model left on the device as PyTorch has it."""
'''
