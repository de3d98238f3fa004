import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from autosched.device.revisions import current_revisions
from autosched.errors import StoreError, StudyError
from autosched.store.database import Store
from autosched.store.optuna_mirror import forget_study
from autosched.store.probes import load_probes
from autosched.store.studies import list_studies
from tests.examples.studied import Studied
from tests.search.test_study import fresh


def test_a_study_goes_with_its_mirror_and_leaves_its_probes(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        study.optimize(trials=2)
        signatures = [study.network.layer_signature(layer) for layer in study.network]
    assert "fresh" in optuna.get_all_study_names(probed.url)
    forget_study(probed, "fresh")
    assert "fresh" not in optuna.get_all_study_names(probed.url)
    assert "fresh" not in [item.study.name for item in list_studies(probed)]
    assert load_probes(probed, signatures, study._book._key, current_revisions()).probes
    with pytest.raises(StudyError, match="there is no study 'fresh'"):
        forget_study(probed, "fresh")


def test_a_mirror_of_another_optuna_is_a_clear_error(studied: Studied, probed: Store):
    """The study itself is gone all the same."""
    fresh(studied, probed).close()
    with probed.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'v99.0.a'"))
    with pytest.raises(StoreError, match=r"'fresh' is deleted, but Optuna cannot delete its"):
        forget_study(probed, "fresh")
    assert "fresh" not in [item.study.name for item in list_studies(probed)]


def test_a_locked_mirror_is_a_clear_error(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
):
    fresh(studied, probed).close()

    def locked(**_: object) -> None:
        raise StorageInternalError from OperationalError("", {}, Exception("database is locked"))

    monkeypatch.setattr("autosched.store.optuna_mirror.optuna.delete_study", locked)
    with pytest.raises(StoreError, match="is locked: another process"):
        forget_study(probed, "fresh")


def test_a_study_without_a_mirror(studied: Studied, probed: Store):
    fresh(studied, probed).close()
    forget_study(probed, "fresh")
    assert "fresh" not in [item.study.name for item in list_studies(probed)]
