"""What a sampler learns of a trial that has run."""

import optuna
from optuna.trial import TrialState

from autosched.search.samplers.joint_sampler import LAYER_TIMES, REJECTION
from autosched.search.trial_runner import times_by_layer
from autosched.store.trials import TrialRecord


def tell(study: optuna.Study, asked: optuna.Trial, record: TrialRecord) -> None:
    """Finish an asked trial with what the device said: op times by layer, or the rejection."""
    if record.rejection is not None:
        asked.set_user_attr(REJECTION, [record.rejection.kind.value, record.rejection.layer])
        study.tell(asked, state=TrialState.PRUNED)
    else:
        asked.set_user_attr(LAYER_TIMES, times_by_layer(record.ops))
        study.tell(asked, record.latency_us)
