"""The top of a page: the figures of a study, and what is to be said of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autosched.boards import Board
from autosched.cost.model import CostModel
from autosched.network.graph import Network
from autosched.probing.lower_bound import Proof, relative_gap
from autosched.probing.probe_book import ProbeCounts
from autosched.report import words
from autosched.report.differences import Differences
from autosched.report.margin import Margin
from autosched.report.page import figures
from autosched.schedule.outcomes import TimeKind
from autosched.store.studies import StudyRecord
from autosched.store.trials import TrialRecord, default_trial

MOST_DRAWN = 2500
"""A page of more layers would become too large for a phone."""


@dataclass(frozen=True)
class PageSource:
    """What a page is made from.

    ``best`` and ``default`` come with schedules and device ops, ``best`` with what is known of its
    execution; None where there is none, or the device rejects it. ``cost`` is the study's model,
    ``proof`` None where nothing is proven, and ``unprobed`` says why then. ``counts`` are of the
    probes that the study's questions are answered by. ``formats`` are the study's in words;
    ``against`` says how the best schedule differs from another one.
    """

    record: StudyRecord
    network: Network
    board: Board
    trials: Sequence[TrialRecord]
    best: TrialRecord | None
    default: TrialRecord | None
    cost: CostModel
    counts: ProbeCounts
    proof: Proof | None = None
    margin: Margin | None = None
    unprobed: str = ""
    formats: str = ""
    version: str = ""
    against: Differences | None = None


def facts(source: PageSource) -> dict[str, Any]:
    """Return the headline's figures as JSON types."""
    best, default = source.best, source.default
    best_us = None if best is None else best.latency_us
    default_us = None if default is None else default.latency_us
    kind = None if best is None or best.latency_kind is None else best.latency_kind.value
    made = None if best is None or best.schedule is None else best.schedule.provenance
    return {
        "study": source.record.name,
        "trial": None if best is None else best.number,
        "latency_us": best_us,
        "latency_kind": kind,
        "default_latency_us": default_us,
        "bound_us": None if source.proof is None else source.proof.bound_us,
        "gap": relative_gap(best_us, None if source.proof is None else source.proof.bound_us),
        "emulated_pcc": None if made is None else made.emulated_pcc,
        "emulated_metric": None if made is None else made.emulated_metric,
        "executed_pcc": None if made is None else made.executed_pcc,
        "trials": len(source.trials),
        "probes": source.counts.reused,
    }


def subtitle(source: PageSource) -> str:
    """Return what a study is of."""
    record = source.record
    packed = record.settings.get("pack_images", 1)
    images = f"batch {record.batch}" + (f", {packed} packed together" if packed > 1 else "")
    return f"{record.network}, {images}, on {source.board.title}, ttnn {record.ttnn_version}"


def cards(source: PageSource) -> Iterator[dict[str, str]]:
    """Yield the figures at the top: a title, a value, its unit and what is to be said of it."""
    best, default, proof = source.best, source.default, source.proof
    if best is None:
        yield _card("Latency", "none yet", "", "no trial has run on the device yet")
    else:
        std = best.latency_std_us
        around = "" if std is None else f"± {words.microseconds(std)}, "
        yield _card(
            "Latency",
            words.microseconds(best.latency_us),
            words.MICRO,
            f"{around}{best.latency_kind}, trial {best.number}",
        )
    if default is None:
        yield _card("ttnn's default", "does not run", "", "so there is no gain to tell")
    else:
        told = f"{words.microseconds(default.latency_us)} {words.MICRO} ({default.latency_kind})"
        ratio = "-"
        if best is not None and best.latency_us and default.latency_us:
            ratio = f"{default.latency_us / best.latency_us:.2f}x"
        yield _card("Gain over ttnn's default", ratio, "", f"which takes {told}")
    if proof is None:
        searched = source.record.settings.get("search_formats")
        why = "formats are limited by accuracy" if searched else "not everything is probed yet"
        yield _card("Proven lower bound", "none", "", why)
    else:
        gap = relative_gap(None if best is None else best.latency_us, proof.bound_us)
        told = "" if gap is None else f", gap {gap:.1%}" if gap >= 0 else ", of other choices"
        yield _card(
            "Proven lower bound",
            words.microseconds(proof.bound_us),
            words.MICRO,
            f"{proof.kind}{told}",
        )
    made = None if best is None or best.schedule is None else best.schedule.provenance
    if made is not None and made.emulated_pcc is not None:
        own = "" if made.emulated_metric is None else f", metric {made.emulated_metric:.4g}"
        floor = f", {made.floors} asked for" if made.floors else ""
        yield _card("PCC", f"{made.emulated_pcc:.4f}", "", f"emulated{own}{floor}")
    elif made is not None and made.executed_pcc is not None:
        yield _card("PCC", f"{made.executed_pcc:.4f}", "", f"executed on the {made.executed_on}")
    elif made is not None and made.floors:
        yield _card("PCC", "not judged", "", f"{made.floors} asked for: resume judges it anew")
    else:
        yield _card("PCC", "not judged", "", "run --min-pcc asks for it")


def _card(title: str, value: str, unit: str, note: str) -> dict[str, str]:
    return {"title": title, "value": value, "unit": unit, "note": note}


def notes(source: PageSource) -> Iterator[str]:
    """Yield what is to be said of the figures."""
    best = source.best
    if best is not None and best.schedule is not None:
        yield f"Its kernels: {best.schedule.provenance.verified}."
    if best is not None and best.latency_kind is TimeKind.ESTIMATED:
        share = source.cost.outside_share(best.ops)
        if share:
            yield (
                f"{words.share(share)} of it is spent in ops far outside what the cost model was "
                "calibrated on."
            )
    if best is not None and best.cost_model not in {"", source.cost.version}:
        yield (
            f"It was estimated by cost model {best.cost_model}, which is not at hand: what its "
            f"time goes to is by {source.cost.version}."
        )
    if source.margin is not None:
        yield from _of_margin(source.margin)
    dismissed = default_trial(source.trials)
    if dismissed is not None and dismissed.rejection is not None:
        yield f"ttnn's default does not run: {words.rejection(dismissed.rejection)}."
    yield from _left_out(source)


def _of_margin(margin: Margin) -> Iterator[str]:
    if margin.faster_than_default is not None:
        chance = words.probability(margin.faster_than_default)
        yield f"Faster than ttnn's default with probability {chance}, by the model's errors."
    if margin.runner_up is not None:
        other = margin.runner_up
        by = "less" if other.is_within_error else "more"
        yield (
            f"The runner-up, trial {other.trial}, takes {words.microseconds(other.latency_us)} "
            f"{words.MICRO}: that differs by {by} than the model's error."
        )


def _left_out(source: PageSource) -> Iterator[str]:
    """Yield what the page does not have."""
    layers = len(source.network.layers)
    if layers > figures.MOST_BARS:
        yield f"Of {layers:,} layers the {figures.MOST_BARS:,} longest are shown by their time."
    if layers > MOST_DRAWN:
        yield f"The network is not drawn: it has more than {MOST_DRAWN:,} layers."
    if source.unprobed:
        yield f"Not everything is probed: {source.unprobed}"
