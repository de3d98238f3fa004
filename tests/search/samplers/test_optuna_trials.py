from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution

from autosched.probing.joint_problem import Selection
from autosched.schedule.tensors import Edge
from autosched.search.samplers.optuna_trials import from_parameters, search_space, to_parameters
from tests.examples.studied import Studied


def test_one_parameter_per_choice(studied: Studied):
    space = search_space(studied.joint)
    tables = studied.joint.tables
    assert list(space) == [
        *(name for name in tables if len(tables[name]) > 1),
        "spill pool -> pool",
        "spill pool -> conv1",
    ]
    assert space["stem"] == CategoricalDistribution(tuple(range(len(tables["stem"]))))
    assert space["spill pool -> pool"] == CategoricalDistribution(("stay", "dram"))


@settings(max_examples=50)
@given(data=st.data())
def test_parameters_come_back_as_they_were(either: Studied, data: st.DataObject):
    space = search_space(either.joint)
    values = {
        name: data.draw(st.sampled_from(domain.choices), label=name)
        for name, domain in space.items()
        if isinstance(domain, CategoricalDistribution)
    }
    selection = from_parameters(either.joint, values)
    assert to_parameters(either.joint, selection) == values
    assert set(selection.candidates) == set(either.joint.tables)


def test_what_has_no_parameter_is_the_only_candidate_and_stays(studied: Studied):
    first = from_parameters(studied.joint, {})
    assert first == Selection(dict.fromkeys(studied.joint.tables, 0))
    spilled = from_parameters(studied.joint, {"spill pool -> conv1": "dram", "conv1": 2})
    assert spilled.candidates["conv1"] == 2
    assert spilled.spills == {Edge("pool", "conv1")}
