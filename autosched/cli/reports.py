"""``autosched explain`` and ``report``: why a layer is as it is, and a study as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosched.cli import hints, options
from autosched.report.output import opened_output

if TYPE_CHECKING:
    from autosched.report.output import Screen
    from autosched.store.database import Store

TOP = 12
"""How many candidates are shown where nobody says."""

EXPLAIN_EXAMPLES = (
    "autosched explain resnet50-n150 layer2.0.conv2",
    "autosched explain resnet50-n150 '*.0.downsample.0' --top 0",
)


def explain(
    study: options.StudyOption,
    layer: Annotated[
        str,
        typer.Argument(
            metavar="LAYER", show_default=False, help="Name, or a pattern of one layer's name."
        ),
    ],
    top: options.Top = TOP,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Explain why a layer is configured as it is: every candidate, and what each comes to.

    From the database alone, at any moment of a search: what was asked of the layer, what limits
    each candidate, what ttnn rejected in which words, how far each is from the one that the best
    schedule has, and what the whole network would take with it.
    """
    from autosched.store.database import open_store

    with opened_output(as_json) as output, open_store(storage) as store:
        print_explained(output, store, study, layer, top)


def print_explained(output: "Screen", store: "Store", study: str, layer: str, top: int) -> None:
    """Print the explanation of one layer, and hand over its JSON."""
    from autosched.cli.steps.stored_run import explain_layer
    from autosched.report.explanation_tables import explanation_plain, print_explanation
    from autosched.store.studies import get_study

    record = get_study(store, study)
    with output.console.status("Reading what was asked"):
        found = explain_layer(store, record, layer)
    print_explanation(output.console, found, top)
    output.result(explanation_plain(record.name, found))


REPORT_EXAMPLES = (
    "autosched report resnet50-n150 -o resnet50.html",
    "autosched report resnet50-n150 -o resnet50.html --png pictures",
)


def report_study(
    study: options.StudyOption,
    output_file: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="An .html file; default: named by the study."
        ),
    ] = None,
    png: Annotated[
        str | None,
        typer.Option("--png", metavar="DIR", help="Also write its pictures there, as PNG files."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is no report, too.")
    ] = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Write a study as one page: HTML that needs no network and no other file.

    It has the latency with its kind, what it gains, the bound, the search, the time of each layer
    before and after, the network with its reshards, what lies in L1 at each step, what is worth a
    look, what was rejected, and where all of it comes from. From the database alone, at any moment
    of a search.
    """
    from autosched.cli.steps.stored_run import page_source
    from autosched.report.output import say
    from autosched.report.page.headline import facts
    from autosched.report.page.page import check_report_target, save_page
    from autosched.report.page.pictures import check_directory, save_pictures
    from autosched.store.database import open_store
    from autosched.store.studies import get_study

    target = Path(hints.report_name(study) if output_file is None else output_file)
    check_report_target(target, force=force)
    if png is not None:
        check_directory(Path(png))
    with opened_output(as_json) as output, open_store(storage) as store:
        record = get_study(store, study)
        with output.console.status("Reading the study"):
            source = page_source(store, record)
        size = save_page(source, target)
        say(output.console, f"Report: {target}, {size / 1024:,.0f} KiB")
        pictures = [] if png is None else save_pictures(source, Path(png))
        for picture in pictures:
            say(output.console, f"Picture: {picture}")
        output.result(
            {
                **facts(source),
                "report": str(target),
                "size_bytes": size,
                "pictures": [str(picture) for picture in pictures],
            }
        )
