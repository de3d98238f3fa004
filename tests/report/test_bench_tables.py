from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from autosched.bench.comparison import MethodResult, MethodRun, NetworkComparison, Point
from autosched.bench.speed import SolverSpeed
from autosched.report.bench_tables import (
    comparison_markdown,
    print_comparison,
    print_speeds,
    rows,
    speeds_markdown,
    time_kind,
    write_growth,
    write_plot,
)
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind

REFUSED = Rejection(RejectionKind.INVALID, "no", "conv1")


def ran(latency_us, kind=TimeKind.ESTIMATED):
    return Point(latency_us, kind, 1.5, reshards=7, peak_l1_bytes=2048)


COMPARISON = NetworkComparison(
    network="resnet50",
    board="n150",
    batch=16,
    bound_us=1000.0,
    any_order_us=1000.0,
    optimal=True,
    bound_kind="estimated",
    bound_estimated_share=1.0,
    methods=(
        MethodResult("default", (MethodRun(None, (Point(None, None, 1.0, rejection=REFUSED),)),)),
        MethodResult("random", (MethodRun(0, (ran(2500.0), ran(1500.0))),)),
        MethodResult("joint", (MethodRun(0, (ran(1000.0),)),)),
    ),
    probing_s=12.0,
    probes={"run": 40, "reused": 1234},
    cost_model="model-1",
)


def test_a_row_has_the_methods_figures():
    default, random, joint = rows(COMPARISON)
    assert default == ("default", "-", "-", "-", "-", "-", "1 of 1", "-", "-")
    assert random == ("random", "1,500.0", "1.500", "-", "-", "-", "0 of 2", "7", "2")
    assert joint == ("joint", "1,000.0", "1.000", "-", "1", "1.5", "0 of 1", "7", "2")


def test_several_seeds_are_a_median_and_a_range():
    runs = tuple(MethodRun(seed, (ran(us),)) for seed, us in enumerate((1200.0, 1100.0, 1400.0)))
    several = replace(COMPARISON, methods=(MethodResult("mutation", runs),))
    (row,) = rows(several)
    assert row[:4] == ("mutation", "1,200.0", "1.200", "1.100-1.400")
    page = comparison_markdown([several, several], "autosched bench x.py")
    assert "| 1,000.0 | 1.200 (1.100-1.400) |" in page
    equal = tuple(MethodRun(seed, (ran(1000.0),)) for seed in range(2))
    same = replace(COMPARISON, methods=(MethodResult("joint", equal),))
    assert "| 1,000.0 | 1.000 |" in comparison_markdown([same, same], "autosched bench x.py")


def test_the_legend_speaks_of_optunas_samplers_where_they_take_part():
    words = "tpe its first 10 and nsga2 its first 50"
    assert words in comparison_markdown([COMPARISON], "autosched bench x.py")
    others = replace(COMPARISON, methods=COMPARISON.methods[::2])
    page = comparison_markdown([others], "autosched bench x.py")
    assert words not in page
    assert "`random`" not in page


def test_times_carry_their_kind():
    assert time_kind(COMPARISON) == "estimated by cost model model-1"
    measured = MethodResult("joint", (MethodRun(0, (ran(900.0, TimeKind.MEASURED),)),))
    mixed = replace(COMPARISON, methods=(*COMPARISON.methods, measured))
    assert time_kind(mixed) == "estimated by cost model model-1 and measured"


def test_the_screen_fits_80_columns_and_names_bound_and_probes(capsys: pytest.CaptureFixture[str]):
    runs = tuple(MethodRun(seed, (ran(us),) * 30) for seed, us in enumerate((12000.0, 25000.0)))
    mutation = MethodResult("mutation", runs)
    print_comparison(
        Console(width=80), replace(COMPARISON, methods=(*COMPARISON.methods, mutation))
    )
    shown = capsys.readouterr().out
    table = [line for line in shown.splitlines() if line.startswith(("method", "mutation"))]
    assert len(table) == 2
    assert all(len(line.rstrip()) <= 80 for line in table)
    text = " ".join(shown.split())
    assert "choices: 1,000.0 µs (estimated); the best is 0.0% over it." in text
    assert "40 probes run, 1,234 reused" in shown
    assert "0 of 30" in table[1]
    assert "12.000-25.000" in table[1]


def test_a_bound_of_one_order_of_the_layers_says_so():
    page = comparison_markdown([replace(COMPARISON, any_order_us=950.0)], "autosched bench x.py")
    assert (
        "1,000.0 µs (estimated) in this order of the layers, 950.0 µs in any; the best is 0.0%"
        in page
    )


def test_what_was_published_of_hand_tuned_choices_is_said_beside_the_table():
    times = {(90.0, 110.0): "published at 90.0 to 110.0 µs", (90.0, 90.0): "published at 90.0 µs"}
    for published, words in times.items():
        page = comparison_markdown([replace(COMPARISON, published_us=published)], "bench")
        assert f"hand-tuned choices are from was {words} on silicon." in page
    assert "published at" not in comparison_markdown([COMPARISON], "bench")


def test_markdown_has_a_table_for_each_network_and_the_command():
    page = comparison_markdown(
        [COMPARISON, replace(COMPARISON, network="vgg16")], "autosched bench x.py"
    )
    assert page.count("| method |") == 2
    assert "| resnet50 on n150, batch 16 | 1,000.0 | - | 1.500 | 1.000 |" in page
    assert "## resnet50 on n150, batch 16" in page
    assert "`autosched bench x.py`" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {6, 10}


def test_the_plot_stands_alone_and_has_a_line_for_each_method(tmp_path):
    file = tmp_path / "bench.html"
    write_plot([COMPARISON], file)
    page = file.read_text(encoding="utf-8")
    assert all(f'"name":"{name}"' in page for name in ("default", "random", "joint"))
    assert "proven bound 1,000.0" in page
    assert '"y":[null,null]' in page.replace(" ", "")
    assert 'src="http' not in page


def test_a_bound_carries_its_kind():
    mixed = replace(COMPARISON, bound_kind="mixed", bound_estimated_share=0.25)
    page = comparison_markdown([COMPARISON, mixed], "autosched bench x.py")
    assert "1,000.0 µs (mixed, 25.0% of it estimated); the best" in page
    assert "bound in µs (estimated and mixed), then" in page
    plain = mixed.to_plain()
    assert (plain["bound_kind"], plain["bound_estimated_share"]) == ("mixed", 0.25)


def speed(network: str, layers: int, gap: float = 0.0) -> SolverSpeed:
    return SolverSpeed(
        network=network,
        board="n150",
        batch=1,
        layers=layers,
        candidates=10 * layers,
        left_out=7,
        bound_us=800.0,
        bound_kind="estimated",
        bound_estimated_share=1.0,
        optimal=gap == 0.0,
        gap=gap,
        states=1234,
        seconds=0.0125,
        proof_s=0.25,
        peak_bytes=3 << 19,
        proposal_ms=21.4,
        longest_proposal_ms=46.0,
    )


SPEEDS = [speed("resnet152", 211, gap=0.004), speed("resnet18", 34)]


def test_a_page_has_a_row_for_each_network() -> None:
    lines = speeds_markdown(SPEEDS).splitlines()
    assert (
        "| resnet152 on n150, batch 1 | 211 | 2,110 | 0.013 | 0.250 | 1.5 | 1,234 | 0.4% | 21 "
        "| 46 |"
    ) in lines
    assert (
        "| resnet18 on n150, batch 1 | 34 | 340 | 0.013 | 0.250 | 1.5 | 1,234 | 0 | 21 | 46 |"
        in lines
    )


def test_a_row_fits_on_a_narrow_screen() -> None:
    console = Console(width=80, file=StringIO())
    with console.capture() as captured:
        print_speeds(console, SPEEDS)
    lines = captured.get().splitlines()
    assert any(line.startswith("resnet152 on n150") and "211" in line for line in lines)
    assert "resnet152 0.250, resnet18 0.250" in " ".join(captured.get().split())


def test_the_plot_works_offline(tmp_path: Path) -> None:
    write_growth(SPEEDS, tmp_path / "growth.html")
    page = (tmp_path / "growth.html").read_text()
    assert "resnet152" in page
    assert 'src="http' not in page
