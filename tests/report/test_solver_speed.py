from io import StringIO
from pathlib import Path

from rich.console import Console

from autosched.bench.speed import SolverSpeed
from autosched.report.bench_tables import print_speeds, speeds_markdown, write_growth


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
