"""``autosched bench`` and ``coverage``: methods side by side, and many networks on many boards."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.cli.shell import completion
from autosched.report.output import opened_output

BENCH_EXAMPLES = (
    "autosched bench studies/resnet18.py studies/resnet50.py --trials 20 --seeds 3",
    "autosched bench net.py --all-samplers --sampler-trials 500",
    "autosched bench net.py --board n150 --board p150 --batch 1 --batch 16 --plot bench.html",
    "autosched bench studies/resnet18.py studies/resnet152.py --solver --plot growth.html",
    "autosched bench net.py --min-pcc 0.95 --min-pcc 0.99 --markdown formats.md",
    "autosched bench net.py --mixes 200",
)


def bench(  # noqa: PLR0913 - one parameter per option
    nets: Annotated[
        list[str],
        typer.Argument(
            metavar="NET.PY...",
            show_default=False,
            help="Network files.",
            autocompletion=completion.network_files,
        ),
    ],
    *,
    board: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Board; may be given several times.",
            autocompletion=completion.board_names,
        ),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Images per inference; may be given several times."),
    ] = None,
    allow_host: options.AllowHost = False,
    allow_known_faults: options.AllowKnownFaults = False,
    device: options.DeviceOption = "auto",
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this method; may be given several times."),
    ] = None,
    all_samplers: Annotated[
        bool,
        typer.Option("--all-samplers", help="Optuna's samplers, too: random, tpe and nsga2."),
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trials of mutation and joint; default: as the effort has."),
    ] = None,
    sampler_trials: Annotated[
        int, typer.Option(min=1, help="Trials of each of Optuna's samplers.")
    ] = 200,
    seeds: Annotated[
        int, typer.Option(min=1, help="Runs of each sampler, with seeds 0, 1, ...")
    ] = 5,
    effort: options.EffortOption = None,
    jobs: options.Jobs = None,
    storage: options.Storage = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write best-so-far over trials as .html.")
    ] = None,
    markdown: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the tables as .md.")
    ] = None,
    speed: Annotated[
        bool, typer.Option("--speed", help="Time the main job, too, from capture to export.")
    ] = False,
    solver: Annotated[
        bool,
        typer.Option("--solver", help="Time the exact solver instead; --plot: over the layers."),
    ] = False,
    min_pcc: Annotated[
        list[float] | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Compare formats instead: the search at this floor, and the same formats for all "
            "layers; may be given several times.",
        ),
    ] = None,
    mixes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draw so many mixes of formats instead, and correlate what they lose, emulated, "
            "with the sum of the layers' errors.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare ttnn's default, rules, a hand-tuned schedule and samplers on the same probes.

    Ratios are to the proven lower bound of what was probed. Probes are stored and reused, the
    trials are not. Of a sampler's seeds the median and the range are shown. Optuna's samplers
    know nothing of the problem, take minutes a network, and are compared on demand. A hand-tuned
    schedule is taken from the directory baselines beside the network file, where there is one for
    the network, board and batch; what it does that is known to go wrong turns it down.
    """
    from autosched.cli.steps.bench_run import (
        BenchRequest,
        run_bench,
        time_solver,
    )

    request = BenchRequest(
        nets=tuple(nets),
        boards=tuple(board or ["n150"]),
        batches=tuple(batch or [None]),
        allow_host=allow_host,
        allow_known_faults=allow_known_faults,
        device=device,
        methods=tuple(method or ()),
        all_samplers=all_samplers,
        trials=trials,
        sampler_trials=sampler_trials,
        seeds=seeds,
        effort="default" if effort is None else effort,
        storage=storage,
        plot=plot,
        markdown=markdown,
        speed=speed,
        jobs=jobs,
    )
    with opened_output(as_json) as output:
        if mixes is not None:
            from autosched.cli.steps.accuracy_run import correlate_mixes

            correlate_mixes(output, request, mixes)
        elif min_pcc:
            from autosched.cli.steps.accuracy_run import compare_formats

            compare_formats(output, request, min_pcc)
        elif solver:
            time_solver(output, request)
        else:
            run_bench(output, request)


COVERAGE_EXAMPLES = (
    "autosched coverage --board n150 --board p150 --effort quick -o docs/coverage.md",
    "autosched coverage studies/resnet50.py net.py --trials 3",
    "autosched coverage studies/resnet18.py studies/vgg16.py --side 32 --batch 16",
    "autosched coverage --min-pcc 0.99 --side 64 -o docs/accuracy_studies.md",
)


def coverage(  # noqa: PLR0913 - one parameter per option
    nets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NET.PY...]",
            show_default=False,
            help="Network files; default: all of studies/.",
            autocompletion=completion.network_files,
        ),
    ] = None,
    *,
    board: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Board; may be given several times.",
            autocompletion=completion.board_names,
        ),
    ] = None,
    batch: options.Batch = None,
    side: Annotated[
        int | None, typer.Option(min=1, help="Rows and columns that images are cut to.")
    ] = None,
    allow_host: options.AllowHost = False,
    device: options.DeviceOption = "auto",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of each search; default: as the effort has.")
    ] = None,
    min_pcc: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Search formats, too, and show the emulated PCC of what meets this floor instead.",
        ),
    ] = None,
    effort: options.EffortOption = None,
    jobs: options.Jobs = None,
    storage: options.Storage = None,
    markdown: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the table as .md.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Schedule many networks on many boards, and say for each what became of it.

    One that fails is a row with its reason. Probes are stored and reused: run it again to go on
    after an interruption.
    """
    from autosched.cli.steps.coverage_run import CoverageRequest, run_coverage

    request = CoverageRequest(
        nets=tuple(nets or ()),
        boards=tuple(board or ["n150"]),
        batch=batch,
        side=side,
        allow_host=allow_host,
        device=device,
        trials=trials,
        effort="quick" if effort is None else effort,
        min_pcc=min_pcc,
        jobs=jobs,
        storage=storage,
        markdown=markdown,
    )
    with opened_output(as_json) as output:
        run_coverage(output, request)
