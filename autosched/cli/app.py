"""The command line's commands; none of them loads torch or ttnn before it runs."""

from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

import typer

from autosched.cli import bench, run, studies
from autosched.cli import bench as coverage
from autosched.cli import calibration as calibrate
from autosched.cli import calibration as predict
from autosched.cli import database as merge
from autosched.cli import machine as boards
from autosched.cli import machine as doctor
from autosched.cli import machine as version
from autosched.cli import run as resume
from autosched.cli import schedules as check
from autosched.cli import schedules as export
from autosched.cli import studies as delete
from autosched.cli import studies as show

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help and errors: they wrap at any width, and a script can read them.
    rich_markup_mode=None,
)


@app.callback()
def _autosched(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=version.print_and_exit, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Search the fastest schedule of a convolutional network on Tenstorrent hardware."""


def _add(name: str, module: ModuleType, function: Callable[..., Any]) -> None:
    examples = "\n".join(f"  {line}" for line in module.EXAMPLES)
    # The backspace keeps click from joining the lines.
    app.command(name, epilog=f"\b\nExample:\n{examples}")(function)


_add("run", run, run.run)
_add("resume", resume, resume.resume)
_add("export", export, export.export)
_add("check", check, check.check)
_add("list", studies, studies.list_all)
_add("show", show, show.show)
_add("delete", delete, delete.delete)
_add("merge", merge, merge.merge)
_add("bench", bench, bench.bench)
_add("coverage", coverage, coverage.coverage)
_add("boards", boards, boards.boards)
_add("doctor", doctor, doctor.doctor)
_add("calibrate", calibrate, calibrate.calibrate)
_add("predict", predict, predict.predict)
_add("version", version, version.version)
