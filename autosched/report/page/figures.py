"""Where things are on a page's pictures: shares of a width and a height, in percent."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from autosched.probing.lower_bound import Proof
from autosched.report import words
from autosched.report.page.memory import ROLES, MemoryStep
from autosched.store.trials import TrialRecord

TERMS = ("compute", "reader", "weights", "dram", "noc", "rounds", "launch", "host")
"""What time goes to, as :class:`autosched.cost.ops.work.Resource` has it."""

MOST_DOTS = 400
"""So many trials have a dot, beside those that were better than all before."""

MOST_BARS = 600
"""So many layers have bars, the longest."""

_LOG_FROM = 3.0
_CUT = 0.9
_FEWEST_TICKS = 4


def ticks(low: float, high: float) -> list[float]:
    """Return some round numbers from low to high: as many on a linear as on a logarithmic axis."""
    if high <= low:
        return [low]
    if low > 0 and high / low >= _LOG_FROM:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digits in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
            values = [digit * 10.0**decade for decade in decades for digit in digits]
            found = [value for value in values if low <= value <= high]
            if len(found) >= _FEWEST_TICKS:
                break
        return found
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if (high - low) / s <= 6)
    first = math.ceil(low / step)
    count = math.floor(high / step) - first + 1
    return [(first + number) * step for number in range(count)]


def _height(value: float, low: float, high: float) -> float:
    """Return a value's place in percent from the top, on a logarithmic axis where it is long."""
    if high <= low:
        return 50.0
    if low > 0 and high / low >= _LOG_FROM:
        return 100 * (1 - math.log(value / low) / math.log(high / low))
    return 100 * (1 - (value - low) / (high - low))


def elapsed(trials: Iterable[TrialRecord], began: datetime) -> dict[int | None, float]:
    """Return the seconds from a study's start to the end of each trial, by its number."""
    return {
        trial.number: max(0.0, (trial.started_at - began).total_seconds() + trial.duration_s)
        for trial in trials
    }


def progress(
    trials: Sequence[TrialRecord], proof: Proof | None, began: datetime
) -> dict[str, Any] | None:
    """Return the best latency so far over trials and over time, beside the bound.

    ``began`` is the study's start.
    """
    ran = [trial for trial in trials if trial.latency_us is not None and trial.rejection is None]
    if not ran:
        return None
    values = [trial.latency_us or 0.0 for trial in ran]
    bound = None if proof is None else proof.bound_us
    low, high = min([*values, bound or values[0]]) * 0.96, max(values) * 1.04
    ended = elapsed(trials, began)
    best = math.inf
    points = []
    for trial in ran:
        latency_us = trial.latency_us or 0.0
        best = min(best, latency_us)
        points.append((trial, latency_us, best))
    longest = max(ended.values()) or 1.0
    last = max((trial.number or 0 for trial in trials), default=0) or 1
    return {
        "log": low > 0 and high / low >= _LOG_FROM,
        "ticks": [
            {"top": _height(value, low, high), "text": f"{value:,.0f}"}
            for value in ticks(low, high)
        ],
        "bound": None if bound is None else _height(bound, low, high),
        "bound_us": bound,
        "bound_text": "" if bound is None else f"bound {words.microseconds(bound)} {words.MICRO}",
        "by_trial": _curve(
            points, {t.number: (t.number or 0) / last for t, _, _ in points}, low, high
        ),
        "by_time": _curve(points, {n: s / longest for n, s in ended.items()}, low, high),
        "last_trial": last,
        "last_time": words.seconds(longest),
        "rejected": len(trials) - len(ran),
    }


def _curve(
    points: Sequence[tuple[TrialRecord, float, float]],
    across: Mapping[int | None, float],
    low: float,
    high: float,
) -> dict[str, Any]:
    """Return dots of trials, and the steps of the best so far as an SVG path.

    Of very many trials only some have a dot, and all that were better than those before them.
    """
    path, dots, last = "", [], math.inf
    apart = math.ceil(len(points) / MOST_DOTS)
    ordered = sorted(points, key=lambda item: across[item[0].number])
    for number, (trial, latency_us, best) in enumerate(ordered):
        x, y = 100 * across[trial.number], _height(best, low, high)
        if best < last:
            path += f"H{x:.2f}V{y:.2f}" if path else f"M{x:.2f} {y:.2f}"
        if best < last or number % apart == 0:
            told = words.latency(latency_us, trial.latency_kind)
            dots.append(
                {
                    "left": x,
                    "top": _height(latency_us, low, high),
                    "value": latency_us,
                    "best": latency_us <= best,
                    "tip": f"trial {trial.number}, {trial.sampler}: {told}",
                }
            )
        last = best
    return {"path": f"{path}H100", "dots": dots}


def bars(
    pairs: Sequence[tuple[str, Mapping[str, float], Mapping[str, float], str]],
) -> list[dict[str, Any]]:
    """Return rows of two bars, before and after, split by term; the longest of very many.

    Bars that are far longer than most are cut off, so that the others can be read.
    """
    lengths = sorted(sum(split.values()) for _, old, new, _ in pairs for split in (old, new))
    longest_after = max((sum(new.values()) for _, _, new, _ in pairs), default=0.0)
    usual = lengths[int(_CUT * (len(lengths) - 1))] if lengths else 0.0
    full = max(longest_after, usual) or 1.0
    shortest = sorted(-max(sum(old.values()), sum(new.values())) for _, old, new, _ in pairs)
    least = -shortest[MOST_BARS - 1] if len(pairs) > MOST_BARS else 0.0
    return [
        {
            "layer": name,
            "configuration": said,
            "before": _bar(old, full),
            "after": _bar(new, full),
            "full_us": full,
        }
        for name, old, new, said in pairs
        if max(sum(old.values()), sum(new.values())) >= least
    ][:MOST_BARS]


def _bar(split: Mapping[str, float], full: float) -> dict[str, Any] | None:
    total = sum(split.values())
    if not split:
        return None
    shown = min(total, full)
    parts = [
        {
            "term": term,
            "time_us": split[term],
            "width": 100 * split[term] / total * shown / full,
        }
        for term in TERMS
        if split.get(term) and total
    ]
    tip = ", ".join(
        f"{term} {words.microseconds(split[term])}" for term in TERMS if split.get(term, 0.0) > 0.05
    )
    return {
        "parts": parts,
        "time": words.microseconds(total),
        "time_us": total,
        "is_cut": total > full,
        "tip": f"{words.microseconds(total)} {words.MICRO}: {tip}",
    }


def memory(steps: Sequence[MemoryStep], capacity_bytes: int) -> dict[str, Any]:
    """Return what is in L1 at each step, in columns that stand on each other."""
    most = max([capacity_bytes, *(step.size_bytes for step in steps)])
    columns = []
    for step in steps:
        parts, below = [], 0
        for role in ROLES:
            size = step.of(role)
            if size:
                below += size
                parts.append(
                    {
                        "role": role.replace(" ", "-"),
                        "size_bytes": size,
                        "below_bytes": below - size,
                        "y": 100 * (1 - below / most),
                        "height": 100 * size / most,
                    }
                )
        held = ", ".join(
            f"{role} {words.kibibytes(step.of(role))}" for role in ROLES if step.of(role)
        )
        left = words.kibibytes(max(0, capacity_bytes - step.size_bytes))
        columns.append(
            {"parts": parts, "tip": f"{step.layer}: {held or 'nothing'} KiB; {left} KiB left"}
        )
    return {
        "columns": columns,
        "capacity_bytes": capacity_bytes,
        "roles": [(role.replace(" ", "-"), role) for role in ROLES],
        "line": 100 * (1 - capacity_bytes / most),
        "ticks": [
            {"top": 100 * (1 - value * 1024 / most), "text": f"{value:,.0f}"}
            for value in ticks(0.0, most / 1024)
        ],
    }
