"""``autosched list``: the studies of a database."""

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = ("autosched list", "autosched list --storage sqlite:///trials.sqlite3 --json")


def list_all(storage: options.Storage = None, as_json: options.Json = False) -> None:
    """List the studies of a database with their trials and best latency."""
    from autosched.report.console import say  # noqa: PLC0415 - the help starts quickly
    from autosched.report.studies import study_plain  # noqa: PLC0415 - as above
    from autosched.report.tables import study_table  # noqa: PLC0415 - as above
    from autosched.store.database import open_store  # noqa: PLC0415 - as above
    from autosched.store.studies import list_studies  # noqa: PLC0415 - as above

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
