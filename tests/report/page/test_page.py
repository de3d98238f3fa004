import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from autosched.cli.steps.stored_run import page_source
from autosched.errors import StudyError
from autosched.network.graph import Network
from autosched.report import words
from autosched.report.differences import Compared
from autosched.report.page.page import check_report_target, render_page, save_page
from autosched.store.database import Store
from tests.examples.browser import Browser, found_browser
from tests.examples.studied import Studied
from tests.report.page.made import EVIL, source_of, with_evil_names

LARGEST_BYTES = 5 << 20
VOID = {"meta", "br", "img", "link", "input"}
SHOWN = ("progress", "bars", "graph", "memory", "search", "provenance")
PICTURE = """
[...document.querySelectorAll("section")].map(one => [one.id, one.getBoundingClientRect().height,
  [...one.querySelectorAll("path, rect, circle, .bar i, .meter")].filter(part => {
    const box = part.getBoundingClientRect(); return box.width > 0 || box.height > 0;
  }).length])
"""
TABLES = """
(() => {
  document.querySelectorAll("details").forEach(one => one.open = true);
  const hidden = one => [one.scrollWidth - one.clientWidth, one.scrollHeight - one.clientHeight];
  const boxes = [...document.querySelectorAll(".scroll")];
  return [
    boxes.filter(one => one.querySelector("table")).map(one => hidden(one)[0]),
    boxes.filter(one => Math.max(...hidden(one)) > 0).map(
      one => getComputedStyle(one).backgroundAttachment.split(", ")),
    [...document.querySelectorAll("#against td.words")].map(
      one => one.getBoundingClientRect().width / innerWidth),
  ];
})()
"""
BROWSER = found_browser()


class Parsed(HTMLParser):
    """The texts, attributes and open elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif "style" not in self.open:
            self.texts.append(data)


@pytest.fixture
def page(probed: Store, studied: Studied) -> str:
    return render_page(source_of(probed, studied))


def test_it_is_whole_and_needs_nothing_else(page: str) -> None:
    parsed = Parsed(page)
    assert parsed.open == []
    assert len(page.encode()) < LARGEST_BYTES / 10
    loading = {"src", "href", "action", "data", "poster", "srcset", "xlink:href"}
    assert [item for item in parsed.attributes if item[1] in loading] == []
    assert re.findall(r"https?://|@import|url\(", page) == []


def test_its_figures_are_the_studys(page: str, studied: Studied) -> None:
    parsed = Parsed(page)
    facts = json.loads(parsed.scripts[0])
    assert facts["latency_us"] == studied.best.latency_us
    assert facts["latency_kind"] == "estimated"
    assert facts["bound_us"] == pytest.approx(studied.bound_us)
    assert facts["trials"] == len(studied.trials)
    default = studied.trials[0].latency_us
    assert facts["default_latency_us"] == default
    text = " ".join(parsed.texts)
    for shown in (studied.best.latency_us, default, studied.bound_us):
        assert words.microseconds(shown) in text
    assert studied.best.latency_us is not None
    assert default is not None
    assert f"{default / studied.best.latency_us:.2f}x" in text
    for name in (layer.name for layer in studied.network):
        assert name in text
    assert studied.record.network_signature in text
    assert studied.best.cost_model in text


def test_it_shows_what_differs_from_another_schedule(probed: Store, studied: Studied) -> None:
    default = studied.trials[0]
    assert default.schedule is not None
    other = Compared(
        "the <default>", default.schedule, default.ops, default.latency_us, default.latency_kind
    )
    source = page_source(probed, studied.record, other)
    page = render_page(source)
    text = " ".join(Parsed(page).texts)
    assert "Against the <default>" in text
    assert source.against is not None
    changed = [item.name for item in source.against.layers if item.is_noticed]
    assert changed
    assert all(name in text for name in changed)
    assert "shard_layout none → " in text
    assert len(Parsed(page).open) == 0
    same = page_source(probed, studied.record, source.against.after)
    assert "shard_layout none → " not in " ".join(Parsed(render_page(same)).texts)


def test_what_others_named_is_text(probed: Store, studied: Studied) -> None:
    page = render_page(with_evil_names(source_of(probed, studied)))
    parsed = Parsed(page)
    assert parsed.open == []
    assert not {"img", "b"} & {tag for tag, *_ in parsed.attributes}
    assert len(parsed.scripts) == 2
    assert json.loads(parsed.scripts[0])["study"] == EVIL
    assert "\x1b" not in page.replace(json.dumps(EVIL), "")
    assert "\u202e" not in page
    assert "onerror=alert(1)&gt;\\x1b\\u202e" in page


def test_a_page_of_many_layers_is_small_enough(probed: Store, studied: Studied) -> None:
    """The studied block again and again: as many layers as are drawn."""
    source = source_of(probed, studied)
    assert source.best is not None
    assert source.best.schedule is not None
    layers, ops = [], []
    schedule, inner = source.best.schedule, list(source.network)
    for number in range(2490 // len(inner)):
        for layer in inner:
            inputs = tuple(f"some_block.{number}.{name}" for name in layer.inputs)
            layers.append(replace(layer, name=f"some_block.{number}.{layer.name}", inputs=inputs))
        ops += [
            replace(op, layer=f"some_block.{number}.{op.layer}")
            for op in source.best.ops
            if op.layer in schedule.layers
        ]
    configs = {layer.name: schedule.layers[layer.name.split(".", 2)[2]] for layer in layers}
    bare = replace(schedule, layers=configs, reshards={}, moves={}, frees=frozenset())
    best = replace(source.best, schedule=bare, ops=tuple(ops))
    many = replace(source, network=Network("deep", tuple(layers)), best=best, default=None)
    page = render_page(many)
    assert '<section id="graph">' in page
    assert "600 longest are shown" in page
    assert len(page.encode()) < LARGEST_BYTES
    deeper = replace(many, network=Network("deeper", tuple(layers) * 2))
    assert "The network is not drawn" in render_page(deeper)


def test_only_a_report_is_replaced(probed: Store, studied: Studied, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    check_report_target(path)
    size = save_page(source_of(probed, studied), path)
    assert path.stat().st_size == size
    check_report_target(path)
    path.write_text("<p>mine</p>")
    with pytest.raises(StudyError, match="no report"):
        check_report_target(path)
    check_report_target(path, force=True)
    for wrong in (tmp_path / "report.txt", tmp_path / "nowhere" / "a.html", tmp_path / "a.html"):
        if wrong.name == "a.html" and wrong.parent == tmp_path:
            wrong.mkdir()
        with pytest.raises(StudyError):
            check_report_target(wrong, force=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("there is no browser; see scripts/find-browser.sh")
    with Browser(BROWSER, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def opened(browser: Browser, path: Path, width: int, **how: Any) -> dict[str, tuple[float, int]]:
    """Open a page, see that all is well, and return each section's height and marks."""
    browser.open(path.as_uri(), width, 844, **how)
    found = {name: (height, marks) for name, height, marks in browser.evaluate(PICTURE)}
    widths = "[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]"
    *scrolled, inner = browser.evaluate(widths)
    assert inner == width
    assert max(scrolled) <= width
    wrong = browser.told("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
    assert wrong == []
    requests = [told["request"]["url"] for told in browser.told("Network.requestWillBeSent")]
    assert requests == [path.as_uri()]
    return found


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, False)])
def test_a_browser_shows_it(
    browser: Browser, page: str, tmp_path: Path, width: int, dark: bool
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    found = opened(browser, path, width, dark=dark)
    for name in SHOWN:
        height, marks = found[name]
        assert height > 80
        assert marks > 0 or name in {"provenance", "search"}
    ink = browser.evaluate("getComputedStyle(document.body).color")
    red = int(re.findall(r"\d+", ink)[0])
    assert (red > 128) == dark


@pytest.mark.parametrize("width", [390, 1280])
def test_no_table_is_wider_than_the_screen(
    browser: Browser, probed: Store, studied: Studied, tmp_path: Path, width: int
) -> None:
    """Beside another schedule, too; what is higher than its box has shadows that say so."""
    default = studied.trials[0]
    assert default.schedule is not None
    other = Compared("the default", default.schedule, default.ops)
    path = tmp_path / "report.html"
    save_page(page_source(probed, studied.record, other), path)
    opened(browser, path, width)
    hidden, attached, changes = browser.evaluate(TABLES)
    assert len(hidden) >= 4
    assert max(hidden) <= 0
    assert attached
    assert all({"local", "scroll"} == set(layers) for layers in attached)
    assert min(changes) > (0.8 if width == 390 else 0.3)


def test_a_tap_tells_more(browser: Browser, page: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    opened(browser, path, 390)
    told = browser.evaluate(
        """
        (() => {
          const at = document.querySelector("#graph li"), box = at.getBoundingClientRect();
          const where = {bubbles: true, clientX: box.x + 5, clientY: box.y + 5};
          at.dispatchEvent(new PointerEvent("pointerdown", where));
          const tip = document.getElementById("tip"), on = tip.getBoundingClientRect();
          return [tip.className, tip.textContent, on.left >= 0 && on.right <= innerWidth];
        })()
        """
    )
    assert told[0] == "on"
    assert told[1].startswith("x")
    assert told[2]


def test_evil_names_do_nothing_in_a_browser(
    browser: Browser, probed: Store, studied: Studied, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    save_page(with_evil_names(source_of(probed, studied)), path)
    opened(browser, path, 390)
    assert browser.evaluate("document.images.length") == 0
