"""A study as one HTML file that needs nothing else: no network, no other file.

What others named (studies, layers, ttnn's words) is escaped by the template, and control
characters in it are shown as escapes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from autosched.cost.model import CostModel, spending
from autosched.errors import StudyError
from autosched.files import check_name, replace_file
from autosched.network.multiplications import multiplications
from autosched.report import words
from autosched.report.differences import Differences
from autosched.report.layer_rows import LayerRow, ReshardRow, layer_rows, reshard_rows
from autosched.report.output import printable
from autosched.report.page import figures
from autosched.report.page.headline import MOST_DRAWN, PageSource, cards, facts, notes, subtitle
from autosched.report.page.lanes import LIES, changes, graph
from autosched.report.page.memory import memory_steps
from autosched.schedule.outcomes import TimeKind
from autosched.store.trials import TrialRecord

_MARK = '<meta name="generator" content="autosched report">'
_TEMPLATE = Path(__file__).with_name("page.html")
_ENDINGS = (".html", ".htm")
_LOOKED_AT = 4096

FEW_CORES = 0.5
"""What uses a smaller share of the cores is named."""
_WORTH = 0.01
_UNEXPECTED = 3.0
_UNEXPECTED_SHARE = 0.02
_NAMED = 12
_FREEZES = ":configuration="
_FULLEST = 6


@dataclass(frozen=True)
class LayerTimes:
    """One schedule by layers: ttnn's default, or the best."""

    rows: Sequence[LayerRow] = ()
    reshards: Sequence[ReshardRow] = ()
    by_layer: Mapping[str, LayerRow] = field(default_factory=dict)
    between_us: Mapping[str, float] = field(default_factory=dict)
    """What the changes of layout between layers take, by term."""


def contents(source: PageSource) -> dict[str, Any]:
    """Return everything that the page's template shows."""
    before, after = _side(source.default, source.cost), _side(source.best, source.cost)
    return {
        "study": source.record.name,
        "subtitle": subtitle(source),
        "facts": facts(source),
        "cards": list(cards(source)),
        "notes": list(notes(source)),
        "progress": figures.progress(source.trials, source.proof, source.record.created_at),
        "bars": _bars(source, before, after),
        "terms": figures.TERMS,
        "graph": _graph(source, after),
        "lies": LIES,
        "memory": _memory(source),
        "surprises": list(_surprises(source, after)),
        "rejections": _rejections(source),
        "cost": list(_search_cost(source)),
        "layers": _longest(after.rows),
        "reshards": after.reshards,
        "changes": changes(after.reshards),
        "against": _against(source.against),
        "provenance": list(_provenance(source)),
        "formats": words,
        "version": source.version,
    }


def _side(trial: TrialRecord | None, cost: CostModel) -> LayerTimes:
    if trial is None or trial.schedule is None or not trial.ops:
        return LayerTimes()
    parts = (trial.schedule, trial.ops, trial.latency_kind)
    rows = layer_rows(*parts, cost)
    between = [op for op in trial.ops if op.layer not in trial.schedule.layers]
    split_us = spending(map(cost.predict, between)).split_us if between else {}
    return LayerTimes(rows, reshard_rows(*parts), {row.layer: row for row in rows}, split_us)


def _bars(source: PageSource, before: LayerTimes, after: LayerTimes) -> dict[str, Any]:
    names = list((after if after.rows else before).by_layer)
    pairs: list[tuple[str, Mapping[str, float], Mapping[str, float], str]] = []
    for name in names:
        old, new = before.by_layer.get(name), after.by_layer.get(name)
        said = new.configuration if new is not None else old.configuration if old else ""
        pairs.append((name, _split(old), _split(new), said))
    if before.between_us or after.between_us:
        pairs.append(("reshards between layers", before.between_us, after.between_us, ""))
    measured = [
        trial
        for trial in (source.default, source.best)
        if trial is not None and trial.latency_kind is TimeKind.MEASURED
    ]
    said = (
        "estimated by the cost model, though the latency is measured" if measured else "estimated"
    )
    return {"rows": figures.bars(pairs), "kinds": said}


def _split(row: LayerRow | None) -> Mapping[str, float]:
    return {} if row is None else row.split_us


def _longest(rows: Sequence[LayerRow]) -> Sequence[LayerRow]:
    """Return all rows, or of very many the longest."""
    ranked = sorted(rows, key=lambda row: -(row.time_us or 0.0))[: figures.MOST_BARS]
    kept = {row.layer for row in ranked}
    return [row for row in rows if row.layer in kept]


def _graph(source: PageSource, after: LayerTimes) -> dict[str, Any] | None:
    if len(source.network.layers) > MOST_DRAWN:
        return None
    best = source.best
    order = (
        list(best.schedule.layers)
        if best is not None and best.schedule is not None
        else [layer.name for layer in source.network]
    )
    return graph(source.network, order, best, after.by_layer, after.reshards)


def _memory(source: PageSource) -> dict[str, Any] | None:
    best = source.best
    if best is None or best.schedule is None or not best.ops:
        return None
    if len(best.schedule.layers) > MOST_DRAWN:
        return None
    steps = memory_steps(source.network, best.schedule, best.ops)
    capacity = source.board.l1_bank_bytes
    fullest = sorted(steps, key=lambda step: -step.size_bytes)[:_FULLEST]
    return {
        **figures.memory(steps, capacity),
        "capacity": words.kibibytes(capacity),
        "peak": words.kibibytes(max(step.size_bytes for step in steps)),
        "peak_bytes": max(step.size_bytes for step in steps),
        "device_peak": None if best.peak_l1_bytes is None else words.kibibytes(best.peak_l1_bytes),
        "fullest": [
            {
                "layer": step.layer,
                "size": words.kibibytes(step.size_bytes),
                "left": words.kibibytes(max(0, capacity - step.size_bytes)),
                "held": [
                    f"{item.name} ({item.role}, {item.lies}): {words.kibibytes(item.size_bytes)}"
                    for item in sorted(step.held, key=lambda item: -item.size_bytes)
                ],
            }
            for step in fullest
        ],
    }


def _surprises(source: PageSource, after: LayerTimes) -> Iterator[dict[str, Any]]:
    """Yield layers on few cores, and those whose time is out of proportion to their work."""
    network = source.network
    work = {
        layer.name: multiplications(layer.op, network.input_shapes(layer), layer.shape)
        if layer.inputs
        else 0
        for layer in network
    }
    total = sum(work.values()) or 1
    found = []
    for row in after.rows:
        share = row.share or 0.0
        part = work.get(row.layer, 0) / total
        why = []
        if share >= _WORTH and 0 < row.cores < FEW_CORES * source.board.cores:
            why.append(f"{row.cores} of {source.board.cores} cores")
        if share >= _UNEXPECTED_SHARE and share > _UNEXPECTED * part:
            why.append(f"{part:.1%} of the products")
        if why:
            found.append((share, row, why))
    for share, row, why in sorted(found, key=lambda item: -item[0])[:_NAMED]:
        yield {
            "layer": row.layer,
            "share": words.share(share),
            "why": ", ".join(why),
            "limit": row.limited_by or "-",
            "configuration": row.configuration,
        }


def _against(found: Differences | None) -> dict[str, Any] | None:
    """Return how the best schedule differs from another; of very many, the rows that cost most."""
    if found is None:
        return None
    noticed = [item for item in (*found.layers, *found.edges) if item.is_noticed]
    ranked = sorted(noticed, key=lambda item: -abs(item.difference_us or 0.0))
    kept = {id(item) for item in ranked[: figures.MOST_BARS]}
    before, after = found.before, found.after
    difference = ""
    if before.latency_us is not None and after.latency_us is not None:
        difference = f"{after.latency_us - before.latency_us:+,.1f} {words.MICRO}"
    return {
        "title": before.title,
        "latency": words.latency(before.latency_us, before.kind)
        if before.latency_us is not None
        else "not known: no trial of it in this database",
        "difference": difference,
        "origin": [
            f"{name.replace('_', ' ')}: {value or 'none'} there, "
            f"{after.origin[name] or 'none'} here"
            for name, value in before.origin.items()
            if value != after.origin[name]
        ],
        "rows": [item for item in noticed if id(item) in kept],
        "alike": len(found.layers) + len(found.edges) - len(noticed),
    }


def _rejections(source: PageSource) -> list[dict[str, Any]]:
    counts = {kind.value: number for kind, number in source.counts.rejected.items()}
    trials: dict[str, int] = {}
    for trial in source.trials:
        if trial.rejection is not None:
            kind = trial.rejection.kind.value
            trials[kind] = trials.get(kind, 0) + 1
    names = sorted({*counts, *trials}, key=lambda name: -counts.get(name, 0))
    most = max([*counts.values(), *trials.values()], default=1)
    return [
        {
            "kind": name,
            "probes": counts.get(name, 0),
            "trials": trials.get(name, 0),
            "width": 100 * counts.get(name, 0) / most,
        }
        for name in names
    ]


def _search_cost(source: PageSource) -> Iterator[tuple[str, str]]:
    trials, counts = source.trials, source.counts
    rejected = sum(counts.rejected.values())
    yield "probes", f"{counts.reused:,}, {rejected:,} of them rejected"
    if counts.left_out:
        yield "left out", words.left_out(counts.left_out)
    failed = sum(trial.rejection is not None for trial in trials)
    yield "trials", f"{len(trials):,}, {failed:,} of them rejected"
    if trials:
        spent = sum(trial.duration_s for trial in trials)
        whole = max(figures.elapsed(trials, source.record.created_at).values())
        yield "time in trials", words.seconds(spent)
        yield "from the study's start to its last trial", words.seconds(whole)


def _provenance(source: PageSource) -> Iterator[tuple[str, str]]:
    record, best = source.record, source.best
    settings = record.settings
    columns, rows = source.board.grid
    yield "study", f"{record.name}, of {record.created_at:%Y-%m-%d %H:%M} UTC"
    yield "network", f"{record.network}, signature {record.network_signature}"
    yield "board", f"{source.board.name} ({source.board.title}), {columns}x{rows} cores"
    yield "device", record.device_kind
    yield "ttnn", record.ttnn_version
    yield "autosched", source.version
    yield "cost model", (best.cost_model if best is not None else "") or source.cost.version
    yield "formats", source.formats
    sampler, effort = settings.get("sampler", "-"), settings.get("effort", "-")
    yield "search", f"sampler {sampler}, effort {effort}, seed {settings.get('seed', '-')}"
    floors = settings.get("min_pcc"), settings.get("min_metric")
    yield "accuracy", words.accuracy(*floors, searched=bool(settings.get("search_formats")))
    for name in ("pinned", "forbidden"):
        rules = list(map(str, settings.get(name, ())))
        frozen = [rule for rule in rules if _FREEZES in rule]
        if len(rules) > len(frozen):
            yield name, "; ".join(rule for rule in rules if rule not in frozen)
        if frozen:
            yield "frozen", f"{words.count(len(frozen), 'layer')}, as the schedule given has them"
    if settings.get("risk"):
        yield "risk", f"{settings['risk']:g} of the fastest time"
    yield "images", f"batch {record.batch}, handed over as {settings.get('io', 'nchw')}"
    if best is not None and best.schedule is not None:
        yield "best", f"trial {best.number}, by {best.sampler}, {best.started_at:%Y-%m-%d}"
        yield "schedule", best.fingerprint
        yield "kernels", best.schedule.provenance.verified
    if source.proof is not None:
        proof = source.proof
        bound = words.bound(proof.bound_us, proof.kind, proof.estimated_share)
        any_order = words.microseconds(proof.any_order_us)
        yield "bound", f"{bound}; in any order of the layers {any_order} {words.MICRO}"


def render_page(source: PageSource) -> str:
    """Return the page of a study."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    shown = contents(source)
    # Nothing in a script's text is escaped: what could end it is written otherwise.
    data = json.dumps(shown["facts"], allow_nan=False).replace("<", "\\u003c")
    return template.render(**shown, mark=Markup(_MARK), data=Markup(data))  # noqa: S704 - see above


def _clean(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def check_report_target(path: Path, *, force: bool = False) -> None:
    """Check a place for a page before the work that leads to it.

    Raises:
        StudyError: for another ending than .html, a missing directory, or, without ``force``, a
            file that is no such page.
    """
    if path.suffix not in _ENDINGS:
        raise StudyError(f"{path}: a report is an .html file; name it so")
    if not path.parent.is_dir():
        raise StudyError(f"{path}: there is no directory {path.parent}; create it first")
    try:
        check_name(path)
    except OSError as error:
        raise StudyError(f"{path}: no file can have this name: {error.strerror}") from None
    if path.is_dir():
        raise StudyError(f"{path}: this is a directory; name a file")
    if path.exists() and not force and not _is_page(path):
        raise StudyError(
            f"{path}: this file is there and is no report of autosched's; name another, or replace "
            "it with --force"
        )


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    return not start or _MARK.encode() in start


def save_page(source: PageSource, path: Path) -> int:
    """Write the page of a study, whole or not at all; return its size in bytes.

    Raises:
        StudyError: if it cannot be written.
    """
    content = render_page(source).encode()
    try:
        replace_file(path, content)
    except OSError as error:
        raise StudyError(
            f"{path}: cannot be written: {error.strerror}. Name another place with -o."
        ) from None
    return len(content)
