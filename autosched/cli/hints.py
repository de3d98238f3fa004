"""Command lines to print: what to type next."""

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosched.search.settings import Settings


def command(*words: str, storage: str | None = None, cluster: str | None = None) -> str:
    """Return an ``autosched`` command line, with what the user had to name to be where it was."""
    from autosched.passwords import hide_passwords, passwords_in

    parts = ["autosched", *words]
    if storage and storage != os.environ.get("AUTOSCHED_STORAGE"):
        parts += ["--storage", hide_passwords(storage, passwords_in(storage))]
    if cluster and cluster != os.environ.get("AUTOSCHED_CLUSTER"):
        parts += ["--cluster", cluster]
    return shlex.join(parts)


def module_name(study: str) -> str:
    """Return the file a study's schedule is exported to where none is named."""
    return re.sub(r"\W+", "_", study) + ".py"


def report_name(study: str) -> str:
    """Return the file that a study's report is written to where none is named."""
    return re.sub(r"\W+", "_", study) + ".html"


def after_search(
    study: str,
    storage: str | None,
    settings: "Settings",
    exported: str,
    *,
    has_run: bool = True,
    has_layers: bool = False,
) -> list[str]:
    """Return what to type after a search; one in which nothing ``has_run`` can only go on.

    With ``has_layers`` its layers have just been shown.
    """
    if not has_run:
        return [command("resume", study, storage=storage)]
    file = exported or module_name(study)
    lines = [] if exported else [command("export", study, "-o", file, storage=storage)]
    if settings.network_file:
        net = short_path(settings.network_file)
        lines.append(command("check", file, "--net", net, storage=storage))
        lines.append(command("verify", study, storage=storage))
    if not has_layers:
        lines.append(command("show", study, "--layers", storage=storage))
    lines.append(command("report", study, "-o", report_name(study), storage=storage))
    lines.append(command("resume", study, storage=storage))
    return lines


def after_verifying(study: str, storage: str | None, wrong: str, *, stands: bool) -> list[str]:
    """Return what to type once a study is verified; ``wrong`` is a layer to report, "" for none."""
    if stands:
        file = module_name(study)
        return [command("export", study, "-o", file, storage=storage)]
    lines = [command("resume", study, storage=storage)]
    if wrong:
        lines.append(
            command("verify", study, "--reproduce", wrong, "-o", "wrong.py", storage=storage)
        )
    return lines


def short_path(path: str) -> str:
    """Return a path as it is shortest from here, with no step back inside it."""
    relative = os.path.relpath(path)
    return os.path.normpath(path) if relative.startswith("..") else relative


def network_name(net: str) -> str:
    """Return the name that a network file gives its network: "net" for "net.py:backbone"."""
    path = Path(net)
    return (path if path.exists() or ":" not in net else Path(net.rpartition(":")[0])).stem


def absolute_path(net: str) -> str:
    """Return "NET.PY" or "NET.PY:name" as it is found from every directory."""
    return str(Path(net).absolute())
