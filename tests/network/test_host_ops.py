import pytest
import torch

from autosched.network.graph import Layer, Weights, operators
from autosched.network.host_ops import NotPlainError, run_on_host, to_json
from autosched.network.operators import HostOp, HostStep, HostView

WHOLE = HostView((2, 3), (0, 1), (2, 3))


def run(*steps, source=None, views=(WHOLE,), weights=None):
    source = torch.arange(6.0).view(2, 3) if source is None else source
    op = HostOp(tuple(HostStep(*step) for step in steps), views)
    return run_on_host(op, [source] * len(views), weights)


def test_steps_read_inputs_constants_and_each_other():
    result = run(
        ("aten.add.Tensor", '[[{"input":0},{"constant":1}],{"alpha":2}]'),
        ("aten.mul.Tensor", '[[{"step":0},{"constant":0}],{}]'),
        weights=Weights(torch.tensor(3.0), None, (torch.ones(3),)),
    )
    assert result.tolist() == [[6.0, 9.0, 12.0], [15.0, 18.0, 21.0]]


def test_one_of_several_results():
    result = run(
        ("aten.sort.default", '[[{"input":0},1,true],{}]'), ("getitem", '[[{"step":0},1],{}]')
    )
    assert result.tolist() == [[2, 1, 0], [2, 1, 0]]


def test_an_input_is_read_as_its_view_says():
    view = HostView((2, 3), (1, 0), (6,))
    result = run(("aten.neg.default", '[[{"input":0}],{}]'), views=(view,))
    assert result.tolist() == [0, -3, -1, -4, -2, -5]


def test_a_step_in_place_leaves_inputs_and_constants_alone():
    source, constant = torch.ones(2, 3), torch.ones(2, 3)
    weights = Weights(constant)
    run(("aten.mul_.Tensor", '[[{"input":0},5],{}]'), source=source)
    run(("aten.add_.Tensor", '[[{"constant":0},{"input":0}],{}]'), weights=weights)
    assert source.sum() == constant.sum() == 6


def test_operators_of_other_libraries_are_not_run():
    with pytest.raises(NotPlainError, match=r"other\.neg\.default is none of"):
        run(("other.neg.default", '[[{"input":0}],{}]'))


def test_types_devices_and_formats_have_names():
    plain = to_json(
        [torch.float64, torch.device("cpu"), torch.strided, torch.contiguous_format, None, 1.5],
        lambda _: None,
    )
    assert plain == [
        {"dtype": "float64"},
        {"device": "cpu"},
        {"layout": "strided"},
        {"memory_format": "contiguous_format"},
        None,
        1.5,
    ]
    step = ("aten._to_copy.default", '[[{"input":0}],{"dtype":{"dtype":"float64"}}]')
    assert run(step).dtype is torch.float64


def test_what_is_no_data_is_refused():
    with pytest.raises(NotPlainError, match="complex"):
        to_json([1j], lambda _: None)


def test_operators_are_named_once():
    step = HostStep("aten.neg.default", '[[{"input":0}],{}]')
    op = HostOp((step, HostStep("getitem", "[[0,0],{}]"), step), (WHOLE,))
    assert operators(Layer("x", op, ("y",), (2, 3))) == ("aten.neg.default",)
