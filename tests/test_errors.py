import ast
import inspect

import pytest

from autosched import errors

DELIBERATE = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, Exception)
]


def test_the_module_imports_nothing() -> None:
    tree = ast.parse(inspect.getsource(errors))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("error", DELIBERATE)
def test_every_error_has_the_one_root_and_ends_with_2(error: type[Exception]) -> None:
    assert issubclass(error, errors.AutoschedError)
    assert error.exit_code == 2
    assert str(error("net.py: what and what next")) == "net.py: what and what next"


@pytest.mark.parametrize("error", DELIBERATE)
def test_every_error_says_what_it_is_for(error: type[Exception]) -> None:
    assert error.__doc__
