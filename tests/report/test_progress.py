import io
import time
from dataclasses import replace

from rich.console import Console

from autosched.probing.lower_bound import Proof
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.report.progress import SearchScreen
from autosched.schedule.outcomes import RejectionKind
from tests.examples.trials import trial

COUNTS = ProbeCounts(run=30, reused=12, rejected={RejectionKind.INVALID: 6})


def screen(*, terminal: bool, width: int = 80) -> tuple[SearchScreen, io.StringIO]:
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=terminal, width=width, highlight=False, markup=False,
        color_system=None, force_interactive=terminal,
    )  # fmt: skip
    return SearchScreen(console), file


def searched(shown: SearchScreen, any_order_us: float = 90.0) -> None:
    shown.on_trial(trial(0, 200.0, "default"), trial(0, 200.0, "default"))
    shown.on_phase(Phase.LAYERS, 0, 2, "conv1", COUNTS)
    shown.on_phase(Phase.LAYERS, 1, 2, "conv2", COUNTS)
    shown.on_phase(Phase.RESHARDS, 0, 3, "conv1", COUNTS)
    shown.on_phase(Phase.PROVING, 0, 0, "", COUNTS)
    shown.on_bound(Proof(90.0, any_order_us, optimal=True, seconds=0.1))
    shown.on_phase(Phase.SEARCHING, 0, 4, "", COUNTS)
    shown.on_trial(trial(1, 100.0), trial(1, 100.0))
    shown.on_phase(Phase.SEARCHING, 1, 4, "", COUNTS)
    shown.on_trial(trial(2, None), trial(1, 100.0))
    shown.on_phase(Phase.SEARCHING, 2, 4, "", COUNTS)


def test_a_log_has_a_line_for_every_event() -> None:
    shown, file = screen(terminal=False)
    searched(shown)
    assert file.getvalue().splitlines() == [
        "Trial 0, ttnn's default: 200.0 µs (estimated)",
        "Probed: 30 probes run, 12 reused, 6 rejected (6 invalid configuration)",
        "Lower bound: no schedule of the probed choices takes less than 90.0 µs (estimated)",
        "Trial 1, joint: 100.0 µs (estimated), the best so far",
        "Trial 2, joint: rejected, conv: L1 overflow: Out of Memory: no L1",
    ]


def test_a_terminal_keeps_only_what_matters() -> None:
    shown, file = screen(terminal=True)
    searched(shown)
    assert "the best so far" in file.getvalue()
    assert "rejected, conv" not in file.getvalue()


def status(shown: SearchScreen, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(shown._status())
    return file.getvalue()


def test_the_status_while_probing() -> None:
    shown, _ = screen(terminal=True)
    shown.on_trial(trial(0, 200.0, "default"), trial(0, 200.0, "default"))
    shown.on_phase(Phase.LAYERS, 1, 2, "conv2", COUNTS)
    text = status(shown)
    assert "probing layers" in text
    assert "1 of 2" in text
    assert "left" in text
    assert "30 probes run, 12 reused, 6 rejected (6 invalid configuration)" in text
    assert "best 200.0 µs (estimated), trial 0" in text


def test_the_status_of_trials_fits_80_columns() -> None:
    shown, _ = screen(terminal=True)
    searched(shown)
    text = status(shown)
    assert "2 of 4" in text
    assert "2.00x faster than ttnn's default (estimated)" in text
    assert "lower bound 90.0 µs (estimated), gap 11.1%" in text
    assert "rejected: 1 L1 overflow" in text
    assert max(map(len, text.splitlines())) <= 80


def test_time_left_never_passes_the_deadline() -> None:
    shown = SearchScreen(Console(file=io.StringIO()), deadline=time.monotonic() + 90)
    assert "at most 1 min" in status(shown)


def test_a_long_phase_reports_in_a_log() -> None:
    shown, file = screen(terminal=False)
    shown.on_phase(Phase.LAYERS, 0, 2, "conv1", COUNTS)
    shown._spoke -= 60
    shown.on_phase(Phase.LAYERS, 1, 2, "conv2", COUNTS)
    assert file.getvalue().startswith("probing layers: 1 of 2, conv2; 30 probes run")


def test_the_status_names_the_phase_it_is_told() -> None:
    """Also where what is done falls within a phase, and between two looks at the layers."""
    shown, _ = screen(terminal=True)
    for phase, done in [
        (Phase.FIRST_LOOK, 0),
        (Phase.LAYERS, 5),
        (Phase.LAYERS, 1),
        (Phase.RESHARDS, 2),
        (Phase.ORDERING, 0),
        (Phase.LAYERS, 0),
        (Phase.PROVING, 0),
    ]:
        shown.on_phase(phase, done, 9, "", COUNTS)
        assert phase.value in status(shown)


def test_a_warning_is_a_line_of_its_own() -> None:
    shown, file = screen(terminal=False)
    shown.on_warning("the mirror is broken")
    assert file.getvalue() == "Warning: the mirror is broken\n"


def test_nothing_is_live_in_a_log() -> None:
    shown, file = screen(terminal=False)
    with shown.shown():
        shown.begin("capture", "net.py")
    assert file.getvalue() == ""


def test_a_bound_of_one_order_of_the_layers_says_so() -> None:
    shown, file = screen(terminal=False)
    searched(shown, any_order_us=85.0)
    assert "  (in this order of the layers; in any order 85.0 µs)" in file.getvalue().splitlines()


def test_stale_probes_are_told_once() -> None:
    shown, file = screen(terminal=False)
    counts = replace(COUNTS, stale=1312)
    for layer in range(3):
        shown.on_phase(Phase.LAYERS, layer, 3, f"conv{layer}", replace(counts, run=layer))
    assert file.getvalue().splitlines() == [
        "Stale: 1,312 stored probes of another revision of the lowering, or of a machine that "
        "failed; what is needed of them is probed again"
    ]


def test_probes_of_other_versions_of_ttnn_are_told_once() -> None:
    shown, text = screen(terminal=False)
    counts = replace(COUNTS, other_versions={"0.80.0": 12})
    for done in range(3):
        shown.on_phase(Phase.LAYERS, done, 3, "conv", counts)
    assert text.getvalue().count("Stale: 12 stored probes of ttnn 0.80.0;") == 1
    assert "autosched drift" in text.getvalue()
