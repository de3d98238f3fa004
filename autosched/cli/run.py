"""``autosched run``: from a network file to its best schedule."""

import time

from autosched.cli import hints, options
from autosched.cli.output import opened_output

EXAMPLES = (
    "autosched run studies/resnet50.py",
    "autosched run net.py --start by_hand.py --export better.py",
    "autosched run net.py --pin 'layer1.*:shard_layout=height' --forbid '*:memory=dram'",
    "autosched run net.py:backbone --board p150 --batch 16 --timeout 10m --export best.py",
)


def run(  # noqa: PLR0913 - one parameter per option
    net: options.Network,
    *,
    board: options.Board = None,
    device: options.Device = "auto",
    batch: options.Batch = None,
    allow_host: options.AllowHost = False,
    study: options.StudyName = None,
    storage: options.Storage = None,
    sampler: options.Sampler = None,
    effort: options.Effort = None,
    trials: options.Trials = None,
    timeout: options.Timeout = None,
    seed: options.Seed = None,
    weights: options.Weights = "",
    activations: options.Activations = "",
    fidelity: options.Fidelity = "",
    warm_ups: options.WarmUps = None,
    replays: options.Replays = None,
    start: options.Start = None,
    pin: options.Pin = None,
    forbid: options.Forbid = None,
    export: options.Export = None,
    as_json: options.Json = False,
) -> None:
    """Search the best schedule of a network, or go on with its study.

    Captures the network, runs ttnn's default schedule, probes what can be chosen for each layer,
    and runs the most promising schedules of the whole network. Every finished probe and trial is
    stored at once; Ctrl-C loses nothing.
    """
    began = time.monotonic()
    from autosched.cli.new_search import Target, run_search  # noqa: PLC0415 - starts quickly
    from autosched.cli.searching import GoingOn, Wishes, interruptible  # noqa: PLC0415 - as above

    wishes = Wishes(
        sampler, effort, seed, trials, timeout, export, start, tuple(pin or ()), tuple(forbid or ())
    )
    target = Target(
        net=net,
        board=board or "n150",
        device=device,
        batch=batch,
        allow_host=allow_host,
        name=study,
        storage=storage,
        formats={"weights": weights, "activations": activations, "fidelity": fidelity},
        timing={"warm_ups": warm_ups, "replays": replays},
    )
    going_on = GoingOn(hints.command("run", net, storage=storage))
    with opened_output(as_json) as output, interruptible(output, going_on):
        run_search(output, target, wishes, going_on, began)
