"""``autosched merge``: what another database remembers, brought into this one."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = (
    "autosched merge colleague.sqlite3",
    "autosched merge postgresql://user@host/name --storage sqlite:///trials.sqlite3 --json",
)


def merge(
    other: Annotated[
        str,
        typer.Argument(metavar="OTHER", show_default=False, help="Database file, or its URL."),
    ],
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Bring the probes, studies, trials and calibrations of another database into this one.

    Searches then reuse the probes of both. Nothing that is here is changed, and merging again adds
    only what is new there. A study whose name another one has here is renamed.
    """
    from autosched.report.merging import merged_plain, print_merged  # noqa: PLC0415 - starts quickly
    from autosched.store.database import open_store  # noqa: PLC0415 - as above
    from autosched.store.merging import merge as merge_stores  # noqa: PLC0415 - as above
    from autosched.store.merging import open_other  # noqa: PLC0415 - as above

    with (
        opened_output(as_json) as output,
        open_other(other) as source,
        open_store(storage) as target,
    ):
        merged = merge_stores(source, target)
        print_merged(output.console, source.describe(), target.describe(), merged)
        output.result(merged_plain(source.describe(), target.describe(), merged))
