"""``autosched explain`` and ``report``: why a layer is as it is, and a study as a page."""

from typing import TYPE_CHECKING, Annotated

import typer

from autosched.cli import options
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
    from autosched.cli.steps.explain_run import explain_layer
    from autosched.report.explanation import explanation_plain, print_explanation
    from autosched.store.studies import get_study

    record = get_study(store, study)
    with output.console.status("Reading what was asked"):
        found = explain_layer(store, record, layer)
    print_explanation(output.console, found, top)
    output.result(explanation_plain(record.name, found))
