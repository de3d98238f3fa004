"""``autosched coverage``: which networks run on which boards, and how well."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = (
    "autosched coverage --board n150 --board p150 --effort quick -o docs/coverage.md",
    "autosched coverage studies/resnet50.py net.py --trials 3",
)


def coverage(  # noqa: PLR0913 - one parameter per option
    nets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NET.PY...]",
            show_default=False,
            help="Network files; default: all of studies/.",
        ),
    ] = None,
    *,
    board: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Board; may be given several times.")
    ] = None,
    batch: options.Batch = None,
    allow_host: options.AllowHost = False,
    device: options.Device = "auto",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of each search; default: as the effort has.")
    ] = None,
    effort: options.Effort = None,
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
    from autosched.cli.covering import CoverageRequest, run_coverage  # noqa: PLC0415 - as in bench

    request = CoverageRequest(
        nets=tuple(nets or ()),
        boards=tuple(board or ["n150"]),
        batch=batch,
        allow_host=allow_host,
        device=device,
        trials=trials,
        effort=effort or "quick",
        storage=storage,
        markdown=markdown,
    )
    with opened_output(as_json) as output:
        run_coverage(output, request)
