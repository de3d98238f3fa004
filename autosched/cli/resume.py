"""``autosched resume``: go on with a stored study."""

import time

from autosched.cli import hints, options
from autosched.cli.output import opened_output

EXAMPLES = ("autosched resume resnet50-n150", "autosched resume resnet50-n150 --trials 50")


def resume(  # noqa: PLR0913 - one parameter per option
    study: options.Study,
    *,
    storage: options.Storage = None,
    sampler: options.Sampler = None,
    effort: options.Effort = None,
    trials: options.Trials = None,
    timeout: options.Timeout = None,
    seed: options.Seed = None,
    export: options.Export = None,
    as_json: options.Json = False,
) -> None:
    """Go on with a study after Ctrl-C, a crash or a reboot.

    The network file, board, device and formats are the study's own; sampler, effort and seed too,
    unless they are named.
    """
    began = time.monotonic()
    from autosched.cli.old_search import resume_search  # noqa: PLC0415 - starts quickly
    from autosched.cli.searching import GoingOn, Wishes, interruptible  # noqa: PLC0415 - as above

    wishes = Wishes(sampler, effort, seed, trials, timeout, export)
    going_on = GoingOn(hints.command("resume", study, storage=storage))
    with opened_output(as_json) as output, interruptible(output, going_on):
        resume_search(output, study, storage, wishes, began)
