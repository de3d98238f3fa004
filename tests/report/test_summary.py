import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from autosched.probing.lower_bound import Proof
from autosched.probing.probe_book import ProbeCounts
from autosched.report.summary import SearchResult, print_result
from autosched.schedule.outcomes import RejectionKind, TimeKind
from tests.examples.trials import STUDY, trial

BEST = trial(1, 100.0)
PROOF = Proof(95.0, 94.0, optimal=True, seconds=0.1)
RESULT = SearchResult(
    study=STUDY,
    trials=[trial(0, 175.0, "default"), BEST, trial(2, None)],
    best=BEST,
    proof=PROOF,
    counts=ProbeCounts(
        rejected={RejectionKind.L1_OVERFLOW: 2, RejectionKind.INVALID: 5}, stale=312
    ),
    wall_s=1.25,
    schedule_path=Path("net.py"),
    stopped="trials run",
)


def printed(result: SearchResult, width: int = 80) -> str:
    file = io.StringIO()
    print_result(Console(file=file, width=width, highlight=False, markup=False), result)
    return file.getvalue()


def test_json() -> None:
    plain = RESULT.to_plain()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["rejected"] == {"L1 overflow": 3, "invalid configuration": 5}
    assert plain["rejected_trials"] == {"L1 overflow": 1}
    assert plain["stale_probes"] == 312
    assert (plain["trial"], plain["trials"]) == (1, 3)
    assert (plain["latency_us"], plain["default_latency_us"]) == (100.0, 175.0)
    assert plain["gap"] == pytest.approx(100 / 95 - 1)
    assert (plain["bound_us"], plain["bound_any_order_us"]) == (95.0, 94.0)
    assert (plain["bound_kind"], plain["bound_estimated_share"]) == ("estimated", 1.0)
    assert plain["stopped"] == "trials run"


def test_a_bound_of_both_kinds_says_how_much_of_it_is_estimated() -> None:
    """On a card, layers are measured and reshards are not."""
    proof = replace(PROOF, kinds=frozenset(TimeKind), estimated_share=0.125)
    result = replace(RESULT, proof=proof)
    assert "choices: 95.0 µs (mixed, 12.5% of it estimated); gap" in printed(result)
    plain = result.to_plain()
    assert (plain["bound_kind"], plain["bound_estimated_share"]) == ("mixed", 0.125)
    measured = replace(PROOF, kinds=frozenset({TimeKind.MEASURED}), estimated_share=0.0)
    assert "95.0 µs (measured); gap" in printed(replace(RESULT, proof=measured))


def test_a_bound_of_what_a_floor_allows_is_told_as_that() -> None:
    result = replace(RESULT, proof=None, floor_bound_us=98.0)
    text = " ".join(printed(result).split())
    assert "lose no more than the floor allows, by errors that are added up" in text
    assert "none takes less than 98.0 µs (estimated); gap 2.0%" in text
    plain = result.to_plain()
    assert (plain["floor_bound_us"], plain["bound_us"]) == (98.0, None)
    assert plain["floor_gap"] == pytest.approx(100 / 98 - 1)


def test_what_says_nothing_for_certain_is_told_with_its_words() -> None:
    words = "RuntimeError: an op that nobody knows"
    counts = ProbeCounts(
        rejected={
            RejectionKind.HANG: 2,
            RejectionKind.CRASH: 1,
            RejectionKind.UNCLASSIFIED: 1,
        },
        unclassified={words: 1},
    )
    result = replace(RESULT, counts=counts)
    told = " ".join(printed(result).split())
    assert "3 probes hung or crashed the device" in told
    assert "autosched quarantine" in told
    assert "1 probe ended in words of ttnn's that autosched does not know; nothing was" in told
    assert words in told
    assert result.to_plain()["unclassified"] == {words: 1}


def test_op_times_of_a_card_are_not_called_estimates() -> None:
    measured = replace(BEST, latency_kind=TimeKind.MEASURED)
    text = printed(replace(RESULT, best=measured))
    assert "Layers (op times measured by the device's profiler, - where it is off)" in text


def test_json_of_a_study_without_a_trial_that_ran() -> None:
    plain = SearchResult(STUDY, [trial(0, None, "default")], None).to_plain()
    assert plain["latency_us"] is None
    assert plain["latency_kind"] is None
    assert plain["default_latency_us"] is None
    assert plain["gap"] is None
    assert plain["bound_us"] is plain["bound_kind"] is plain["bound_estimated_share"] is None
    assert plain["stopped"] is None


def test_the_closing_screen() -> None:
    text = printed(RESULT)
    assert "Best: 100.0 µs (estimated), trial 1\n" in text
    assert "Gain: 1.75x faster than ttnn's default (estimated)" in text
    assert "Proven lower bound of the probed choices: 95.0 µs (estimated); gap 5.3%" in text
    assert "3 trials in the study, rejected: 1 L1 overflow" in text
    assert "height 56 -> block 16" in text
    assert "Layers (op times estimated)" in text


def test_why_the_search_ended() -> None:
    assert printed(RESULT).endswith("The search ended: trials run\n")
    early = replace(RESULT, proof=None, stopped="time up")
    assert "The search ended: time up, before the bound was proven" in printed(early)


def test_what_lies_outside_the_calibration_is_said() -> None:
    assert "calibrated" not in printed(RESULT)
    assert "19.3% of it is spent in ops far outside" in printed(
        replace(RESULT, outside_share=0.193)
    )


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit(width: int) -> None:
    assert max(len(line) for line in printed(RESULT, width).splitlines()) <= width


def test_a_default_that_does_not_run_is_explained() -> None:
    result = SearchResult(STUDY, [trial(0, None, "default"), BEST], BEST)
    assert "ttnn's default does not run: conv: L1 overflow: Out of Memory" in printed(result)


def test_nothing_has_run() -> None:
    assert "No trial has run on the device yet." in printed(SearchResult(STUDY, [], None))
    rejected = printed(SearchResult(STUDY, [trial(0, None, "default")], None))
    assert "No trial was accepted, 1 rejected." in rejected


def test_a_default_that_is_known_to_go_wrong_is_not_said_to_be_refused() -> None:
    default = trial(0, None, "default")
    assert default.rejection is not None
    wrong = replace(default, rejection=replace(default.rejection, kind=RejectionKind.ACCURACY))
    text = printed(SearchResult(STUDY, [wrong, BEST], BEST))
    assert "ttnn's default would go wrong on a card: conv: accuracy" in text
