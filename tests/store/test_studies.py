from dataclasses import replace

import pytest
from sqlalchemy import text

from autosched.errors import StudyError
from autosched.schedule.outcomes import TimeKind
from autosched.store import probes, trials
from autosched.store.database import Store
from autosched.store.studies import (
    LONGEST_NAME,
    StudySummary,
    add_study,
    delete_study,
    find_network,
    find_study,
    get_study,
    list_studies,
    save_network,
)
from tests.examples import records as examples


def test_a_study_comes_back(store: Store) -> None:
    created = add_study(store, examples.study())
    assert created.id is not None
    assert replace(created, id=None) == examples.study()
    assert get_study(store, "resnet") == created
    assert find_study(store, "resnet") == created


def test_a_name_is_used_once(store: Store) -> None:
    add_study(store, examples.study())
    with pytest.raises(StudyError, match=r"there is a study 'resnet' in .* already"):
        add_study(store, examples.study())


def test_an_unknown_study_is_explained(store: Store) -> None:
    assert find_study(store, "resnet") is None
    with pytest.raises(StudyError, match=r"no study 'resnet' in .*; it has none yet"):
        get_study(store, "resnet")
    add_study(store, examples.study())
    with pytest.raises(StudyError, match="did you mean 'resnet'"):
        get_study(store, "resnt")
    with pytest.raises(StudyError, match="it has 'resnet'"):
        get_study(store, "vgg")


def test_a_list_counts_trials_and_names_the_best(store: Store) -> None:
    estimated, measured, empty = (
        add_study(store, examples.study(name)) for name in ("first", "second", "third")
    )
    trials.add_trial(store, estimated, examples.trial(300.0))
    trials.add_trial(store, estimated, examples.trial(200.0))
    trials.add_trial(store, estimated, examples.rejected_trial())
    trials.add_trial(store, estimated, examples.trial(1.0, TimeKind.ESTIMATED, examples.REJECTION))
    trials.add_trial(store, measured, examples.trial(100.0))
    trials.add_trial(store, measured, examples.trial(250.0, TimeKind.MEASURED))
    assert list_studies(store) == [
        StudySummary(estimated, 4, 2, 200.0, TimeKind.ESTIMATED),
        StudySummary(measured, 2, 2, 250.0, TimeKind.MEASURED),
        StudySummary(empty),
    ]


def test_a_deleted_study_takes_its_trials_along_and_leaves_the_rest(store: Store) -> None:
    kept = add_study(store, examples.study("kept"))
    gone = add_study(store, examples.study("gone"))
    probes.save_probes(store, [examples.probe()])
    for study in (kept, gone):
        trials.add_trial(store, study, examples.trial())
    delete_study(store, "gone")
    assert find_study(store, "gone") is None
    assert len(trials.list_trials(store, kept)) == 1
    found = probes.load_probes(store, ["layer a"], examples.N150, {examples.REVISION})
    assert len(found.probes) == 1
    with store.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM autosched_trial")) == 1


def test_an_unknown_study_cannot_be_deleted(store: Store) -> None:
    with pytest.raises(StudyError, match="no study 'resnet'"):
        delete_study(store, "resnet")


@pytest.mark.parametrize("name", ["x" * 256, "\N{GRINNING FACE}" * 256, "a\0b", "caf\udce9"])
def test_a_name_that_not_every_database_keeps_is_refused_alike(store: Store, name: str) -> None:
    with pytest.raises(StudyError, match=r"256 characters|no text in UTF-8"):
        add_study(store, examples.study(name))


@pytest.mark.parametrize("name", ["a\0b", "caf\udce9"])
def test_a_name_that_is_no_text_is_not_looked_for(store: Store, name: str) -> None:
    for act in (find_study, delete_study):
        with pytest.raises(StudyError, match="no text in UTF-8"):
            act(store, name)


def test_a_longer_name_of_a_former_version_is_found_and_deleted(
    store: Store, sqlite_store: Store
) -> None:
    name = "x" * 300
    assert find_study(store, name) is None
    study = add_study(sqlite_store, examples.study())
    with sqlite_store.writing() as session:
        session.execute(text("UPDATE autosched_study SET name = :name"), {"name": name})
    assert get_study(sqlite_store, name).id == study.id
    delete_study(sqlite_store, name)
    assert find_study(sqlite_store, name) is None


def test_the_longest_name_is_kept(store: Store) -> None:
    name = "ä" * LONGEST_NAME
    add_study(store, examples.study(name))
    assert get_study(store, name).name == name


def test_a_network_is_kept_once(store: Store) -> None:
    assert find_network(store, "signature") is None
    save_network(store, "signature", {"layers": [1]})
    save_network(store, "signature", {"layers": [2]})
    assert find_network(store, "signature") == {"layers": [1]}
