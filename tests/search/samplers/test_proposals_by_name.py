import warnings

import numpy as np
import pytest

from autosched.errors import SearchError
from autosched.search.samplers.optuna_trials import search_space
from autosched.search.samplers.proposals import SAMPLERS, check_sampler, make_sampler
from tests.examples.studied import Studied
from tests.search.samplers.fake_study import propose

TRIALS = 30


def test_the_samplers_that_are_promised():
    assert {"joint", "mutation", "tpe", "nsga2", "random"} <= set(SAMPLERS)
    assert all(kind.name == name and kind.title for name, kind in SAMPLERS.items())


@pytest.mark.parametrize("name", ["joint", "mutation", "tpe", "nsga2", "random"])
def test_every_sampler_searches_the_whole_space(studied: Studied, name: str):
    """Nothing it does warns the user, and it copes with what does not run."""
    joint = studied.joint
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proposed = propose(joint, make_sampler(name, joint, 0), TRIALS)
    space = search_space(joint)
    for values in proposed.parameters:
        assert {key: value in space[key].choices for key, value in values.items()} == dict.fromkeys(
            space, True
        )
    assert min(proposed.costs_us) < np.inf
    assert min(proposed.costs_us) >= studied.bound_us * (1 - 1e-9)
    again = propose(joint, make_sampler(name, joint, 0), 5)
    assert again.parameters == proposed.parameters[:5]


def test_tpe_learns(studied: Studied):
    """Its last proposals are better than its first, random ones."""
    proposed = propose(studied.joint, make_sampler("tpe", studied.joint, 1), 80)
    costs = np.array(proposed.costs_us)
    first, last = costs[:20], costs[-20:]
    assert np.median(last) < np.median(first)


def test_an_unknown_sampler(studied: Studied):
    with pytest.raises(SearchError, match=r"unknown sampler 'magic'; it is one of joint, .*random"):
        make_sampler("magic", studied.joint, 0)
    with pytest.raises(SearchError, match="unknown sampler"):
        check_sampler("")
