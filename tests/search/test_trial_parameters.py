from dataclasses import replace

import optuna

from autosched.schedule.configurations import Conv2dConfig, FixedConfig, MatmulConfig
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import DRAM_TILE, DataType, Edge, ShardLayout
from autosched.search.trial import parameters

SCHEDULE = Schedule(
    Provenance("net", "signature", "n150", "0.81.1"),
    {
        "a": Conv2dConfig(shard_layout=ShardLayout.BLOCK, weights_dtype=DataType.BFLOAT4_B),
        "b": Conv2dConfig(),
        "c": Conv2dConfig(slicing="dram_height", num_slices=2),
        "d": MatmulConfig(output="width"),
        "e": FixedConfig(DRAM_TILE),
    },
    {Edge("a", "b"): DRAM_TILE},
)


def test_a_trial_in_few_words() -> None:
    values, distributions = parameters(SCHEDULE, ["a", "b", "c", "d", "gone"])
    assert values == {
        "reshards": 1,
        "weights": "bfloat4_b",
        "activations": "bfloat8_b",
        "fidelity": "LoFi",
        "layout of a": "block",
        "layout of b": "ttnn's",
        "layout of c": "sliced",
        "layout of d": "width",
    }
    assert values.keys() == distributions.keys()
    for name, value in values.items():
        assert distributions[name]._contains(distributions[name].to_internal_repr(value))


def test_optuna_compares_what_trials_chose() -> None:
    study = optuna.create_study()
    for layout, latency_us in ((ShardLayout.BLOCK, 1.0), (ShardLayout.HEIGHT, 9.0)):
        for reshards in range(6):
            edges = {Edge("a", str(number)): DRAM_TILE for number in range(reshards)}
            layers = {**SCHEDULE.layers, "a": Conv2dConfig(shard_layout=layout)}
            values, distributions = parameters(
                replace(SCHEDULE, layers=layers, reshards=edges), ["a", "b"]
            )
            study.add_trial(
                optuna.trial.create_trial(
                    value=latency_us, params=values, distributions=distributions
                )
            )
    importance = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert max(importance, key=lambda name: importance[name]) == "layout of a"
