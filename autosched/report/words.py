"""Numbers and outcomes as people read them."""

from collections.abc import Mapping

from autosched.probing.execution_judge import BY_RULE
from autosched.probing.lower_bound import MIXED
from autosched.probing.probe_book import NEVER_EXECUTED
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind, Verdict

MICRO = "µs"


def microseconds(time_us: float | None) -> str:
    """Return "1,067.7", or "-" for an unknown time."""
    return "-" if time_us is None else f"{time_us:,.1f}"


def latency(time_us: float | None, kind: TimeKind | None, std_us: float | None = None) -> str:
    """Return a time with its kind, as it must never be shown without, and its uncertainty."""
    if time_us is None or kind is None:
        return "none yet"
    around = "" if std_us is None else f" ± {microseconds(std_us)}"
    return f"{microseconds(time_us)}{around} {MICRO} ({kind})"


def bound(time_us: float | None, kind: str, estimated_share: float) -> str:
    """Return a lower bound with its kind, and what of it is estimated where it is mixed."""
    told = f"{kind}, {estimated_share:.1%} of it estimated" if kind == MIXED else kind
    return f"{microseconds(time_us)} {MICRO} ({told})"


def share(part: float | None) -> str:
    """Return a fraction as a percentage."""
    return "-" if part is None else f"{part:.1%}"


def kibibytes(size_bytes: int) -> str:
    """Return a size in KiB, "-" for none."""
    return f"{size_bytes / 1024:,.0f}" if size_bytes else "-"


def seconds(duration_s: float) -> str:
    """Return a duration such as "8.1 s", "2 min 05 s" or "1 h 12 min"."""
    if duration_s < 59.95:
        return f"{duration_s:.1f} s"
    minutes, rest = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def about(duration_s: float) -> str:
    """Return a coarse duration for an estimate."""
    return f"about {max(1, round(duration_s))} s" if duration_s < 60 else seconds(duration_s)


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where due."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def rejections(counts: Mapping[RejectionKind, int]) -> str:
    """Return "60 invalid configuration, 8 L1 overflow", the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0].value))
    return ", ".join(f"{number:,} {kind.value}" for kind, number in ranked)


def rejection(rejected: Rejection) -> str:
    """Return a rejection as one line: where, what kind, and the start of ttnn's words."""
    where = f"{rejected.layer}: " if rejected.layer else ""
    words = " ".join(rejected.message.split())
    shown = words if len(words) <= 200 else f"{words[:199]}…"
    return f"{where}{rejected.kind.value}: {shown}"


def gain(default_us: float | None, best_us: float | None, kind: TimeKind | None) -> str:
    """Return "1.75x faster than ttnn's default (estimated)", "" where it cannot be said."""
    if not default_us or not best_us or kind is None:
        return ""
    if best_us >= default_us:
        return f"no faster than ttnn's default ({kind})"
    return f"{default_us / best_us:.2f}x faster than ttnn's default ({kind})"


_LEFT_OUT = {
    BY_RULE: BY_RULE,
    NEVER_EXECUTED: "of kinds never executed",
    Verdict.WRONG.value: "executed wrong",
    Verdict.VARIES.value: "executed with results that vary",
    Verdict.HANG.value: "hung when executed",
    Verdict.ABORT.value: "aborted when executed",
}


def left_out(counts: Mapping[str, int]) -> str:
    """Return "3 candidates left out: executed wrong", with numbers where there are several."""
    total = sum(counts.values())
    several = len(counts) > 1
    reasons = [
        f"{counts[reason]:,} {text}" if several else text
        for reason, text in _LEFT_OUT.items()
        if reason in counts
    ]
    return f"{count(total, 'candidate')} left out: {', '.join(reasons)}"


WORTH_SAYING = 5e-4
"""Two bounds that differ by less, relatively, are the same to a reader."""


def executed(kind: str) -> str:
    """Return what stands beside numbers that were computed on a kind of device."""
    return {
        "emulator": "emulated",
        "simulator": "simulated",
        "silicon": "executed on the card",
    }[kind]


def probability(chance: float) -> str:
    """Return "0.87", with a digit more near one, and no certainty at either end."""
    if chance > 0.999:
        return "above 0.999"
    return (
        "below 0.001" if chance < 0.001 else f"{chance:.2f}" if chance < 0.99 else f"{chance:.3f}"
    )


def accuracy(min_pcc: float | None, min_metric: float | None, *, searched: bool) -> str:
    """Return what a study asks of its outputs, and what it may choose for that."""
    floors = (
        "" if min_pcc is None else f"a PCC of {min_pcc:g}",
        "" if min_metric is None else f"a metric of {min_metric:g}",
    )
    asked = " and ".join(filter(None, floors))
    if not asked:
        return "accuracy is not judged, so the search leaves the formats alone; see --min-pcc"
    asked = f"outputs keep {asked}, emulated"
    return f"{asked}; each layer gets its own formats" if searched else asked
