"""Taking a study out of the database, its Optuna mirror included."""

from contextlib import suppress

import optuna

from autosched.store.database import Store
from autosched.store.studies import delete_study


def forget_study(store: Store, name: str) -> None:
    """Delete a study, its trials and its mirror; probes stay, as other studies use them.

    Raises:
        StudyError: if there is none.
        StoreError: if the database refuses.
    """
    delete_study(store, name)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # A study that was never searched has no mirror.
    with suppress(KeyError):
        optuna.delete_study(study_name=name, storage=store.url)
