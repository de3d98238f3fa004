"""Where things are on a page's pictures: shares of a width and a height, in percent."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autosched.network.graph import Network
from autosched.probing.lower_bound import Proof
from autosched.report import words
from autosched.report.layer_rows import LayerRow, ReshardRow, place
from autosched.report.page.lanes import LaneLine, LaneNode, drawn
from autosched.report.page.memory import ROLES, MemoryStep
from autosched.schedule.tensors import Memory, ShardLayout, TensorLayout
from autosched.store.trials import TrialRecord

TERMS = ("compute", "reader", "weights", "dram", "noc", "rounds", "launch", "host")
"""What time goes to, as :class:`autosched.cost.ops.work.Resource` has it."""
ROW_PX, LANE_PX, EDGE_PX = 26, 14, 12
"""Pixels of a row and a lane of the graph, and left of the first lane."""

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


def progress(trials: Sequence[TrialRecord], proof: Proof | None) -> dict[str, Any] | None:
    """Return the best latency so far over trials and over time, beside the bound."""
    ran = [trial for trial in trials if trial.latency_us is not None and trial.rejection is None]
    if not ran:
        return None
    values = [trial.latency_us or 0.0 for trial in ran]
    bound = None if proof is None else proof.bound_us
    low, high = min([*values, bound or values[0]]) * 0.96, max(values) * 1.04
    began = min(trial.started_at for trial in trials)
    elapsed = {
        trial.number: (trial.started_at - began).total_seconds() + trial.duration_s
        for trial in trials
    }
    best = math.inf
    points = []
    for trial in ran:
        latency_us = trial.latency_us or 0.0
        best = min(best, latency_us)
        points.append((trial, latency_us, best))
    longest = max(elapsed.values()) or 1.0
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
        "by_time": _curve(points, {n: s / longest for n, s in elapsed.items()}, low, high),
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
    """Return dots of trials, and the steps of the best so far as an SVG path."""
    path, dots = "", []
    for trial, latency_us, best in sorted(points, key=lambda item: across[item[0].number]):
        x, y = 100 * across[trial.number], _height(best, low, high)
        path += f"H{x:.2f}V{y:.2f}" if path else f"M{x:.2f} {y:.2f}"
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
    return {"path": f"{path}H100", "dots": dots}


def bars(
    pairs: Sequence[tuple[str, Mapping[str, float], Mapping[str, float], str]],
) -> list[dict[str, Any]]:
    """Return rows of two bars, before and after, split by term.

    Bars that are far longer than most are cut off, so that the others can be read.
    """
    lengths = sorted(sum(split.values()) for _, old, new, _ in pairs for split in (old, new))
    longest_after = max((sum(new.values()) for _, _, new, _ in pairs), default=0.0)
    usual = lengths[int(_CUT * (len(lengths) - 1))] if lengths else 0.0
    full = max(longest_after, usual) or 1.0
    return [
        {
            "layer": name,
            "configuration": said,
            "before": _bar(old, full),
            "after": _bar(new, full),
            "full_us": full,
        }
        for name, old, new, said in pairs
    ]


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


def layout_class(layout: TensorLayout | None) -> str:
    """Return how a layer's output lies, as the style sheet names it."""
    if layout is None:
        return "unknown"
    if layout.memory is Memory.DRAM:
        return "dram"
    return layout.sharding.value if layout.sharding is not ShardLayout.INTERLEAVED else "l1"


def graph(
    network: Network,
    order: Sequence[str],
    trial: TrialRecord | None,
    rows: Mapping[str, LayerRow],
    reshards: Iterable[ReshardRow],
) -> dict[str, Any]:
    """Return the network, a layer a row, with edges that reshard apart."""
    drawing = drawn(network, order)
    left: dict[str, TensorLayout] = {}
    for op in trial.ops if trial is not None else ():
        if op.layer in network.by_name and op.outputs:
            left[op.layer] = op.outputs[-1].layout
    changed = {(row.producer, row.consumer): row for row in reshards if row.by == "schedule"}
    for layer in network:  # one that runs nothing leaves its input as it lies
        if layer.name not in left and layer.inputs and layer.inputs[0] in left:
            left[layer.name] = left[layer.inputs[0]]
    nodes = []
    for node in drawing.nodes:
        layout, row = left.get(node.layer), rows.get(node.layer)
        x, y = _centre(node)
        lies = "" if layout is None else place(layout)
        cores = f" {layout.cores}" if layout is not None and layout.is_sharded else ""
        time = "" if row is None else f"{words.microseconds(row.time_us)} {words.MICRO}"
        nodes.append(
            {
                "layer": node.layer,
                "op": type(network.by_name[node.layer].op).__name__,
                "x": x,
                "y": y,
                "kind": layout_class(layout) if trial is not None else "unknown",
                "lies": f"{lies}{cores}",
                "time": time,
                "tip": ", ".join(
                    part
                    for part in (
                        node.layer,
                        row.configuration if row else "",
                        f"output {lies}{cores}" if lies else "",
                        time,
                        f"limited by {row.limited_by}" if row and row.limited_by else "",
                    )
                    if part
                ),
            }
        )
    lines = []
    for line in drawing.lines:
        change = changed.get((line.edge.producer, line.edge.consumer))
        lines.append(
            {
                "path": _path(line),
                "points": _points(line),
                "reshard": change is not None,
                "tip": ""
                if change is None
                else f"{line.edge}: {change.change}, {words.microseconds(change.time_us)} "
                f"{words.MICRO}",
            }
        )
    lines.sort(key=lambda line: bool(line["reshard"]))
    return {
        "nodes": nodes,
        "lines": lines,
        "width": 2 * EDGE_PX + LANE_PX * (drawing.lanes - 1),
        "height": ROW_PX * len(nodes),
        "row": ROW_PX,
        "reshards": len(changed),
        "reshards_us": words.microseconds(sum(row.time_us or 0.0 for row in changed.values())),
    }


def _centre(node: LaneNode) -> tuple[float, float]:
    return EDGE_PX + LANE_PX * node.lane, ROW_PX * (node.row + 0.5)


def _path(line: LaneLine) -> str:
    """Return a line down the producer's lane that bends over to the consumer in its last row."""
    (x0, y0), (x1, y1) = _centre(line.start), _centre(line.end)
    if x0 == x1:
        return f"M{x0} {y0}V{y1}"
    bend, middle = y1 - ROW_PX, y1 - ROW_PX / 2
    # A tensor whose lane others have taken leaves it at once.
    return f"M{x0} {y0}V{bend}C{x0} {middle} {x1} {middle} {x1} {y1}"


def _points(line: LaneLine) -> list[tuple[float, float]]:
    """Return the same line with a straight piece for the bend."""
    (x0, y0), (x1, y1) = _centre(line.start), _centre(line.end)
    return [(x0, y0), (x0, max(y0, y1 - ROW_PX)), (x1, y1)]


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
