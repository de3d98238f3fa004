from dataclasses import replace
from datetime import timedelta

import pytest

from autosched.report.page.page import contents, render_page
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


def test_what_was_judged_is_at_the_top_with_its_kind(probed: Store, studied: Studied) -> None:
    source = source_of(probed, studied)
    assert source.best is not None
    assert source.best.schedule is not None
    for found, said in (
        ({"emulated_pcc": 0.99412, "min_pcc": 0.99}, ("0.9941", "emulated, at least 0.99 asked")),
        (
            {"emulated_pcc": 0.98, "emulated_metric": 0.7612, "min_metric": 0.75},
            ("0.9800", "emulated, metric 0.7612, at least a metric of 0.75 asked"),
        ),
        (
            {"executed_on": "simulator", "executed_verdict": "right", "executed_pcc": 0.9989},
            ("0.9989", "executed on the simulator"),
        ),
    ):
        made = replace(source.best.schedule.provenance, **found)
        best = replace(source.best, schedule=replace(source.best.schedule, provenance=made))
        (card,) = (
            card for card in contents(replace(source, best=best))["cards"] if card["title"] == "PCC"
        )
        assert card["value"] == said[0]
        assert card["note"].startswith(said[1])


def test_restrictions_are_told(probed: Store, studied: Studied) -> None:
    source = source_of(probed, studied)
    pinned = ["conv*:shard_layout=height", "a:configuration=12", "b:configuration=34"]
    settings = {**source.record.settings, "pinned": pinned}
    record = replace(source.record, settings=settings)
    told = dict(contents(replace(source, record=record))["provenance"])
    assert told["pinned"] == "conv*:shard_layout=height"
    assert told["frozen"].startswith("2 layers")
    assert "forbidden" not in told


def test_the_search_takes_one_time(probed: Store, studied: Studied) -> None:
    """The picture and the table count from the study's start, its probes included."""
    source = source_of(probed, studied)
    later = replace(
        source.record, created_at=min(t.started_at for t in source.trials) - timedelta(hours=1)
    )
    shown = contents(replace(source, record=later))
    whole = dict(shown["cost"])["from the study's start to its last trial"]
    assert whole.startswith("1 h")
    assert shown["progress"]["last_time"] == whole
    assert all(dot["left"] > 90 for dot in shown["progress"]["by_time"]["dots"])


def test_what_changes_a_layout_is_counted_by_where(probed: Store, studied: Studied) -> None:
    shown = contents(source_of(probed, studied))
    rows = shown["reshards"]
    told = {by: sum(row.by == by for row in rows) for by in ("schedule", "ttnn")}
    assert min(told.values()) > 0
    assert shown["graph"]["reshards"].startswith(f"{told['schedule']} edge")
    inside = f"{told['ttnn']} by ttnn itself, inside a layer"
    assert shown["graph"]["not_drawn"].endswith(inside)
    assert shown["changes"].startswith(f"{told['schedule']} on edges of the network, ")
    assert shown["changes"].endswith(inside)
    drawn = {line["tip"] for line in shown["graph"]["lines"] if line["reshard"]}
    assert len(drawn) == told["schedule"]
