"""``autosched list``, ``show``, ``explain``, ``report`` and ``delete``: a database's studies."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosched.cli import hints, options
from autosched.cli.shell import completion
from autosched.errors import StudyError
from autosched.report.output import opened_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autosched.cost.model import CostModel
    from autosched.report.margin import Margin
    from autosched.report.output import Screen
    from autosched.store.database import Store
    from autosched.store.studies import StudyRecord
    from autosched.store.trials import TrialRecord

TOP = 12
"""How many candidates are shown where nobody says."""

LIST_EXAMPLES = ("autosched list", "autosched list --storage sqlite:///trials.sqlite3 --json")


def list_all(storage: options.Storage = None, as_json: options.Json = False) -> None:
    """List the studies of a database with their trials and best latency."""
    from autosched.report.output import say
    from autosched.report.summary import study_plain
    from autosched.report.tables import study_table
    from autosched.store.database import open_store
    from autosched.store.studies import list_studies

    with opened_output(as_json) as output, open_store(storage) as store:
        found = list_studies(store)
        say(output.console, f"Database: {store.describe()}")
        if found:
            say(output.console)
            output.console.print(study_table(found))
        else:
            say(output.console, "No study yet; make one with: autosched run NET.PY")
        output.result(
            {"database": store.describe(), "studies": [study_plain(item) for item in found]}
        )


SHOW_EXAMPLES = (
    "autosched show resnet50-n150",
    "autosched show resnet50-n150 --layers --csv ops.csv",
    "autosched show resnet50-n150 --trial 0",
    "autosched show resnet50-n150 --records",
)


def show(  # noqa: PLR0913, PLR0917 - one parameter per option
    study: options.StudyOption,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show the best trial, or --trial, layer by layer.")
    ] = False,
    trial: Annotated[
        int | None,
        typer.Option(min=0, max=options.MOST, help="Number of the trial to show by layer."),
    ] = None,
    records: Annotated[
        bool,
        typer.Option(
            "--records",
            help="Show the stored probes, measurements and executions behind the best trial, or "
            "--trial.",
        ),
    ] = False,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write its ops as tt-perf-report reads them; to DIR/, a folder as ttnn-visualizer "
            "opens it.",
        ),
    ] = None,
    candidates: Annotated[
        str | None,
        typer.Option(
            "--candidates", metavar="LAYER", help="Show all that was asked of a layer; see explain."
        ),
    ] = None,
    top: options.Top = TOP,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Show a study: its trials and its best, with --layers where that one's time goes.

    With --trial, layer by layer where the time of that one goes.
    """
    from autosched.report import summary
    from autosched.report.output import say
    from autosched.report.progress import trial_line
    from autosched.report.tables import trial_table
    from autosched.search.settings import Settings
    from autosched.search.stored_study import quarantined_of
    from autosched.store.database import open_store
    from autosched.store.studies import get_study
    from autosched.store.trials import (
        best_of,
        get_trial,
        list_trials,
    )

    with opened_output(as_json) as output, open_store(storage) as store:
        if candidates is not None:
            print_explained(output, store, study, candidates, top)
            return
        record = get_study(store, study)
        ops = None if csv is None else _write_ops(store, record, trial, csv)
        trials = list_trials(store, record, with_schedules=False)
        best = best_of(store, record)
        shown = best if trial is None else get_trial(store, record, trial)
        by_layer = layers or trial is not None
        cost = None
        settings = Settings.from_plain(record.settings)
        packed = f" ({settings.pack_images} packed)" if settings.pack_images > 1 else ""
        say(
            output.console,
            f"Study {record.name}: {record.network}, batch {record.batch}{packed}, "
            f"{record.device_kind} {record.board}, ttnn {record.ttnn_version}",
        )
        say(output.console, f"Formats: {settings.formats}")
        if by_layer and shown is not None:
            say(output.console, trial_line(shown))
            cost = _estimator(store, record, shown)
            summary.print_layers(output.console, shown, cost)
        elif trials:
            say(output.console)
            output.console.print(trial_table(trials))
            say(output.console)
        traced: dict[str, object] = {}
        if records:
            traced = _print_records(output, store, record, shown)
        if ops is not None:
            say(output.console, f"Ops: {ops}")
        margin = _margin(store, record, trials, best)
        found = summary.SearchResult(record, trials, best, margin=margin)
        summary.print_gain(output.console, found)
        if best is not None and not settings.search_formats:
            told = hints.command("report", study, storage=storage)
            say(output.console, f"Proven lower bound and gap: solved for by {told}")
        summary.print_next(
            output.console,
            hints.after_search(
                study, storage, settings, "", has_run=best is not None, has_layers=layers
            ),
        )
        held = quarantined_of(store, record)
        summary.print_quarantined(output.console, held, record.board)
        shown_study = summary.shown_plain(
            record, trials, best, shown if by_layer else None, margin, cost
        )
        output.result({**shown_study, "quarantined": held, **traced})


def _write_ops(store: "Store", study: "StudyRecord", trial: int | None, target: str) -> "Path":
    """Write the ops of a trial, or of the best one, as tt-perf-report reads them."""
    from autosched.boards import find_board
    from autosched.cost.model import spending
    from autosched.cost.profiles.perf_csv import write_ops
    from autosched.store.trials import finished_trial

    ran, _ = finished_trial(store, study, trial)
    own = _estimator(store, study, ran)
    spent = [] if own is None else [spending([own.predict(op)]) for op in ran.ops]
    columns = [one.columns() for one in spent]
    board = find_board(study.board)
    return write_ops(ran.ops, ran.latency_kind, board, ran.cost_model, target, columns)


def _print_records(
    output: "Screen", store: "Store", study: "StudyRecord", trial: "TrialRecord | None"
) -> dict[str, object]:
    """Print which records a trial rests on, and return them as JSON types."""
    from autosched.cli.steps.stored_run import records_of
    from autosched.report.explanation.record_table import print_records, records_plain

    if trial is None:
        raise StudyError(f"no trial of study {study.name!r} has run yet")
    cost = _estimator(store, study, trial)
    steps = records_of(store, study, trial)
    print_records(output.console, steps, trial.number, cost)
    return {"records_of_trial": trial.number, "records": records_plain(steps, cost)}


def _margin(
    store: "Store",
    study: "StudyRecord",
    trials: "Sequence[TrialRecord]",
    best: "TrialRecord | None",
) -> "Margin | None":
    """Return how sure the best is of its lead, by the model that estimated it."""
    from functools import partial

    from autosched.report.margin import margin_of
    from autosched.store.trials import get_trial

    cost = None if best is None or not best.cost_model else _estimator(store, study, best)
    if best is None or cost is None:
        return None
    return margin_of(best, trials, cost, partial(get_trial, store, study))


def _estimator(store: "Store", study: "StudyRecord", trial: "TrialRecord") -> "CostModel | None":
    """Return the model that a trial was estimated with, None if it was not, or is not at hand."""
    from autosched.boards import find_board
    from autosched.cost.model_choice import choose_cost_model
    from autosched.schedule.outcomes import TimeKind

    if trial.latency_kind is TimeKind.MEASURED:
        return None
    arch = find_board(study.board).arch
    found = choose_cost_model(store, arch, study.ttnn_version, trial.cost_model).model
    return found if found.version == trial.cost_model else None


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
    from autosched.report.explanation.explanation_tables import explanation_plain, print_explanation
    from autosched.store.studies import get_study

    record = get_study(store, study)
    with output.console.status("Reading what was asked"):
        found = explain_layer(store, record, layer)
    print_explanation(output.console, found, top)
    output.result(explanation_plain(record.name, found))


REPORT_EXAMPLES = (
    "autosched report resnet50-n150 -o resnet50.html",
    "autosched report resnet50-n150 -o resnet50.html --png pictures",
    "autosched report resnet50-n150 --against by_hand.py --safe",
)


def report_study(  # noqa: PLR0913 - one parameter per option
    study: options.StudyOption,
    *,
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
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="OTHER",
            help="Also show what differs from another study, STUDY:TRIAL or schedule; the .py of "
            "one is executed unless --safe is given.",
            autocompletion=completion.study_or_schedule,
        ),
    ] = None,
    safe: options.Safe = False,
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
    from autosched.cli.steps.stored_run import compared, page_source
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
            other = None if against is None else compared(output, store, against, safe=safe)
            source = page_source(store, record, other)
        size = save_page(source, target)
        say(output.console, f"Report: {target}, {size / 1024:,.0f} KiB")
        pictures = []
        if png is not None:
            with output.console.status("Drawing the pictures"):
                for picture in save_pictures(source, Path(png)):
                    say(output.console, f"Picture: {picture}")
                    pictures.append(picture)
        output.result(
            {
                **facts(source),
                "report": str(target),
                "size_bytes": size,
                "pictures": [str(picture) for picture in pictures],
            }
        )


DELETE_EXAMPLES = ("autosched delete resnet50-n150", "autosched delete resnet50-n150 --yes --json")


def delete(
    study: options.StudyOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Forget a study and its trials. Its probes stay: other studies reuse them."""
    from autosched.report import words
    from autosched.report.output import say
    from autosched.store.database import open_store
    from autosched.store.optuna_mirror import forget_study
    from autosched.store.studies import find_study_id
    from autosched.store.trials import count_trials

    with opened_output(as_json) as output, open_store(storage) as store:
        trials = count_trials(store, find_study_id(store, study))
        what = f"study {study} and its {words.count(trials, 'trial')} in {store.describe()}"
        if not yes:
            confirm_deletion(what)
        forget_study(store, study)
        say(output.console, f"Deleted: {what}")
        output.result({"database": store.describe(), "study": study, "trials": trials})


def confirm_deletion(what: str) -> None:
    """Ask whether to delete something.

    Raises:
        StudyError: if there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise StudyError(f"deleting {what} cannot be undone; confirm it with --yes")
    from autosched.report.output import printable

    typer.confirm(printable(f"Delete {what}? This cannot be undone."), abort=True, err=True)
