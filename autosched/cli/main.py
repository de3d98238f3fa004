"""The entry point ``autosched``: runs a command and turns whatever it raises into an exit code.

0 is success, 2 an error with one clear message, 130 Ctrl-C, 1 a bug.
"""

import os
import sys
import warnings
from collections.abc import Sequence

from autosched.cli import exits
from autosched.quiet import QUIET


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    exits.install()
    code = run_command_line(arguments)
    # A swallowed signal changes nothing about a command that went through.
    sys.exit(exits.exit_code() if code and exits.received() else code)


def run_command_line(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    With ``--json`` there is one object on standard output in any case: what the command came to, or
    why it failed.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    code = _code_of(words)
    if code and "--json" in words:
        from autosched.report.output import write_failure

        try:
            write_failure(exits.told_failure(), code)
        except BrokenPipeError:
            exits.leave_output()
    return code


def _code_of(words: Sequence[str]) -> int:
    try:
        exits.forget_failures()
        _check_encoding(words)
        prepare_libraries()
        # Imported here, so that a Ctrl-C during the imports is handled, too.
        from autosched.cli.app import app
        from autosched.report.output import forget_results

        forget_results()
        app(args=words, prog_name="autosched")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except BaseException as error:
        from autosched.cli.exits import report_failure

        return exits.exit_code() if exits.received() else report_failure(error)
    return 0


def _check_encoding(words: Sequence[str]) -> None:
    """Refuse arguments that neither a database nor a terminal could take.

    Raises:
        UnicodeEncodeError: for one that is not UTF-8, or is not read as that in this locale.
    """
    for word in words:
        word.encode()


# Threads of PyTorch that wait for each other give up their core: where others run, spinning makes
# them several times as slow.
_SHARING = {"OMP_WAIT_POLICY": "PASSIVE"}


def prepare_libraries() -> None:
    """Keep the logs and warnings of ttnn, torch and others off the screen, and torch from spinning.

    The variables are read when they are imported, in this process or in a worker.
    """
    for name, value in {**QUIET, **_SHARING}.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


if __name__ == "__main__":
    main()
