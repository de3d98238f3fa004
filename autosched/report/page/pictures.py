"""The page's pictures as PNG files, such as for a README."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosched.errors import StudyError
from autosched.report.output import printable
from autosched.report.page.figures import TERMS
from autosched.report.page.headline import PageSource
from autosched.report.page.lanes import LIES, ROW_PX
from autosched.report.page.page import contents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_WIDTH_IN = 8.0
_SHOWN = 25
_NETWORK_TITLE = "The network, coloured by how outputs lie"
_LEGEND_PT = 34.0
_INK, _SOFT, _ACCENT, _BAD, _GOOD = "#1b1f27", "#8a93a3", "#2458c9", "#d1242f", "#1a7f4b"
_TERMS = dict(
    zip(
        TERMS,
        ("#4269d0", "#efb118", "#a463f2", "#3ca7a0", "#6cc24a", "#9c8f7c", "#97a1b3", "#e377a5"),
        strict=True,
    )
)
_ROLES = {
    "waiting-tensors": "#3ca7a0",
    "inputs": "#4269d0",
    "output": "#6cc24a",
    "temporary": "#efb118",
    "circular-buffers": "#c5ccd8",
}
_LIES = {
    "height": "#2f7ed8",
    "width": "#159e7c",
    "block": "#8e5bd0",
    "l1": "#e39b15",
    "dram": "#9aa3b2",
    "unknown": "#5d6675",
}


def check_directory(directory: Path) -> None:
    """Check the place for pictures before the work that leads to them; it may not be there yet.

    Raises:
        StudyError: if it is a file, or there is no directory to make it in.
    """
    if directory.exists() and not directory.is_dir():
        raise StudyError(f"{directory}: this is no directory; name another with --png")
    if not directory.absolute().parent.is_dir():
        raise StudyError(f"{directory}: there is no directory {directory.parent}; create it first")


def save_pictures(source: PageSource, directory: Path) -> Iterator[Path]:
    """Write the pictures that there are of a study into a directory, which is made if need be.

    Yields the path of each once it is written: drawing takes seconds.

    Raises:
        StudyError: as :func:`check_directory`, or if it cannot be written.
    """
    check_directory(directory)
    shown = contents(source)
    drawn: dict[str, tuple[Callable[[Any], Figure], Any]] = {
        "network": (draw_network, shown["graph"]),
        "search": (_search, shown["progress"]),
        "layers": (_layers, shown["bars"]["rows"]),
        "l1": (_memory, shown["memory"]),
    }
    for name, (draw, found) in drawn.items():
        if not found:
            continue
        path = directory / f"{name}.png"
        try:
            directory.mkdir(exist_ok=True)
            draw(found).savefig(path, dpi=_DPI, bbox_inches="tight")
        except OSError as error:
            raise StudyError(f"{path}: cannot be written: {error.strerror}") from None
        yield path


def _axes(height_in: float, title: str, width_in: float = _WIDTH_IN) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # noqa: PLC0415 - it takes half a second to load

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_SOFT, labelsize=8)
    return figure, axes


def _text(text: str) -> str:
    """Return a text as it is: a dollar would begin a formula."""
    return printable(text).replace("$", r"\$")


def _search(progress: Mapping[str, Any]) -> "Figure":
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above

    figure, axes = _axes(3.2, "Latency of trials in µs, and the best so far")
    dots = progress["by_trial"]["dots"]
    trials = [dot["left"] / 100 * progress["last_trial"] for dot in dots]
    values = [dot["value"] for dot in dots]
    so_far = [min(values[: number + 1]) for number in range(len(values))]
    axes.step(trials, so_far, where="post", color=_ACCENT, label="best so far")
    axes.scatter(trials, values, s=16, color=_SOFT, zorder=3, label="trials")
    if progress["bound_us"] is not None:
        label = progress["bound_text"]
        axes.axhline(progress["bound_us"], color=_GOOD, linestyle="--", linewidth=1, label=label)
    if progress["log"]:
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("{x:,.0f}")
    axes.tick_params(which="minor", colors=_SOFT, labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial", color=_SOFT, fontsize=8)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _layers(rows: "list[dict[str, Any]]") -> "Figure":
    longest = sorted(rows, key=lambda row: -_time_us(row))[:_SHOWN]
    shown = [row for row in rows if row in longest]
    figure, axes = _axes(
        0.8 + 0.27 * len(shown),
        "Estimated µs of the longest layers; ttnn's default pale, with its µs if cut",
    )
    full_us = rows[0]["full_us"]
    for place, row in enumerate(shown):
        for side, height, offset, alpha in (
            ("before", 0.26, -0.2, 0.45),
            ("after", 0.4, 0.16, 1.0),
        ):
            left = 0.0
            for part in row[side]["parts"] if row[side] else ():
                colour = _TERMS[part["term"]]
                axes.barh(place + offset, part["time_us"], height, left, color=colour, alpha=alpha)
                left += part["time_us"]
            if left > full_us:
                axes.text(
                    full_us,
                    place + offset,
                    f"{left:,.0f} ",
                    ha="right",
                    va="center",
                    fontsize=6,
                    color=_INK,
                )
    axes.set_yticks(range(len(shown)), [_text(row["layer"]) for row in shown])
    axes.set_xlim(0.0, full_us)
    axes.set_ylim(len(shown) - 0.5, -0.7)
    sides = [row[side] for row in shown for side in ("before", "after") if row[side]]
    spent = {part["term"] for side in sides for part in side["parts"]}
    for term, colour in _TERMS.items():
        if term in spent:
            axes.barh(0, 0, color=colour, label=term)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    return figure


def _time_us(row: Mapping[str, Any]) -> float:
    """Return how long a layer takes in the best schedule, else in ttnn's default."""
    bar = row["after"] or row["before"]
    return bar["time_us"] if bar else 0.0


def _memory(memory: Mapping[str, Any]) -> "Figure":
    figure, axes = _axes(3.2, "KiB of L1 on the fullest core, step by step")
    for role, colour in _ROLES.items():
        sizes, below = [], []
        for column in memory["columns"]:
            part = next((item for item in column["parts"] if item["role"] == role), None)
            sizes.append(0.0 if part is None else part["size_bytes"] / 1024)
            below.append(0.0 if part is None else part["below_bytes"] / 1024)
        axes.bar(range(len(sizes)), sizes, 0.85, below, color=colour, label=role.replace("-", " "))
    axes.axhline(memory["capacity_bytes"] / 1024, color=_BAD, linestyle="--", linewidth=1)
    axes.set_xlabel("layer, in execution order", color=_SOFT, fontsize=8)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper right", bbox_to_anchor=(1.0, 0.95))
    return figure


def draw_network(graph: Mapping[str, Any]) -> "Figure":
    """Draw the network as :func:`autosched.report.page.lanes.graph` has it."""
    height_in = 0.6 + 0.19 * len(graph["nodes"])
    figure, axes = _axes(height_in, _NETWORK_TITLE, _WIDTH_IN / 2)
    for line in graph["lines"]:
        xs, ys = zip(*line["points"], strict=True)
        style = {"color": _BAD, "linewidth": 1.8} if line["reshard"] else {"color": "#c9cfd9"}
        axes.plot(xs, ys, zorder=2 if line["reshard"] else 1, **style)
    for node in graph["nodes"]:
        axes.scatter([node["x"]], [node["y"]], s=26, color=_LIES[node["kind"]], zorder=3)
        text = "   ".join(part for part in (node["layer"], node["lies"], node["time"]) if part)
        axes.text(graph["width"] + 4, node["y"], _text(text), va="center", fontsize=7, color=_INK)
    kinds = {node["kind"] for node in graph["nodes"]}
    for kind, said in LIES.items():
        if kind in kinds:
            axes.scatter([], [], s=26, color=_LIES[kind], label=said)
    if any(line["reshard"] for line in graph["lines"]):
        axes.plot([], [], color=_BAD, linewidth=1.8, label="reshard")
    if axes.get_legend_handles_labels()[0]:
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0)}
        axes.legend(frameon=False, fontsize=7, ncols=3, columnspacing=1.2, **place)
        axes.set_title(_NETWORK_TITLE, loc="left", color=_INK, fontsize=11, pad=_LEGEND_PT)
    axes.set_xlim(0, graph["width"] + 18 * ROW_PX)
    axes.set_ylim(graph["height"], 0)
    axes.axis("off")
    return figure
