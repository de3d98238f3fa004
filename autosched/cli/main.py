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
    """Run the command line and return its exit code."""
    try:
        silence_libraries()
        # Imported here, so that a Ctrl-C during the imports is handled, too.
        from autosched.cli.app import app

        app(args=arguments, prog_name="autosched")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except BaseException as error:
        from autosched.cli.exits import report_failure

        return exits.exit_code() if exits.received() else report_failure(error)
    return 0


def silence_libraries() -> None:
    """Keep the logs and warnings of ttnn, torch and others off the screen.

    The variables are read when ttnn is imported, in this process or in a worker.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


if __name__ == "__main__":
    main()
