from dataclasses import replace

import pytest

from autosched.report.page.contents import contents
from autosched.report.page.page import render_page
from autosched.schedule.outcomes import TimeKind
from autosched.store.database import Store
from tests.examples.studied import Studied
from tests.report.page.made import source_of


def test_the_bars_add_up_to_the_latency(probed: Store, studied: Studied) -> None:
    rows = contents(source_of(probed, studied))["bars"]["rows"]
    for side, latency_us in (
        ("before", studied.trials[0].latency_us),
        ("after", studied.best.latency_us),
    ):
        total = sum(row[side]["time_us"] for row in rows if row[side])
        assert total == pytest.approx(latency_us)
    shown = {row["layer"] for row in rows} - {"reshards between layers"}
    assert shown == set(studied.network.by_name)


def test_a_study_without_a_trial_has_a_page(probed: Store, studied: Studied) -> None:
    source = replace(
        source_of(probed, studied),
        trials=[], best=None, default=None, margin=None, proof=None, unprobed="all of it",
    )  # fmt: skip
    page = render_page(source)
    assert "none yet" in page
    assert "all of it" in page
    for section in ("progress", "bars", "memory", "surprises"):
        assert f'<section id="{section}">' not in page
    assert '<section id="graph">' in page


def test_a_measured_study_says_so(probed: Store, studied: Studied) -> None:
    """The same trial as a card's: its time is measured, what it goes to is not."""
    source = source_of(probed, studied)
    assert source.best is not None
    untimed = tuple(replace(op, time_ns=None) for op in source.best.ops)
    best = replace(
        source.best,
        latency_kind=TimeKind.MEASURED, latency_std_us=1.5, cost_model="", ops=untimed,
    )  # fmt: skip
    page = render_page(replace(source, best=best, margin=None))
    assert "± 1.5, measured" in page
    assert "though the latency is measured" in page


def test_layers_on_few_cores_are_named(probed: Store, studied: Studied) -> None:
    source = source_of(probed, studied)
    wide = replace(source, board=replace(source.board, grid=(20, 20)))
    named = {row["layer"] for row in contents(wide)["surprises"]}
    assert named > {row["layer"] for row in contents(source)["surprises"]}
