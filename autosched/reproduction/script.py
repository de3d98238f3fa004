"""The script of a bug report: needs ttnn and torch, and prints what is expected and seen."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

_LINE_LENGTH = 96
_RUN = "def run(device, garbage):"


@dataclass(frozen=True)
class Finding:
    """What a script is to show: ``title`` says of what, ``where`` on what it was ``seen``."""

    title: str
    where: str
    seen: str


@dataclass(frozen=True)
class NotedCalls:
    """The calls of one layer: PyTorch's of inputs and truth, then ttnn's as the body of a function.

    ``expected`` and ``seen`` are the names of the truth and of the result; ``garbage`` is what the
    body's parameter of this name takes in turn.
    """

    truth: Sequence[str]
    expected: str
    body: Sequence[str]
    seen: str
    garbage: Sequence[float]
    l1_small_bytes: int


def render_script(finding: Finding, calls: NotedCalls) -> str:
    """Return the script's source."""
    body = indent("\n".join([*map(laid_out, calls.body), f"return {calls.seen}"]), "    ")
    garbage = ", ".join(map(repr, map(float, calls.garbage)))
    parts = [
        _docstring(finding),
        "import math\n\nimport torch\nimport ttnn",
        "# Seeded inputs, and what PyTorch makes of them in float32.\n"
        + "\n".join([*map(laid_out, calls.truth), f"expected = {calls.expected}"]),
        "",
        f"{_RUN}\n"
        '    """Run it where memory held ``garbage`` before, and return the result."""\n' + body,
        "",
        _COMPARISON.strip(),
        "",
        f"device = ttnn.open_device(device_id=0, l1_small_size={calls.l1_small_bytes})\n"
        f"results = [run(device, garbage) for garbage in ({garbage})]\n"
        f"ttnn.close_device(device)\n{_ENDING.strip()}",
    ]
    return "\n\n".join(parts).replace("\n\n\n\n", "\n\n\n") + "\n"


def is_script(path: Path) -> bool:
    """Whether a file is such a script, which may be written anew."""
    return path.is_file() and _RUN in path.read_text(encoding="utf-8", errors="replace")


def laid_out(line: str) -> str:
    """Return a statement with the arguments of long calls on lines of their own."""
    (statement,) = ast.parse(line).body
    if isinstance(statement, ast.Assign):
        target = ast.unparse(statement.targets[0])
        return f"{target} = {_expression(statement.value, '', len(target) + 3)}"
    if isinstance(statement, ast.Expr):
        return _expression(statement.value, "", 0)
    return line


def _expression(node: ast.expr, margin: str, used: int) -> str:
    """Return an expression that begins after ``used`` characters of a line."""
    text = ast.unparse(node)
    if len(margin) + used + len(text) <= _LINE_LENGTH:
        return text
    inner = f"{margin}    "
    if isinstance(node, ast.Call):
        items = [_expression(item, inner, 1) for item in node.args]
        items += [
            f"{item.arg}={_expression(item.value, inner, len(item.arg or '') + 2)}"
            for item in node.keywords
        ]
        opening, closing = f"{ast.unparse(node.func)}(", ")"
    elif isinstance(node, ast.List):
        items = [_expression(item, inner, 1) for item in node.elts]
        opening, closing = "[", "]"
    else:
        return text
    lines = "".join(f"{inner}{item},\n" for item in items)
    return f"{opening}\n{lines}{margin}{closing}"


def _docstring(finding: Finding) -> str:
    lines = [
        finding.title,
        "",
        f"On: {finding.where}",
        "Expected: what PyTorch computes in float32, concordance 1 (bfloat8_b reaches 0.99).",
        f"Seen: {finding.seen}",
        "",
        "Needs ttnn and torch alone. It opens device 0: a card, or the simulator that the",
        "environment names. Memory is filled with a value first, with another one in a second run.",
    ]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}\n"""'


_COMPARISON = '''
def concordance(seen, expected):
    """Lin's concordance: a correlation that also sees a wrong scale or mean."""
    left, right = seen.flatten().double(), expected.flatten().double()
    covariance = ((left - left.mean()) * (right - right.mean())).mean()
    spread = left.var(correction=0) + right.var(correction=0)
    found = float(2 * covariance / (spread + (left.mean() - right.mean()) ** 2))
    return found if math.isfinite(found) else -1.0


def pcc(seen, expected):
    """Pearson's correlation."""
    return float(torch.corrcoef(torch.stack([seen.flatten(), expected.flatten()]).double())[0, 1])
'''
_ENDING = """
for seen in results:
    print(
        f"expected: concordance 1; seen: concordance {concordance(seen, expected):.4f}, "
        f"PCC {pcc(seen, expected):.4f}"
    )
print(f"the two runs are {'equal' if torch.equal(*results) else 'NOT equal'}")
print(f"expected begins with {expected.flatten()[:8].tolist()}")
print(f"seen begins with     {results[-1].flatten()[:8].tolist()}")
"""
