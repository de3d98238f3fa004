import pytest
import torch

from autosched.reproduction.calls import TorchNotes
from autosched.reproduction.noted_lines import NotedLines, Parameter, used_lines


def test_values_are_written_as_python() -> None:
    lines = NotedLines()
    value = ((1, "a"), [None, 2.5], (True,), Parameter(3.0, "garbage"), torch.bfloat16)
    assert lines.text(value) == "((1, 'a'), [None, 2.5], (True,), garbage, torch.bfloat16)"


def test_what_cannot_be_written_is_named() -> None:
    with pytest.raises(LookupError, match=r"builtins\.object"):
        NotedLines().text(object())


def test_items_of_a_result_have_its_name() -> None:
    lines, inner = NotedLines(), object()
    lines.note([object(), (inner,)], "call()")
    assert lines.lines == ["t1 = call()"]
    assert lines.text(inner) == "t1[1][0]"


def test_only_what_is_used_is_kept() -> None:
    lines = ["t1 = a()", "t2 = b(t1)", "free(t1)", "t3 = c(t1)", "t4 = d(t2)"]
    assert used_lines(lines, ["t3"]) == ["t1 = a()", "free(t1)", "t3 = c(t1)"]


def test_calls_to_pytorch_make_the_same_values_again() -> None:
    lines = NotedLines()
    with TorchNotes(lines):
        drawn = torch.randn((2, 3), generator=torch.Generator().manual_seed(7))
        result = torch.nn.functional.relu(drawn[:, 1:].T.contiguous() - 0.25)
    names: dict[str, object] = {}
    exec("\n".join(["import torch", *lines.lines]), names)  # noqa: S102
    again = names[lines.text(result)]
    assert isinstance(again, torch.Tensor)
    assert torch.equal(again, result)


def test_nothing_among_results_is_nothing_everywhere() -> None:
    lines = NotedLines()
    lines.note([object(), None], "split(x)")
    assert lines.text(None) == "None"
