"""The step of ``autosched clean``: kernels of the mock device deleted, directory by directory."""

from autosched.device.machine import kernel_directories
from autosched.device.mock.kernel_cache import empty
from autosched.errors import MachineError
from autosched.report import words
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen


def clean_kernels(output: Screen) -> None:
    """Delete the kernels that no process uses, and say how many of which board.

    Raises:
        MachineError: if some cannot be deleted.
    """
    rows = []
    screen = SearchScreen(output.console)
    with screen.shown():
        for directory in kernel_directories():
            screen.begin("cleaning", str(directory))
            try:
                found = empty(directory)
            except OSError as error:
                raise MachineError(
                    f"{directory}: kernels cannot be deleted: {error.strerror}. Its owner can"
                ) from None
            rows.append(found)
            deleted = found.kernels
            what = (
                "in use, left" if deleted is None else f"{words.count(deleted, 'kernel')} deleted"
            )
            say(output.console, f"{directory}: {what}")
    if not rows:
        say(output.console, "No kernels of the mock device are kept.")
    output.result(
        {"directories": [{"path": str(row.directory), "deleted": row.kernels} for row in rows]}
    )
