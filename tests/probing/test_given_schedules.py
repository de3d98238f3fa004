"""A schedule known beforehand joins the candidates of the search."""

from dataclasses import replace

from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Constant, Input
from autosched.network.read_layouts import UPLOADED
from autosched.probing.candidates import Choice
from autosched.probing.given_schedules import known_choices
from autosched.probing.layer_tables import joined
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.schedule.schedule import Schedule
from autosched.search.open_study import open_study
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from autosched.space.layers import Option
from autosched.store.database import Store
from autosched.store.trials import DEFAULT_SAMPLER, GIVEN_SAMPLER
from tests.examples.devices import Scripted
from tests.examples.networks import residual
from tests.examples.studied import QUICK, Studied


def chosen_by(studied: Studied, schedule: Schedule, mute: str = "") -> dict[str, Choice]:
    """What a schedule of the study's tables chose; layer ``mute`` is rejected."""

    def ask(layer: Layer, option: Option) -> list[Choice]:
        return [
            choice
            for choice in studied.joint.tables[layer.name]
            if choice.config == option.config
            and option.input_layouts in (choice.input_layouts, choice.layouts[:1])
            and layer.name != mute
        ][:1]

    return dict(known_choices(studied.network, schedule, ask))


def test_a_schedule_is_asked_in_the_layouts_it_has(either: Studied) -> None:
    """What comes back are the candidates that the schedule was made of."""
    assert either.best.schedule is not None
    selection = either.joint.find(either.best.schedule)
    assert selection is not None
    found = chosen_by(either, either.best.schedule)
    for layer in either.network:
        if layer.inputs:
            wanted = either.joint.tables[layer.name][selection.candidates[layer.name]]
            assert found[layer.name].layouts == wanted.layouts


def test_nothing_is_known_beyond_a_layer_that_is_rejected(either: Studied) -> None:
    assert either.best.schedule is not None
    schedule = replace(either.best.schedule, reshards={})
    first = either.network.layers[0].name
    assert chosen_by(either, schedule, mute=first) == {}


def test_a_constant_is_asked_without_inputs() -> None:
    """Only what the caller hands in is uploaded."""
    shape = (1, 32, 8, 8)
    network = Network(
        "shifted",
        (
            Layer("x", Input(), (), shape),
            Layer("shift", Constant(), (), shape),
            Layer("sum", Binary("add"), ("x", "shift"), shape),
        ),
    )
    asked: dict[str, Option] = {}

    def ask(layer: Layer, option: Option) -> list[Choice]:
        asked[layer.name] = option
        return []

    list(known_choices(network, default_schedule(network, "n150", "0.81.1", Formats()), ask))
    assert asked["x"].input_layouts == (UPLOADED,)
    assert asked["shift"].input_layouts == ()


def test_a_known_candidate_joins_in_its_place(either: Studied) -> None:
    choices = next(iter(either.joint.tables.values()))
    slow = replace(choices[0], time_us=2 * choices[-1].time_us, scratch_bytes=-1)
    fast = replace(choices[0], time_us=choices[0].time_us / 2)
    assert joined(choices, slow) == (*choices, slow)
    assert joined(choices, replace(slow, scratch_bytes=choices[0].scratch_bytes)) == choices
    assert joined(choices, fast)[0] == fast
    assert choices[0] not in joined(choices, fast)


def test_a_search_starts_from_a_schedule(studied: Studied, store: Store) -> None:
    """It runs after ttnn's default, counts as a trial and as a known one when the study goes on."""
    given = studied.best.schedule
    assert given is not None
    with open_study(store, residual(), "n150", QUICK, "given", Scripted(studied.device())) as study:
        study.optimize(trials=2, start=given)
        study.optimize(trials=0, start=given)
        assert [trial.sampler for trial in study.trials] == [DEFAULT_SAMPLER, GIVEN_SAMPLER]
        assert study.best is not None
        assert study.best.latency_us == studied.best.latency_us
        assert study.best.schedule is not None
        assert study.best.schedule.provenance.study == "given"


def test_a_given_schedule_may_be_rejected(studied: Studied, store: Store) -> None:
    given = studied.best.schedule
    assert given is not None
    refusal = Rejection(RejectionKind.L1_OVERFLOW, "no room", studied.network.layers[1].name)
    table = studied.device()
    device = Scripted(
        table,
        run=lambda schedule: (
            refusal if schedule.fingerprint() == given.fingerprint() else table.run(schedule)
        ),
    )
    with open_study(store, residual(), "n150", QUICK, "given", device) as study:
        best = study.optimize(trials=2, start=given)
        assert best is not None
        assert best.sampler == DEFAULT_SAMPLER
        assert study.prepare().find(given) is not None
