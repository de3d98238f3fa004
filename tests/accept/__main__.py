"""Run promises and say which hold: ``python -m tests.accept [NAME...]``."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from autosched.report.output import opened_output, say
from tests.accept.child import leave
from tests.accept.frame import ROOT, find_promises, take
from tests.accept.page import Circumstances, markdown, tally
from tests.accept.promise import Promise, Result, Verdict

COLOURS = {Verdict.HOLDS: "green", Verdict.NOT_MEASURED: "yellow", Verdict.FAILS: "red"}
PAGE = ROOT / "docs" / "promises.md"


def chosen(promises: Sequence[Promise], names: Sequence[str]) -> list[Promise]:
    """The promises of some names, all of them for none.

    Raises:
        BadParameter: if there is no promise of a name.
    """
    known = [promise.name for promise in promises]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"there is no promise {unknown[0]!r}; it is one of {known}")
    return [promise for promise in promises if promise.name in names or not names]


def shown(console: Console, place: str) -> AbstractContextManager[object]:
    """Show what is being taken, and for how long already."""
    if not console.is_interactive:
        say(console, f"{place} ...")
        return nullcontext()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True)
    progress.add_task(place, total=None)
    return progress


def taken(console: Console, promises: Sequence[Promise]) -> Iterator[Result]:
    """Take the promises one after the other, and say what comes of each."""
    for number, promise in enumerate(promises, start=1):
        place = f"{number} of {len(promises)}, {promise.name}"
        with shown(console, place):
            result = take(promise)
        verdict = result.verdict
        say(console, f"{place}: {verdict.value}, after {result.seconds:.1f} s", COLOURS[verdict])
        for row in result.rows:
            say(console, f"  {row.limit.what}: {row.today} ({row.limit.text})")
        if result.broken:
            say(console, f"  {result.broken}")
        yield result


def accept(
    console: Console,
    promises: Sequence[Promise],
    page: Path | None,
    result: Callable[[Mapping[str, Any]], None],
) -> int:
    """Take promises, print and write what comes of them; return the exit code."""
    results = list(taken(console, promises))
    say(console, f"\n{tally(results)}")
    here = Circumstances.here()
    if page is not None:
        page.write_text(markdown(results, here), encoding="utf-8")
        say(console, f"Written: {page}")
    plain = [item.to_plain() for item in results]
    result({"promises": plain, "made_with": {**vars(here), "day": here.day.isoformat()}})
    return int(any(item.verdict is Verdict.FAILS for item in results))


def print_list(console: Console, promises: Sequence[Promise]) -> None:
    """Print what is promised, without looking whether it holds."""
    for promise in promises:
        say(console, f"{promise.name}: {promise.says}")
        for limit in promise.limits:
            say(console, f"  {limit.what}: {limit.text}, {limit.kind.value}")


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", show_default=False, help="Promises; default: all."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only say what is promised.")] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the page; default: docs/promises.md, if all promises are taken.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take what the project promises; exit code 1 if a promise does not hold."""
    promises = chosen(find_promises(), names or ())
    with opened_output(as_json) as output:
        if listed:
            print_list(output.console, promises)
            return
        page = page or (None if names else PAGE)
        code = accept(output.console, promises, page, output.result)
    raise typer.Exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    typer.run(main)
