import pytest
import torch

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.operators import Conv2d, Matmul
from tests.network.modules import Function, kinds


def ramp(*shape):
    return torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape)


EQUATIONS = {
    "scores": (lambda x: torch.einsum("bid,bjd->bij", x, 2 * x), (2, 5, 8)),
    "heads": (lambda x: torch.einsum("bhid,bhjd->bhij", x, 2 * x), (2, 3, 5, 8)),
    "pixels": (lambda x: torch.einsum("bchw,bcij->bhwij", x, 2 * x), (2, 3, 4, 5)),
    "linear attention": (lambda x: torch.einsum("bhdn,bhen->bhde", x, x), (2, 3, 5, 8)),
    "matrix": (lambda x: torch.einsum("nchw,co->nohw", x, ramp(8, 3)), (2, 8, 6, 7)),
    "matrix of a side": (lambda x: torch.einsum("nctv,vw->nctw", x, ramp(7, 7)), (2, 8, 6, 7)),
    "vector": (lambda x: torch.einsum("bnc,c->bn", x, ramp(8)), (2, 5, 8)),
    "positions": (lambda x: torch.einsum("bhwc,hkc->bhwk", x, ramp(6, 4, 8)), (2, 6, 7, 8)),
    "two constants": (
        lambda x: torch.einsum("bc,cd,de->be", x, ramp(8, 3), ramp(3, 4)),
        (2, 8),
    ),
    "graph": (
        lambda x: torch.einsum("nkctv,kvw->nctw", x.view(2, 2, 4, 6, 7), ramp(2, 7, 7)),
        (2, 8, 6, 7),
    ),
    "chain": (lambda x: torch.einsum("bij,bjk,bkl->bil", x, x, x), (2, 5, 5)),
    "outer": (lambda x: torch.einsum("bi,bj->bij", x, x), (2, 5)),
    "gate": (lambda x: torch.einsum("b c h w, b c -> b h w", x, x.mean((2, 3))), (2, 8, 6, 7)),
    "without an arrow": (lambda x: torch.einsum("bij,bjk", x, x), (1, 5, 5)),
    "sum": (lambda x: torch.einsum("bij->bi", x), (2, 3, 5)),
    "dots": (lambda x: torch.einsum("...ij,...kj->...ik", x, 2 * x), (2, 3, 5, 4)),
    "dots of one": (lambda x: torch.einsum("...i->i...", x), (2, 3, 5)),
    "dots of other lengths": (lambda x: torch.einsum("...c,cd", x, ramp(5, 3)), (2, 4, 5)),
    "dots without an arrow": (lambda x: torch.einsum("...ij,...jk", x, x), (2, 3, 5, 5)),
    "order": (lambda x: torch.einsum("bij->bji", x), (2, 3, 5)),
}


@pytest.mark.parametrize(("function", "shape"), EQUATIONS.values(), ids=EQUATIONS)
def test_einsum_is_the_product_that_it_spells(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


def test_a_constant_matrix_is_a_pointwise_convolution(lowered):
    function, shape = EQUATIONS["matrix"]
    assert kinds(lowered(Function(function), torch.randn(shape))) == [Conv2d]


def test_two_tensors_are_one_product(lowered):
    function, shape = EQUATIONS["heads"]
    assert kinds(lowered(Function(function), torch.randn(shape))).count(Matmul) == 1


def test_a_diagonal_is_refused():
    module = Function(lambda x: torch.einsum("bii->bi", x)).eval()
    with pytest.raises(UnsupportedOperatorError, match="a diagonal"):
        capture(module, (torch.randn(2, 5, 5),))
