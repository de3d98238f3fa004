import json

import pytest
from hypothesis import given, settings

from autosched.errors import ScheduleError
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.serialization import (
    canonical_json,
    digest,
    from_plain,
    to_plain,
    with_freeing_flag,
)
from autosched.schedule.tensors import DRAM_TILE, PageLayout, TensorInfo
from tests.examples import records
from tests.examples.schedules import BLOCK_60, HEIGHT_64, configs, schedules, small_schedule


def through_json(plain: object) -> object:
    return json.loads(json.dumps(plain))


@settings(max_examples=100)
@given(config=configs)
def test_every_kind_of_configuration_comes_back_equal(config: LayerConfig) -> None:
    assert from_plain(LayerConfig, through_json(to_plain(config))) == config


@settings(max_examples=30)
@given(schedule=schedules())
def test_a_schedule_comes_back_equal(schedule: Schedule) -> None:
    back = from_plain(Schedule, through_json(to_plain(schedule)))
    assert back == schedule
    assert back.fingerprint() == schedule.fingerprint()


OP = DeviceOp(
    "Conv2dDeviceOperation",
    "Conv2dParams(...)",
    (TensorInfo((1, 1, 3136, 64), HEIGHT_64),),
    (TensorInfo((1, 1, 3136, 64), BLOCK_60),),
    factory="Conv2dShardedProgramFactory",
    cores=49,
    circular_buffer_bytes=123_456,
    layer="layer1.0.conv1",
    time_ns=12_345.5,
)


@pytest.mark.parametrize(
    "outcome",
    [
        ProbeOutcome((OP,), (HEIGHT_64,), BLOCK_60, 700_000, 123_456, 8_192, None),
        RunOutcome((OP, OP), {"layer1.0.conv1": BLOCK_60}, 900_000, 812.5, 1.25),
        Rejection(RejectionKind.CIRCULAR_BUFFER_CLASH, "clash with L1 buffers", "conv1"),
    ],
)
def test_an_outcome_comes_back_equal(outcome: object) -> None:
    assert from_plain(type(outcome), through_json(to_plain(outcome))) == outcome


def without(plain: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in plain.items() if name != key}


CONV = to_plain(Conv2dConfig())


def test_reading_leaves_the_plain_value_as_it_is() -> None:
    plain = to_plain(Conv2dConfig())
    from_plain(LayerConfig, plain)
    assert plain == CONV


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (
            {**CONV, "shard_layout": "hight"},
            r"at\.shard_layout: 'hight' is not one of interleaved,",
        ),
        ({**CONV, "act_block_h_override": "64"}, r"act_block_h_override: expected int, not '64'"),
        ({**CONV, "act_block_h_override": True}, "expected int, not True"),
        ({**CONV, "full_inner_dim": 1}, "full_inner_dim: expected bool, not 1"),
        ({**CONV, "act_block": 64}, "at: unknown field act_block"),
        ({**CONV, "kind": "conv3d"}, "at: unknown kind of configuration 'conv3d'"),
        (without(CONV, "kind"), "unknown kind of configuration 'None'"),
        ({**CONV, "compute": "LoFi"}, r"at\.compute: expected a mapping, not 'LoFi'"),
        ({**CONV, "core_grid": 8}, r"at\.core_grid: expected a list, not 8"),
        ({**CONV, "core_grid": [{"x0": 0}]}, "missing 3 required"),
        ({"kind": "matmul", "core_grid": [8]}, r"core_grid: expected 2 values, not \[8\]"),
        ([], "unknown kind of configuration ''"),
    ],
)
def test_an_illegal_plain_value_is_named_with_its_place(plain: object, words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        from_plain(LayerConfig, plain, "at")


PROVENANCE = to_plain(Provenance("n", "s", "n150", "0.81.1"))


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (
            {"layers": {"conv1": {**CONV, "shard_layout": "hight"}}},
            r"^Schedule\.layers\['conv1'\]\.shard_layout: 'hight' is not one of interleaved,",
        ),
        (
            {"layers": {}, "reshards": {"a -> b": {"grid": [{"x0": 0, "y0": "1"}]}}},
            r"^Schedule\.reshards\['a -> b'\]\.grid\.y0: expected int, not '1'",
        ),
        ({"layers": {}, "moves": {"ab": {}}}, r"^Schedule\.moves: 'ab' is not an edge such as"),
        ({"layers": {}, "moves": {"a -> b": 0}}, r"moves\['a -> b'\]: expected a mapping, not 0"),
        (
            {"layers": {}, "moves": {"a -> b": {"page": []}}},
            r"\]\.page: \[\] is not one of tile, row",
        ),
    ],
)
def test_a_place_deep_in_a_schedule_is_named(tables: dict[str, object], words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        from_plain(Schedule, {"provenance": PROVENANCE, **tables})


def test_a_schedule_without_layers_is_refused() -> None:
    with pytest.raises(ScheduleError, match="missing 1 required positional argument: 'layers'"):
        from_plain(Schedule, {"provenance": PROVENANCE})
    with pytest.raises(ScheduleError, match="layers: expected a mapping"):
        from_plain(Schedule, {"layers": []})


def test_an_integer_stands_for_a_float() -> None:
    made = to_plain(Provenance("n", "s", "n150", "0.81.1", latency_us=812.0))
    back = from_plain(Provenance, {**made, "latency_us": 812})
    assert back.latency_us == 812.0


@pytest.mark.parametrize("latency_us", [812, 812.0])
def test_what_is_read_has_the_digest_of_what_was_written(latency_us: float) -> None:
    plain = to_plain(Provenance("n", "s", "n150", "0.81.1", latency_us=latency_us))
    assert digest(from_plain(Provenance, plain)) == digest(plain)


def test_a_digest_does_not_change_between_runs_and_versions() -> None:
    # Stored probes are found by it: a new value here orphans every database.
    assert digest({"b": [1, 2.5, None], "a": "ü"}) == "703dceec79c30480"
    assert canonical_json({"b": 1, "a": [True]}) == '{"a":[true],"b":1}'


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (Conv2dConfig(), "8663740317ba3e94"),
        (Conv2dConfig(slicing="dram_width", num_slices=4, fold_input=True), "1e41e295d6ad9c60"),
        (MatmulConfig(), "59b80f9ed88b9fac"),
        (MatmulConfig(core_grid=(8, 4), output="width"), "e6ebd185bb034629"),
        (PoolConfig(output_page=PageLayout.ROW_MAJOR), "95f64f72a298698f"),
        (PoolConfig(slicing="dram_height", num_slices=2), "995518303a64dd23"),
        (EltwiseConfig(layout=records.layout()), "cfa3493c0bd25943"),
        (FixedConfig(output=records.layout(96), method="permute"), "143b729926e92622"),
        (DRAM_TILE, "74e72111b5f071e7"),
        (BLOCK_60, "4f700a1d4a2bf6f6"),
        ((records.layout(), DRAM_TILE), "0bbd731fd8cd1a8c"),
        (small_schedule(), "d34433122813528d"),
    ],
)
def test_the_digests_of_released_versions_stand(words: object, expected: str) -> None:
    # Stored probes are found by them: a new value here makes all stored ones stale.
    assert digest(words) == expected


def test_the_fingerprint_of_a_released_version_stands() -> None:
    assert small_schedule().fingerprint() == "308ea32e213faab8"


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("config", [Conv2dConfig(), PoolConfig()])
def test_a_configuration_that_says_whether_it_frees_is_read(
    config: LayerConfig, flag: bool
) -> None:
    """As older versions stored it; of a schedule it counts."""
    plain = to_plain(with_freeing_flag(config, frees=flag))
    assert from_plain(LayerConfig, plain) == config
    schedule = from_plain(Schedule, {"provenance": PROVENANCE, "layers": {"it": plain}})
    assert schedule.layers == {"it": config}
    assert schedule.frees == ({"it"} if flag else frozenset())


@settings(max_examples=50)
@given(config=configs)
def test_words_have_the_digest_of_their_plain_form(config: LayerConfig) -> None:
    assert digest(config) == digest(to_plain(config))
    assert digest([config, BLOCK_60]) == digest(to_plain([config, BLOCK_60]))


def test_what_is_no_word_has_no_plain_form() -> None:
    with pytest.raises(TypeError):
        to_plain(object())
    with pytest.raises(TypeError):
        canonical_json({"value": object()})
