from dataclasses import replace

import pytest

from autosched.errors import BoardError, DeviceError, StudyError
from autosched.schedule.configurations import Fidelity
from autosched.search.open_study import check_same, load_study, open_study
from autosched.search.settings import Settings
from autosched.space.formats import Formats
from autosched.store.database import Store
from autosched.store.studies import list_studies
from tests.examples.networks import residual, skipping
from tests.examples.studied import QUICK, Studied


def test_a_study_is_called_after_its_network_and_board(studied: Studied):
    assert studied.record.name == "residual-n150"


def test_an_unknown_board_is_refused_before_anything_is_stored(store: Store):
    with pytest.raises(BoardError, match="unknown board 'n15'"):
        open_study(store, residual(), "n15", QUICK)
    assert list_studies(store) == []


def test_a_study_is_found_again_by_its_name(studied: Studied, probed: Store):
    with open_study(probed, residual(), "n150", QUICK, device=studied.device()) as study:
        assert study.record == studied.record
        assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
        best = study.best
    assert best == studied.best


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network_signature": "f00d"}, "made for another network"),
        ({"board": "p150"}, r"made for another board \(n150, not p150\)"),
        ({"device_kind": "silicon"}, r"made for another device \(mock, not silicon\)"),
        ({"batch": 16}, r"made for another batch \(1, not 16\)"),
        ({"ttnn_version": "0.99"}, "made for another ttnn version"),
        ({"firmware": "19.4"}, r"another firmware of the card \(unknown, not 19.4\)"),
        (
            {"settings": replace(QUICK, min_pcc=0.9).to_plain()},
            "searched with no floor and --formats fixed",
        ),
        (
            {"settings": replace(QUICK, formats=Formats(fidelity=Fidelity.HIFI4)).to_plain()},
            "searched with other formats .*LoFi",
        ),
    ],
)
def test_a_study_is_not_mixed_with_another(
    studied: Studied, changed: dict[str, object], message: str
):
    wanted = replace(studied.record, **changed)
    with pytest.raises(StudyError, match=message) as caught:
        check_same(studied.record, wanted, "store.sqlite3")
    assert "'residual-n150' in store.sqlite3" in str(caught.value)
    assert "--study NAME" in str(caught.value)


def test_sampler_effort_and_seed_may_change(studied: Studied):
    other = Settings(sampler="tpe", effort="full", seed=4)
    check_same(studied.record, replace(studied.record, settings=other.to_plain()), "x")


def test_another_network_under_the_same_name(studied: Studied, probed: Store):
    why = r"'residual-n150' .* was made for another network \(it has layer.* and this one has layer"
    with pytest.raises(StudyError, match=why):
        open_study(probed, skipping(), "n150", QUICK, "residual-n150", studied.device())


def test_a_study_that_is_not_there(studied: Studied):
    with pytest.raises(StudyError, match=r"no study 'residual-n15'.*did you mean 'residual-n150'"):
        load_study("residual-n15", storage=studied.url)


def test_a_network_made_in_python_has_to_be_handed_over(studied: Studied):
    with pytest.raises(StudyError, match=r"load_study\(name, network=...\)"):
        load_study("residual-n150", storage=studied.url)


def test_a_study_without_workers_is_refused(studied: Studied):
    with pytest.raises(DeviceError, match="0 workers answer nothing"):
        load_study("residual-n150", storage=studied.url, network=residual(), jobs=0)


def test_a_loaded_study_keeps_its_settings(studied: Studied):
    with load_study("residual-n150", storage=studied.url, network=residual()) as study:
        assert study.settings == QUICK
        assert study.best == studied.best
