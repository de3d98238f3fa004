"""Candidates in other formats, as the real mock device answers."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import pytest
import torch
from torch import nn

from autosched.boards import find_board
from autosched.cost.model import CostModel
from autosched.device.machine import ttnn_version
from autosched.device.worker import WorkerDevice
from autosched.network.capture.capture import capture
from autosched.network.graph import Layer, Network
from autosched.probing.candidates import Choice, LayerQuestions, ProbedTables, Tables
from autosched.probing.format_tables import Wanted, allowed_precisions, in_other_formats
from autosched.probing.layer_tables import TableBuilder
from autosched.probing.probe_book import ProbeBook
from autosched.schedule.configurations import (
    Conv2dConfig,
    Precision,
    precision_of,
    with_precision,
)
from autosched.schedule.tensors import DataType, TensorLayout
from autosched.space.efforts import find_effort
from autosched.space.formats import PRECISIONS, FormatPin, Formats
from autosched.space.layer_formats import LayerFormats
from autosched.space.layers import Option
from autosched.store.database import open_store
from autosched.store.probes import DeviceKey

QUICK = find_effort("quick")
BOARD = find_board("n150")


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(32, 64, 3, padding=1)
        self.second = nn.Conv2d(64, 64, 3, padding=1)
        self.last = nn.Conv2d(64, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        return cast("torch.Tensor", self.last((self.second(x) + x).relu()))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return capture(_Net().eval(), (torch.randn(1, 32, 32, 32),), "net", check=False)


def exactness(_layer: str, choice: Choice) -> float:
    """Fewer bits, more loss: enough to tell precisions apart."""
    precision = precision_of(choice.config)
    known = [PRECISIONS.index(precision)] if precision in PRECISIONS else [0]
    return 1.0 / (1 + known[0]) + 0.01 * (choice.output_layout.dtype is not DataType.BFLOAT16)


class _Changed:
    """Answers of which a function makes others."""

    def __init__(
        self, questions: LayerQuestions, change: Callable[[list[Choice]], list[Choice]]
    ) -> None:
        self._questions, self._change = questions, change

    def accepted(
        self, layer: Layer, options: Sequence[Option], known: list[Any]
    ) -> Generator[Any, Any, list[Choice]]:
        found = yield from self._questions.accepted(layer, options, known)
        return self._change(found)


def never_executed(choices: list[Choice]) -> list[Choice]:
    return [replace(choice, is_executed=False) for choice in choices]


def inexact(choices: list[Choice]) -> list[Choice]:
    """Nothing more exact than bfloat8_b and LoFi, as where L1 is full."""
    return [choice for choice in choices if precision_of(choice.config) in PRECISIONS[:2]]


class Asked(NamedTuple):
    """Tables in one format, and in others: worth their loss, all, of kinds never executed, ...

    those with what was built in the most exact formats beside, and within what is allowed; where
    exact formats do not fit, with much and with little allowed; where schedules with any but the
    fastest candidate of ``second`` take much longer.
    """

    plain: ProbedTables
    worth: ProbedTables
    every: ProbedTables
    unexecuted: ProbedTables
    exact: ProbedTables
    within: ProbedTables
    enough: ProbedTables
    lacking: ProbedTables
    promising: ProbedTables


@pytest.fixture(scope="module")
def tables(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Build the tables in one format, and ask for others in each way."""
    place = tmp_path_factory.mktemp("formats") / "probes.sqlite3"
    formats = LayerFormats(network, Formats())
    with WorkerDevice(BOARD) as device, open_store(f"sqlite:///{place}") as store:
        device.load(network)
        key = DeviceKey(BOARD.name, "mock", ttnn_version())
        book = ProbeBook(store, device, key, CostModel.load(BOARD.arch))
        builder = TableBuilder(network, formats, BOARD, QUICK, book)
        plain = builder.build(lambda *_: None)
        unexecuted = cast("LayerQuestions", _Changed(builder.questions, never_executed))
        full = cast("LayerQuestions", _Changed(builder.questions, inexact))

        slow_but_for_the_fastest = {
            name: [0.4 * choices[0].time_us * (name == "second" and n > 0) for n in places]
            for name, choices in plain.kept.items()
            for places in [range(len(choices))]
        }

        def tables_of(
            wanted: Wanted | None,
            questions: LayerQuestions = builder.questions,
            exact: Callable[[Sequence[Layer]], Tables] = lambda _layers: {},
            more_us: Mapping[str, Sequence[float]] = MappingProxyType({}),
        ) -> ProbedTables:
            return in_other_formats(
                *(network, plain, formats, questions, book),
                wanted=wanted,
                more_us=more_us,
                exact=exact,
                effort=QUICK,
                progress=lambda *_: None,
            )

        def in_exact_formats(layers: Sequence[Layer]) -> Tables:
            own = LayerFormats(network, Formats().most_exact)
            return TableBuilder(network, own, BOARD, QUICK, book).of_convolutions(
                layers, lambda *_: None
            )

        yield Asked(
            plain,
            worth=tables_of(Wanted(exactness)),
            every=tables_of(None),
            unexecuted=tables_of(Wanted(exactness), unexecuted),
            exact=tables_of(Wanted(exactness), unexecuted, in_exact_formats),
            within=tables_of(Wanted(exactness, allowed=0.12)),
            enough=tables_of(Wanted(exactness, allowed=20.0), full, in_exact_formats),
            lacking=tables_of(Wanted(exactness, allowed=0.12), full, in_exact_formats),
            promising=tables_of(Wanted(exactness), more_us=slow_but_for_the_fastest),
        )


def precisions(tables: ProbedTables, layer: str) -> set[Precision | None]:
    return {precision_of(choice.config) for choice in tables.kept[layer]}


def formats_of(tables: ProbedTables, layer: str) -> set[tuple[str, ...]]:
    return {tuple(layout.dtype.value for layout in choice.layouts) for choice in tables.kept[layer]}


def test_a_convolution_comes_in_every_precision(tables: Asked) -> None:
    plain, every = tables.plain, tables.every
    assert len(precisions(plain, "second")) == 1
    assert precisions(every, "second") >= set(PRECISIONS)


def test_a_precision_that_is_no_faster_than_a_more_exact_one_is_left_out(tables: Asked) -> None:
    worth, every = tables.worth, tables.every
    assert PRECISIONS[-1] in precisions(worth, "second")
    assert len(precisions(worth, "second")) <= len(precisions(every, "second"))
    times = {
        precision: min(
            choice.time_us
            for choice in worth.kept["second"]
            if precision_of(choice.config) == precision
        )
        for precision in precisions(worth, "second")
    }
    ranked = sorted(times, key=lambda item: -PRECISIONS.index(cast("Precision", item)))
    assert [times[item] for item in ranked] == sorted(times.values(), reverse=True)


def test_inputs_and_output_come_in_both_formats(tables: Asked) -> None:
    plain, worth = tables.plain, tables.worth
    assert formats_of(plain, "second") == {("bfloat16", "bfloat8_b")}
    assert formats_of(worth, "second") == {("bfloat16", "bfloat8_b"), ("bfloat16", "bfloat16")}
    assert ("bfloat16", "bfloat16", "bfloat16") in formats_of(worth, "add")


def test_slower_candidates_have_all_tensors_in_one_format(tables: Asked) -> None:
    """The second summand of the sum is in bfloat16 either way."""

    def in_block_floats(choice: Choice) -> tuple[TensorLayout, ...]:
        first, second, output = choice.layouts
        dtype = DataType.BFLOAT8_B
        return replace(first, dtype=dtype), second, replace(output, dtype=dtype)

    plain = tables.plain.kept["add"]
    times = {choice.layouts: choice.time_us for choice in reversed(plain)}
    near = 1.05 * plain[0].time_us
    seen = {
        (times[in_block_floats(choice)] <= near, choice.layouts[0].dtype is choice.layouts[2].dtype)
        for choice in tables.every.kept["add"]
    }
    assert seen == {(True, True), (True, False), (False, True)}


def test_what_was_never_executed_is_not_offered_and_counted(tables: Asked) -> None:
    plain, worth, unexecuted = tables.plain, tables.worth, tables.unexecuted
    assert len(unexecuted.kept["second"]) < len(worth.kept["second"])
    new = set(unexecuted.kept["second"]) - set(plain.kept["second"])
    assert all(choice.is_executed for choice in new)
    assert unexecuted.kept["add"] == plain.kept["add"]


def test_where_nothing_exact_was_executed_what_exact_formats_have_is_offered(
    tables: Asked,
) -> None:
    most_exact = PRECISIONS[-1]
    assert most_exact not in precisions(tables.unexecuted, "second")
    assert most_exact in precisions(tables.exact, "second")
    assert all(choice.is_executed for choice in tables.exact.kept["second"])


def test_where_nothing_exact_fits_what_exact_formats_have_is_offered(tables: Asked) -> None:
    most_exact = PRECISIONS[-1]
    assert most_exact not in precisions(tables.enough, "second")
    for layer in ("first", "second", "last"):
        assert most_exact in precisions(tables.lacking, layer)


def test_what_loses_far_more_than_is_allowed_is_not_asked(tables: Asked) -> None:
    left = precisions(tables.worth, "second") - precisions(tables.within, "second")
    assert PRECISIONS[0] in left
    assert len(tables.within.kept["second"]) < len(tables.worth.kept["second"])


def test_of_layouts_that_are_alike_the_fastest_comes_in_other_formats(tables: Asked) -> None:
    second = [
        choice for choice in tables.plain.kept["second"] if choice.input_layouts[0].is_sharded
    ]
    ranked: dict[object, list[Choice]] = {}
    for choice in sorted(second, key=lambda item: item.time_us):
        ranked.setdefault(choice.layouts, []).append(choice)
    slower = [choice for same in ranked.values() for choice in same[1:]]
    assert slower
    smallest = [min(same, key=lambda item: item.scratch_bytes) for same in ranked.values()]
    for choice in slower:
        if choice in smallest:
            continue
        config = with_precision(cast("Conv2dConfig", choice.config), PRECISIONS[-1])
        assert not [other for other in tables.worth.kept["second"] if other.config == config]


def test_what_no_fast_schedule_has_comes_in_one_format(tables: Asked) -> None:
    """What differs from it in the format of its output alone has the layout of the fastest."""
    plain, promising = tables.plain.kept["second"], tables.promising.kept["second"]
    fastest, new = plain[0], set(promising) - set(plain)
    assert new
    assert {choice.input_layouts for choice in new} == {fastest.input_layouts}
    assert {replace(c.output_layout, dtype=fastest.output_layout.dtype) for c in new} == {
        fastest.output_layout
    }
    assert len(promising) < len(tables.worth.kept["second"])
    assert tables.promising.kept["add"] == tables.worth.kept["add"]


def test_what_one_format_had_stays(tables: Asked) -> None:
    plain, worth = tables.plain, tables.worth
    for name, choices in plain.kept.items():
        assert min(choice.time_us for choice in worth.kept[name]) <= choices[0].time_us
        assert {choice.layouts for choice in choices} <= {c.layouts for c in worth.kept[name]}


def test_candidates_are_fastest_first(tables: Asked) -> None:
    for choices in tables.worth.kept.values():
        times = [choice.time_us for choice in choices]
        assert times == sorted(times)


def test_pins_leave_one_precision(network: Network) -> None:
    pins = (
        FormatPin("second", "weights_dtype", "bfloat8_b"),
        FormatPin("second", "math_fidelity", "hifi2"),
    )
    formats = LayerFormats(network, Formats(pins=pins))
    found = allowed_precisions(network.by_name["second"], formats)
    assert {(item.weights, item.fidelity) for item in found} == {(DataType.BFLOAT8_B, "HiFi2")}
    assert {item.float32_sums for item in found} == {False, True}
    assert allowed_precisions(network.by_name["add"], formats) == ()
