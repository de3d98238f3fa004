import io
from dataclasses import replace

import pytest
from rich.console import Console

from autosched.budget import UNLIMITED
from autosched.cli.steps.stored_run import explanation_of, one_layer
from autosched.cost.model import CostModel
from autosched.network.operators import Conv2d
from autosched.probing.stored_answers import Asked
from autosched.report.explanation.explanation import explain_choice
from autosched.report.explanation.explanation_tables import price_lines, print_explanation
from autosched.report.output import make_console
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind
from autosched.search.stored_study import StoredStudy, read_study
from autosched.store.database import Store
from autosched.store.trials import best_of
from tests.examples.studied import Studied


@pytest.fixture
def stored(probed: Store, studied: Studied) -> StoredStudy:
    return read_study(probed, studied.record)


def a_convolution(study: StoredStudy) -> str:
    return next(layer.name for layer in study.network if isinstance(layer.op, Conv2d))


def test_turndowns_that_differ_in_numbers_are_one(stored: StoredStudy, cost: CostModel) -> None:
    name = a_convolution(stored)
    ran = next(item for item in stored.asked(name) if item.probed)
    said = [
        Asked(ran.request, Rejection(RejectionKind.INVALID, text))
        for text in ("needs 3,072 bytes\nof 12", "needs 9 bytes of 4", "is something else")
    ]
    found = explain_choice(stored.network.by_name[name], [ran, *said], cost, None, {}, trial=None)
    assert [len(item.asked) for item in found.turndowns] == [2, 1]
    assert found.turndowns[0].message == "needs 3,072 bytes\nof 12"
    assert len(found.to_plain()["rejected"]) == 3


@pytest.mark.parametrize("is_terminal", [False, True])
def test_ttnns_words_are_cut_on_a_terminal_alone(
    stored: StoredStudy, cost: CostModel, is_terminal: bool
) -> None:
    name = a_convolution(stored)
    ran = next(item for item in stored.asked(name) if item.probed)
    long = Asked(ran.request, Rejection(RejectionKind.INVALID, "too long " * 40 + "end"))
    found = explain_choice(stored.network.by_name[name], [long], cost, None, {}, trial=None)
    file = io.StringIO()
    console = Console(file=file, width=2000, force_terminal=is_terminal, color_system=None)
    print_explanation(console, found, 3)
    assert ("…" in file.getvalue()) == is_terminal
    assert ("too long end" in file.getvalue()) != is_terminal


def test_control_characters_of_a_name_are_escapes(
    stored: StoredStudy, cost: CostModel, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = replace(stored.network.by_name[a_convolution(stored)], name="evil\x1b[31m")
    found = explain_choice(layer, [], cost, None, {}, trial=None)
    print_explanation(make_console(), found, 3)
    assert "evil\\x1b[31m" in capsys.readouterr().out


def test_a_trade_is_told_where_there_is_one(probed: Store, stored: StoredStudy) -> None:
    best = best_of(probed, stored.record)
    for layer in stored.network:
        found = explanation_of(stored, best, layer.name, UNLIMITED)
        chosen = found.chosen
        assert chosen is not None
        assert chosen.price is not None
        lines = price_lines(found)
        assert lines
        priced = [item for item in found.candidates if item.price]
        is_fastest = chosen.time_us == priced[0].time_us
        assert lines[0].startswith("The chosen one is the fastest" if is_fastest else "Alone it")
    assert one_layer(stored.network, found.layer.name) == found.layer.name


def test_measured_times_have_errors_of_their_own(stored: StoredStudy, cost: CostModel) -> None:
    name = a_convolution(stored)
    ran = next(item for item in stored.asked(name) if item.probed)
    assert ran.probed is not None
    timed = [
        Asked(
            replace(ran.request, source_layouts=ran.request.source_layouts * (number + 1)),
            replace(ran.probed, time_us=time_us, kind=TimeKind.MEASURED, stderr_log=0.01),
        )
        for number, time_us in enumerate((100.0, 101.0, 110.0))
    ]
    found = explain_choice(stored.network.by_name[name], timed, cost, timed[0], {}, trial=0)
    assert [one.is_within_error for one in found.candidates] == [False, True, False]
    assert [one.is_chosen for one in found.candidates] == [True, False, False]
    chances = [one.probability_slower for one in found.candidates]
    assert chances[0] is None
    assert chances[1] == pytest.approx(0.76, abs=0.01)
    assert chances[2] is not None
    assert chances[2] > 0.999
