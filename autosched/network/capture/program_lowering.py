"""From an exported program to a graph of drafts, operator by operator."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from autosched.network.capture.compositions import MOST_STEPS
from autosched.network.capture.definitions import MadeOf, definition_of, inserted, replaced
from autosched.network.capture.exporting import shares_memory_with
from autosched.network.draft_graph import Draft, Unknown, UnsupportedOperator
from autosched.network.operators import GETITEM, HostOp, Input, Output
from autosched.network.rules import (
    arithmetic,
    convolutions,
    einsum,
    eltwise,
    expansions,
    images,
    joining,
    norms,
    products,
    reductions,
    reshaping,
    resizing,
)
from autosched.network.rules.host import (
    NO_SOURCE,
    draws_at_random,
    fits_device,
    host_output,
    on_host,
    stays_on_host,
    why_not_on_host,
)
from autosched.network.rules.rulebook import (
    Lowering,
    LoweringRule,
    Refusal,
    RuleBook,
    operator_name,
    shape_of,
)
from autosched.network.rules.views import View
from autosched.network.source_places import SourcePlace, source_place_of

_FAMILIES = (
    *(arithmetic, convolutions, einsum, eltwise, expansions, images, joining),
    *(norms, products, reductions, reshaping, resizing),
)
RULES = RuleBook({name: rule for family in _FAMILIES for name, rule in family.RULES.items()})
"""How each PyTorch operator becomes layers, by its plain name."""

_WRITES = ("slice_scatter", "select_scatter", "index_put", "copy", "fill", "masked_fill", "scatter")

_REASONS = {
    **dict.fromkeys(
        _WRITES, "it writes into a part of a tensor; put the parts together with torch.cat instead"
    ),
    "wrap_with_autocast": "it computes in another format; leave torch.autocast out: the schedule "
    "chooses the device's formats",
    **dict.fromkeys(
        ("lstm", "gru"),
        f"a recurrent layer has layers up to {MOST_STEPS} steps (its own layers and ways count), "
        "without projections and packed sequences; give shorter series",
    ),
    "nms": "non-maximum suppression keeps as many boxes as the values say; give the part of the "
    "model before it, and call it on what that returns",
}

# What takes no more than shape and type from its input, or from its second one.
_FILLED = ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
_LIKE = ("expand_as", "view_as", "reshape_as", "type_as")

# What makes masks, and what only puts their elements in another shape or order.
_MASKS = (
    *("gt", "lt", "ge", "le", "eq", "ne", "logical_not", "bitwise_not"),
    *("logical_and", "bitwise_and", "logical_or", "bitwise_or"),
    *("view", "reshape", "flatten", "unsqueeze", "squeeze", "expand", "expand_as", "permute"),
    *("transpose", "slice", "select", "clone", "contiguous", "detach", "alias", "repeat"),
)

_DEEPEST = 6
"""So often a definition may be by operators that are taken by their definitions themselves."""
_MOST_DRAFTS = 3000
"""Up to so many layers operators are taken by what they are made of: a search has an end."""
_FULL = (
    f"what it is made of is not added to a network of about {_MOST_DRAFTS:,} layers; give a part "
    "of the network, smaller images or shorter series"
)


def lower(
    program: ExportedProgram, rules: Mapping[str, LoweringRule], *, allow_host: bool = False
) -> Lowering:
    """Lower every operator that an output depends on; refusals are collected as problems.

    With ``allow_host``, what is refused runs on the host where it can.
    """
    lowering = Lowering(program)
    _add_placeholders(lowering)
    needed = _needed(results(program))
    for node in list(program.graph.nodes):
        if node.op == "call_function" and node in needed and not node._erased:
            _lower_node(lowering, rules, node, allow_host)
    _add_outputs(lowering, allow_host)
    _refuse_memory(lowering)
    _refuse_host_only(lowering)
    return lowering


def _lower_node(
    lowering: Lowering, rules: Mapping[str, LoweringRule], node: Node, allow_host: bool
) -> None:
    if _fold_constant(lowering, node):
        return
    made = _apply(lowering, rules, node, allow_host)
    if made is not None:
        view = _whole(lowering, made) if isinstance(made, str) else made
        lowering.views[node] = lowering.first_views[node] = view


def _whole(lowering: Lowering, key: str) -> View:
    return View.whole(key, lowering.graph.drafts[key].shape)


def _add_placeholders(lowering: Lowering) -> None:
    program = lowering.program
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for spec in program.graph_signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind is InputKind.USER_INPUT:
            draft = Draft(node.name, node.name, Input(), [], shape_of(node))
            lowering.views[node] = View.whole(lowering.graph.add(draft), draft.shape)
        elif spec.target in program.state_dict:
            lowering.constants[node] = program.state_dict[spec.target]
        elif spec.target in program.constants:
            lowering.constants[node] = program.constants[spec.target]


def results(program: ExportedProgram) -> list[Any]:
    """What the module returns, flattened: nodes, and values that are no tensors."""
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    specs = program.graph_signature.output_specs
    pairs = zip(specs, output.args[0], strict=True)
    return [value for spec, value in pairs if spec.kind is OutputKind.USER_OUTPUT]


def _needed(returned: list[Any]) -> set[Node]:
    needed: set[Node] = set()
    waiting = [value for value in returned if isinstance(value, Node)]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting.extend(node.all_input_nodes)
    return needed


def _fold_constant(lowering: Lowering, node: Node) -> bool:
    """Compute a node that depends on no input, such as a transposed weight or a grid of places."""
    ready = _ready_made(lowering, node)
    if ready is not None:
        lowering.constants[node] = ready
        return True
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    if draws_at_random(lowering, node):
        return False
    writes = target._schema.is_mutable and target is not torch.ops.aten.detach_.default
    if writes and not _is_made_here(node):
        return False
    known: dict[Node, Any] = {**lowering.constants, **lowering.several}
    if operator_name(node) in _FILLED:
        known |= {source: _blank(source) for source in node.all_input_nodes if source not in known}
    if operator_name(node) in _LIKE and isinstance(node.args[1], Node):
        known.setdefault(node.args[1], _blank(node.args[1]))
    if any(source not in known for source in node.all_input_nodes):
        return False
    return _fold(lowering, node, known, writes=writes)


def _ready_made(lowering: Lowering, node: Node) -> torch.Tensor | None:
    """One of several constants, or a tensor without elements, whatever it is made of."""
    is_item = operator_name(node) == GETITEM
    if is_item and node.args[0] in lowering.several:
        place: Any = node.args[1]
        item: torch.Tensor = lowering.several[node.args[0]][place]
        return item
    is_empty = 0 in shape_of(node) and isinstance(node.meta["val"], torch.Tensor)
    is_called = is_item or isinstance(node.target, torch._ops.OpOverload)
    return _blank(node) if is_called and is_empty else None


def _fold(lowering: Lowering, node: Node, known: Mapping[Node, Any], *, writes: bool) -> bool:
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
    if writes:
        # Nobody reads later what it writes into, but others may have read it before.
        written: Any = args[0]
        args = (written.clone(), *args[1:])
    with torch.no_grad():
        value = node.target(*args, **kwargs)  # type: ignore[operator]
    if isinstance(value, torch.Tensor):
        lowering.constants[node] = value
    elif isinstance(value, (list, tuple)) and all(isinstance(x, torch.Tensor) for x in value):
        lowering.several[node] = tuple(value)
    else:
        return False
    return True


def _is_made_here(node: Node) -> bool:
    """Whether the memory a node writes into was made by the graph itself: that harms nobody."""
    written = node.all_input_nodes[0]
    while written.op == "call_function":
        source = shares_memory_with(written)
        if source is None:
            return True
        written = source
    return False


def _blank(node: Node) -> torch.Tensor:
    """A tensor of a node's shape and type, for what takes no more than those from it."""
    value = node.meta["val"]
    return torch.empty(value.shape, dtype=value.dtype)


def _apply(
    lowering: Lowering, rules: Mapping[str, LoweringRule], node: Node, allow_host: bool
) -> str | View | None:
    """Lower one node, or record why not; after a refused producer nothing can be said.

    Returns None where the node's readers now read what its operator is made of.
    """
    views = [lowering.views[n] for n in node.all_input_nodes if n in lowering.views]
    sources = [lowering.base(view) for view in views]
    if any(-1 in source.shape for source in sources):
        return lowering.add(node, Unknown(), [])
    if any(source.key in lowering.host_only for source in sources):
        return _refuse(lowering, node, "", allow_host)
    made = _by_rule(lowering, rules, node, sources)
    if not isinstance(made, Refusal):
        return made
    if sources and _by_definition(lowering, rules, node):
        return None
    had_no_room = lowering.is_full and definition_of(node) is not None
    return _refuse(lowering, node, _FULL if had_no_room else str(made), allow_host)


def _by_rule(
    lowering: Lowering, rules: Mapping[str, LoweringRule], node: Node, sources: list[Draft]
) -> str | View | Refusal:
    namespace = getattr(node.target, "namespace", "aten")
    if operator_name(node) not in rules or namespace != "aten":
        return Refusal(_why_unknown(lowering, node))
    try:
        _check(node, sources)
        return rules[operator_name(node)](lowering, node)
    except Refusal as refusal:
        return refusal


def _by_definition(
    lowering: Lowering, rules: Mapping[str, LoweringRule], node: Node, depth: int = 0
) -> bool:
    """Lower what a node's operator is made of in its place, if all of it has layers."""
    if depth >= _DEEPEST or lowering.is_full or draws_at_random(lowering, node):
        return False
    definition = definition_of(node)
    if definition is None or not _is_known_beside(lowering, definition):
        return False
    if len(lowering.graph.drafts) + len(definition.graph.nodes) > _MOST_DRAFTS:
        lowering.is_full = True
        return False
    try:
        with lowering.tentatively(), inserted(node, definition) as (steps, made):
            for step in steps:
                if not step._erased:
                    _lower_step(lowering, rules, step, depth)
    except Refusal:
        return False
    results = torch.fx.map_arg(made, lowering.what_stands_for)
    lowering.instead.update(replaced(node, results, definition.spectrum))
    return True


def _is_known_beside(lowering: Lowering, definition: MadeOf) -> bool:
    """Whether all that a spectrum reads beside its first node's inputs has a layer."""
    if definition.spectrum is None:
        return True
    views = [lowering.views[node] for node in definition.spectrum.factors if node in lowering.views]
    sources = [lowering.base(view) for view in views]
    return not any(-1 in one.shape or one.key in lowering.host_only for one in sources)


def _lower_step(
    lowering: Lowering, rules: Mapping[str, LoweringRule], step: Node, depth: int
) -> None:
    """Lower a step of a definition.

    Raises:
        Refusal: it has no layer.
    """
    if _fold_constant(lowering, step):
        return
    views = [lowering.views[source] for source in step.all_input_nodes if source in lowering.views]
    made = _by_rule(lowering, rules, step, [lowering.base(view) for view in views])
    if not isinstance(made, Refusal):
        view = _whole(lowering, made) if isinstance(made, str) else made
        lowering.views[step] = lowering.first_views[step] = view
    elif not views or not _by_definition(lowering, rules, step, depth + 1):
        raise made


def _why_unknown(lowering: Lowering, node: Node) -> str:
    """Why an operator has no layer, as far as its result tells."""
    value = node.meta.get("val")
    if draws_at_random(lowering, node):
        return "it draws at random, so that no two runs are alike; make what it draws an input"
    if operator_name(node) in _REASONS:
        return _REASONS[operator_name(node)]
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        return "its branches or repetitions depend on values; a network does the same for all"
    if isinstance(value, torch.Tensor) and -1 in shape_of(node):
        return "the shape of its result depends on the values of a tensor; keep all shapes fixed"
    if isinstance(value, torch.Tensor) and value.dtype != torch.float32:
        return _why_no_float(value.dtype)
    return "there is no layer for this operator"


def _why_no_float(dtype: torch.dtype) -> str:
    reason = f"its result is {dtype}, and only torch.float32 is captured"
    if dtype.is_floating_point:
        reason += "; leave torch.autocast and casts out: the schedule chooses the device's formats"
    return reason


def _check(node: Node, sources: list[Draft]) -> None:
    """What every operator must fulfil before its rule looks at it."""
    if not sources:
        raise Refusal(NO_SOURCE)
    value = node.meta.get("val")
    is_mask = operator_name(node) in _MASKS and getattr(value, "dtype", None) == torch.bool
    if isinstance(value, torch.Tensor) and value.dtype != torch.float32 and not is_mask:
        raise Refusal(_why_no_float(value.dtype))


def _is_returned_alone(node: Node) -> bool:
    """Whether a result that no device takes is only there to be returned."""
    return not fits_device(node) and all(user.op == "output" for user in node.users)


def _refuse(lowering: Lowering, node: Node, reason: str, allow_host: bool) -> str:
    """Let the host run a node, or record why it cannot be lowered."""
    obstacle = why_not_on_host(lowering, node)
    if not allow_host and not obstacle and _is_returned_alone(node):
        called = node.all_input_nodes[0] if operator_name(node) == GETITEM else node
        reason = f"{reason}; return its input, and call {operator_name(called)} on that"
    if allow_host and not obstacle:
        return on_host(lowering, node, reason)
    key = lowering.add(node, Unknown(), [])
    if allow_host and obstacle not in reason:
        also = f"{reason}; nor" if reason else "neither has it a layer, nor"
        reason = f"{also} can it run on the host: {obstacle}"
    draft = lowering.graph.drafts[key]
    lowering.graph.refuse(draft, str(node.target), reason, for_host=not obstacle)
    return key


def _add_outputs(lowering: Lowering, allow_host: bool) -> None:
    for index, value in enumerate(results(lowering.program)):
        if value is not None:
            _add_output(lowering, f"output.{index}", value, allow_host)


def _add_output(lowering: Lowering, key: str, value: Any, allow_host: bool) -> None:
    draft = Draft(key, "output", Output(), [], (), SourcePlace())
    if not isinstance(value, Node) or value not in lowering.views:
        what = "a constant tensor" if isinstance(value, Node) else repr(value)
        _refuse_output(lowering, draft, f"{what}, whatever the input; do not return it")
    elif allow_host and stays_on_host(lowering, value):
        lowering.graph.add(host_output(lowering, value, key))
    elif reason := _why_no_output(lowering, value):
        _refuse_output(lowering, draft, reason, for_host=True)
    else:
        source = lowering.draft(value)
        draft.inputs, draft.shape = [source.key], source.shape
        lowering.graph.add(draft)


def _refuse_output(
    lowering: Lowering, draft: Draft, reason: str, *, for_host: bool = False
) -> None:
    lowering.graph.add(draft)
    reason = f"result {draft.key.partition('.')[2]} is {reason}"
    lowering.graph.refuse(draft, "return", reason, for_host=for_host)


def _why_no_output(lowering: Lowering, value: Node) -> str:
    """Why the device cannot hand back what it makes; the host could."""
    if isinstance(lowering.base(lowering.views[value]).op, Unknown):
        return ""
    if value.meta["val"].dtype == torch.bool:
        return "a mask; return it as numbers (mask.float())"
    if shape_of(value) == ():
        return "a single number, of shape (); keep its dimensions (keepdim=True)"
    return ""


def _refuse_memory(lowering: Lowering) -> None:
    """Refuse what remembers: a buffer that every call changes has no one value to schedule."""
    program = lowering.program
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    for spec, value in zip(program.graph_signature.output_specs, output.args[0], strict=True):
        if spec.kind is OutputKind.BUFFER_MUTATION and isinstance(value, Node):
            place = source_place_of(value)
            reason = "every call changes this buffer; make it an input, or leave it as it is"
            lowering.graph.problems.append(
                UnsupportedOperator(str(spec.target), str(value.target), place.source, reason)
            )


def _refuse_host_only(lowering: Lowering) -> None:
    """Refuse results of host layers that the device would have to take."""
    graph = lowering.graph
    for key, what in lowering.host_only.items():
        draft = graph.drafts[key]
        if graph.users(key) and isinstance(draft.op, HostOp):
            reason = (
                f"its result is {what}; only torch.float32 of one dimension or more goes to the "
                "device. Return its input, and call it on that"
            )
            graph.refuse(draft, draft.op.steps[-1].operator, reason)
