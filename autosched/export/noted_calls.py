"""Noted calls of ttnn as a colleague would type them: arguments at their defaults left out.

A noted line is ``t12 = ttnn.name(...)`` with every value spelt out, as
:mod:`autosched.reproduction.noted_lines` leaves it.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autosched.export.module_text import CallText, NodeText, flat_text, quoted
from autosched.export.ttnn_values import CONV2D_TTNN_DEFAULTS, compute_name
from autosched.schedule.configurations import ComputeConfig, Fidelity

CONVOLUTIONS = ("ttnn.conv2d", "ttnn.conv_transpose2d")
_COMPUTE = "ttnn.init_device_compute_kernel_config"
_PLACES = {"DRAM": "ttnn.DRAM_MEMORY_CONFIG", "L1": "ttnn.L1_MEMORY_CONFIG"}

# What ttnn 0.81.1 takes for an argument that is not given; None is left out everywhere.
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "ttnn.conv2d": {"dilation": "(1, 1)", "groups": "1"},
    "ttnn.conv_transpose2d": {
        "dilation": "(1, 1)",
        "groups": "1",
        "output_padding": "(0, 0)",
        "mirror_kernel": "True",
    },
    "ttnn.max_pool2d": {"ceil_mode": "False", "deallocate_input": "False"},
    "ttnn.avg_pool2d": {
        "ceil_mode": "False",
        "count_include_pad": "True",
        "deallocate_input": "False",
    },
    "ttnn.Conv2dConfig": {
        name: repr(value) for name, value in CONV2D_TTNN_DEFAULTS.items() if value is not None
    }
    | {
        "reshard_if_not_optimal": "False",
        "override_sharding_config": "False",
        "output_layout": "ttnn.TILE_LAYOUT",
    },
}
_ALWAYS_LEFT_OUT = {"activations": "[]"}
_TEMPORARY = re.compile(r"t\d+")


@dataclass
class NotedCall:
    """A call of ttnn: what it leaves, under a name of its own, and the expression.

    ``used`` are the names of the values that it takes, ``of_layer`` whether a helper of the program
    hands it the parameters of its layer.
    """

    result: str
    expression: ast.expr
    of_layer: bool = False
    used: set[str] = field(default_factory=set)

    @property
    def function(self) -> str:
        """The function's full name; "" if the expression is no call."""
        return ast.unparse(self.expression.func) if isinstance(self.expression, ast.Call) else ""


class CallReader:
    """Reads noted lines in their order; what is only said to a capture is left out."""

    def __init__(self) -> None:
        self._convolutions: set[str] = set()

    def calls(self, lines: Iterable[str]) -> list[NotedCall]:
        """Return the calls of some lines."""
        statements = [ast.parse(line).body[0] for line in lines]
        return [self._call(item) for item in statements if isinstance(item, ast.Assign)]

    def value(self, text: str) -> str:
        """Return the name of the value that an expression of a line is."""
        return ast.unparse(self._renamed(ast.parse(text, mode="eval").body))

    def _call(self, statement: ast.Assign) -> NotedCall:
        result = ast.unparse(statement.targets[0])
        expression = self._renamed(statement.value)
        call = NotedCall(result, expression)
        if isinstance(expression, ast.Call) and call.function in CONVOLUTIONS:
            self._convolutions.add(result)
            call.of_layer = True
            expression.keywords = [
                item for item in expression.keywords if item.arg not in _OF_THE_HELPER
            ]
        call.used = names_in(expression)
        return call

    def _renamed(self, expression: ast.expr) -> ast.expr:
        renamed = _Outputs(self._convolutions).visit(expression)
        assert isinstance(renamed, ast.expr)  # noqa: S101 - it was one
        return renamed


_OF_THE_HELPER = ("weight_tensor", "bias_tensor", "device", "return_weights_and_bias")


def names_in(expression: ast.AST) -> set[str]:
    """Return the names of noted values in an expression."""
    return {
        node.id
        for node in ast.walk(expression)
        if isinstance(node, ast.Name) and _TEMPORARY.fullmatch(node.id)
    }


class _Outputs(ast.NodeTransformer):
    """Names a convolution's output as the convolution: only the helper sees its parameters."""

    def __init__(self, convolutions: set[str]) -> None:
        self._convolutions = convolutions

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        is_first = isinstance(node.slice, ast.Constant) and node.slice.value == 0
        if is_first and isinstance(node.value, ast.Name) and node.value.id in self._convolutions:
            return node.value
        return node


class CallWriter:
    """Writes calls with values named by ``names``, and collects the constants that they need."""

    def __init__(self) -> None:
        self.constants: dict[str, NodeText] = {}
        self.helpers: set[str] = set()

    def text(self, node: ast.expr, names: Mapping[str, str]) -> NodeText:
        """Return an expression."""
        if not isinstance(node, ast.Call):
            return self._flat(node, names)
        function = ast.unparse(node.func)
        if function == _COMPUTE:
            return self._compute(node)
        if function == "ttnn.MemoryConfig":
            return self._memory(node, names)
        if function == "ttnn.CoreRangeSet":
            return self._cores(node)
        defaults = {**_ALWAYS_LEFT_OUT, **_DEFAULTS.get(function, {})}
        keywords = []
        for item in node.keywords:
            value = self.text(item.value, names)
            if value not in ("None", defaults.get(str(item.arg))):
                keywords.append((str(item.arg), value))
        arguments = tuple(self.text(item, names) for item in node.args)
        return CallText(self._flat(node.func, names), arguments, tuple(keywords))

    def _flat(self, node: ast.expr, names: Mapping[str, str]) -> str:
        match node:
            case ast.Constant(value=str() as text):
                return quoted(text)
            case ast.Name(id=name):
                return names.get(name, name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                opening, closing = "[]" if isinstance(node, ast.List) else "()"
                end = "," if opening == "(" and len(items) == 1 else ""
                return f"{opening}{self._listed(items, names)}{end}{closing}"
            case ast.Subscript(value=value, slice=index):
                parts = index.elts if isinstance(index, ast.Tuple) else [index]
                return f"{self._listed([value], names)}[{self._listed(parts, names)}]"
            case ast.Attribute(value=value, attr=name):
                return _short(f"{self._listed([value], names)}.{name}")
        return ast.unparse(node)

    def _listed(self, nodes: Iterable[ast.expr], names: Mapping[str, str]) -> str:
        return ", ".join(flat_text(self.text(item, names)) for item in nodes)

    def _compute(self, node: ast.Call) -> str:
        said = {str(item.arg): ast.unparse(item.value) for item in node.keywords}
        fidelity = Fidelity(said["math_fidelity"].rpartition(".")[2])
        flags = ("math_approx_mode", "fp32_dest_acc_en", "packer_l1_acc")
        config = ComputeConfig(fidelity, **{name: said[name] == "True" for name in flags})
        name = compute_name(config)
        arguments = tuple(ast.unparse(item) for item in node.args)
        self.constants[name] = CallText(_COMPUTE, arguments, tuple(said.items()))
        return name

    def _memory(self, node: ast.Call, names: Mapping[str, str]) -> NodeText:
        layout, buffer = (ast.unparse(item) for item in node.args[:2])
        place = buffer.rpartition(".")[2]
        if len(node.args) == 2:
            if layout.endswith(".INTERLEAVED"):
                return _PLACES[place]
            return CallText("ttnn.MemoryConfig", (layout, buffer))
        spec = node.args[2]
        assert isinstance(spec, ast.Call)  # noqa: S101 - a shard specification
        cores, shape, orientation = spec.args
        self.helpers.add("sharded")
        keywords = []
        if ast.unparse(orientation).endswith(".COL_MAJOR"):
            keywords.append(("transposed", "True"))
        if place == "DRAM":
            keywords.append(("buffer_type", buffer))
        sizes = repr(tuple(ast.literal_eval(shape)))
        return CallText("sharded", (layout, self.text(cores, names), sizes), tuple(keywords))

    def _cores(self, node: ast.Call) -> NodeText:
        self.helpers.add("cores")
        return CallText(
            "cores", tuple(_rectangle(item) for item in ast.walk(node) if _is_range(item))
        )


def _is_range(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "ttnn.CoreRange"


def _rectangle(node: ast.AST) -> str:
    """Return a range of cores as (x0, y0, x1, y1)."""
    numbers = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant)]
    return repr(tuple(numbers))


def _short(name: str) -> str:
    """Return ttnn's own short name of a format or page layout."""
    found = re.fullmatch(r"ttnn\.(DataType|Layout)\.(\w+)", name)
    if found is None:
        return name
    kind, value = found.groups()
    return f"ttnn.{value.lower()}" if kind == "DataType" else f"ttnn.{value}_LAYOUT"


def inlined(lines: Iterable[str], values: Iterable[str], writer: CallWriter) -> list[NodeText]:
    """Return the expressions of values, each made of what its lines made."""
    known: dict[str, ast.expr] = {}
    for call in CallReader().calls(lines):
        known[call.result] = _Inlining(known).visit(call.expression)
    expressions = (ast.parse(value, mode="eval").body for value in values)
    return [writer.text(_Inlining(known).visit(item), {}) for item in expressions]


class _Inlining(ast.NodeTransformer):
    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._known.get(node.id, node)
