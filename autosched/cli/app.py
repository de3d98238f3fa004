"""The command line's commands; none of them loads torch or ttnn before it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from autosched.cli import (
    bench,
    calibration,
    database,
    exits,
    machine,
    profile,
    run,
    schedules,
    serving,
    studies,
    verify,
)
from autosched.cli.shell import defaults
from autosched.errors import UsageError
from autosched.report.output import set_habits

_SWITCHES, _WITH_VALUE = ("--quiet", "-q", "--verbose", "-v"), ("--log-file",)


class _Commands(TyperGroup):
    """The commands, whose errors of usage repeat no password that was typed in a wrong place.

    What is for all of them may be said before or after the command's name, and defaults of their
    options in a file (:mod:`autosched.cli.shell.defaults`).
    """

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Parse the words before the command."""
        with _without_passwords():
            return super().make_context(*args, **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what is for all commands first, wherever it stands."""
        first: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word in _SWITCHES or word.startswith(f"{_WITH_VALUE[0]}="):
                first.append(word)
            elif word in _WITH_VALUE:
                value = next(words, "-")
                if value.startswith("-") and not ctx.resilient_parsing:
                    raise typer.BadParameter(f"{word} takes a file: {word} FILE", ctx)
                first += [word, value]
            else:
                rest.append(word)
        return super().parse_args(ctx, [*first, *rest])

    def invoke(self, ctx: Any) -> Any:
        """Parse the words after it, and run it."""
        with _without_passwords():
            return super().invoke(ctx)


@contextmanager
def _without_passwords() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Errors of usage have no public class in common; these two are what they are shown by.
        if not (hasattr(error, "format_message") and hasattr(error, "message")):
            raise
        context = getattr(error, "ctx", None)
        if context is not None and error.message == context.get_help():
            raise
        error.message = exits.without_passwords(str(error.message))
        if context is not None:
            defaults.name_file(error)
            hint = f"Try '{context.command_path} --help' for help."
            typer.echo(f"{context.get_usage()}\n{hint}\n", err=True)
        raise UsageError(error.format_message()) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help and errors: they wrap at any width, and a script can read them.
    rich_markup_mode=None,
)


@app.callback()
def _autosched(
    ctx: typer.Context,
    *,
    show_version: Annotated[  # noqa: ARG001 - its callback acts
        bool,
        typer.Option(
            "--version", callback=machine.print_and_exit, is_eager=True, help="Print the version."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors, and with --json the object, alone.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say of each phase how long it took.")
    ] = False,
    log_file: Annotated[
        str | None,
        typer.Option("--log-file", metavar="FILE", help="Add all that is said to a file."),
    ] = None,
) -> None:
    """Search the fastest schedule of a convolutional network on Tenstorrent hardware.

    Options of all commands may stand before or after the command. Defaults of other options come
    from autosched.toml, or [tool.autosched] of pyproject.toml, here or in a directory above.
    """
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose are opposites: give one of them", ctx)
    log = None if log_file is None else defaults.opened_log(log_file)
    set_habits(quiet=quiet, verbose=verbose, log=log)
    defaults.take(ctx)


database_commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look after a database."
)

quarantine_commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="What hung or crashed a device."
)


def _epilog(examples: Sequence[str]) -> str:
    lines = "\n".join(f"  {line}" for line in examples)
    # The backspace keeps click from joining the lines.
    return f"\b\nExample:\n{lines}"


def _add(
    name: str, function: Callable[..., Any], examples: Sequence[str], group: typer.Typer = app
) -> None:
    group.command(name, epilog=_epilog(examples), short_help=_summary(function))(function)


def _summary(function: Callable[..., Any]) -> str:
    """Return the first sentence of a command's help, which a list of commands wraps, not cuts."""
    first = " ".join((function.__doc__ or "").partition("\n\n")[0].split())
    return first.partition(". ")[0].removesuffix(".") + "."


_add("run", run.run, run.RUN_EXAMPLES)
_add("resume", run.resume, run.RESUME_EXAMPLES)
_add("pareto", run.pareto, run.PARETO_EXAMPLES)
_add("export", schedules.export, schedules.EXPORT_EXAMPLES)
_add("diff", schedules.diff, schedules.DIFF_EXAMPLES)
_add("check", schedules.check, schedules.CHECK_EXAMPLES)
_add("profile", profile.profile, profile.PROFILE_EXAMPLES)
_add("simulate", verify.simulate, verify.SIMULATE_EXAMPLES)
_add("verify", verify.verify, verify.VERIFY_EXAMPLES)
_add("list", studies.list_all, studies.LIST_EXAMPLES)
_add("show", studies.show, studies.SHOW_EXAMPLES)
_add("explain", studies.explain, studies.EXPLAIN_EXAMPLES)
_add("report", studies.report_study, studies.REPORT_EXAMPLES)
_add("delete", studies.delete, studies.DELETE_EXAMPLES)
_add("merge", database.merge, database.MERGE_EXAMPLES)
_add("check", database.check_db, database.CHECK_DB_EXAMPLES, database_commands)
_add("backup", database.backup, database.BACKUP_EXAMPLES, database_commands)
_add("export", database.export_probes, database.EXPORT_PROBES_EXAMPLES, database_commands)
_add("import", database.import_probes, database.IMPORT_PROBES_EXAMPLES, database_commands)
_add("vacuum", database.vacuum_db, database.VACUUM_EXAMPLES, database_commands)
_add("purge", database.purge, database.PURGE_EXAMPLES, database_commands)
app.add_typer(database_commands, name="db", epilog=_epilog(database.PURGE_EXAMPLES))
_add("list", verify.list_quarantine, verify.LIST_QUARANTINE_EXAMPLES, quarantine_commands)
_add("lift", verify.lift_from_quarantine, verify.LIFT_QUARANTINE_EXAMPLES, quarantine_commands)
app.add_typer(
    quarantine_commands, name="quarantine", epilog=_epilog(verify.LIST_QUARANTINE_EXAMPLES)
)
_add("serve", serving.serve_http, serving.SERVE_EXAMPLES)
_add("bench", bench.bench, bench.BENCH_EXAMPLES)
_add("coverage", bench.coverage, bench.COVERAGE_EXAMPLES)
_add("boards", machine.boards, machine.BOARDS_EXAMPLES)
_add("doctor", machine.doctor, machine.DOCTOR_EXAMPLES)
_add("worker", machine.worker, machine.WORKER_EXAMPLES)
_add("schema", machine.schema, machine.SCHEMA_EXAMPLES)
_add("clean", machine.clean, machine.CLEAN_EXAMPLES)
_add("calibrate", calibration.calibrate, calibration.CALIBRATE_EXAMPLES)
_add("predict", calibration.predict, calibration.PREDICT_EXAMPLES)
_add("drift", calibration.drift, calibration.DRIFT_EXAMPLES)
_add("version", machine.version, machine.VERSION_EXAMPLES)
