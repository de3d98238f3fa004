"""``autosched run`` and ``resume``: from a network file, or a study, to the best schedule."""

import time

from autosched.cli import hints, options
from autosched.report.output import opened_output

RUN_EXAMPLES = (
    "autosched run studies/resnet50.py",
    "autosched run net.py --start by_hand.py --export better.py",
    "autosched run net.py --start best.py --freeze 'layer1.*' --study rest",
    "autosched run net.py --pin 'layer1.*:shard_layout=height' --forbid '*:memory=dram'",
    "autosched run net.py --pin 'head.*:output_dtype=bfloat16' --pin 'head.*:math_fidelity=HiFi4'",
    "autosched run net.py --formats-of by_hand.py",
    "autosched run net.py --min-pcc 0.995",
    "autosched run net.py --min-metric 0.98",
    "autosched run net.py --io nchw,device",
    "autosched run net.py:backbone --board p150 --batch 16 --timeout 10m --export best.py",
    "autosched run studies/unet_small.py --batch 4 --pack-images 4",
    "autosched run studies/resnet50.py --cluster tcp://localhost:8786",
)


def run(  # noqa: PLR0913 - one parameter per option
    net: options.NetworkOption,
    *,
    board: options.BoardOption = None,
    device: options.DeviceOption = "auto",
    batch: options.Batch = None,
    pack_images: options.PackImages = "auto",
    allow_host: options.AllowHost = False,
    io: options.Io = None,
    no_check: options.NoCheck = False,
    allow_known_faults: options.AllowKnownFaults = False,
    study: options.StudyName = None,
    storage: options.Storage = None,
    sampler: options.Sampler = None,
    effort: options.EffortOption = None,
    trials: options.Trials = None,
    timeout: options.Timeout = None,
    seed: options.Seed = None,
    risk: options.Risk = None,
    min_pcc: options.Floor = None,
    min_metric: options.MetricFloor = None,
    formats: options.FormatSearch = None,
    jobs: options.Jobs = None,
    cluster: options.Cluster = None,
    strict: options.Strict = False,
    weights: options.WeightsOption = "",
    activations: options.Activations = "",
    fidelity: options.FidelityOption = "",
    fp32_accumulation: options.Fp32Accumulation = False,
    warm_ups: options.WarmUps = None,
    replays: options.Replays = None,
    soak: options.Soak = None,
    start: options.Start = None,
    freeze: options.Freeze = None,
    formats_of: options.FormatsOf = None,
    safe: options.Safe = False,
    pin: options.Pin = None,
    forbid: options.Forbid = None,
    export: options.Export = None,
    as_json: options.Json = False,
) -> None:
    """Search the best schedule of a network, or go on with its study.

    Captures the network, runs ttnn's default schedule, probes what can be chosen for each layer,
    and runs the most promising schedules of the whole network. Every finished probe and trial is
    stored at once; Ctrl-C loses nothing.

    The network file is executed, and so is the .py of --start or --formats-of unless --safe is
    given. From others, take schedules as JSON, which is only read.
    """
    began = time.monotonic()
    from autosched.cli.steps.search_request import Target, Wishes
    from autosched.cli.steps.search_session import (
        GoingOn,
        interruptible,
        run_search,
    )

    wishes = Wishes(
        sampler,
        effort,
        seed,
        trials,
        timeout,
        export,
        tuple(pin or ()),
        tuple(forbid or ()),
        risk,
        min_pcc,
        min_metric,
        formats,
    )
    target = Target(
        net=net,
        board=board,
        device=device,
        batch=batch,
        pack_images=pack_images,
        allow_host=allow_host,
        allow_known_faults=allow_known_faults,
        name=study,
        storage=storage,
        formats={
            "weights": weights,
            "activations": activations,
            "fidelity": fidelity,
            "fp32_accumulation": fp32_accumulation,
        },
        timing={"warm_ups": warm_ups, "replays": replays, "soak": soak},
        jobs=jobs,
        cluster=cluster,
        strict=strict,
        start=start,
        freeze=tuple(freeze or ()),
        safe=safe,
        formats_of=formats_of,
        check=not no_check,
        io=io,
    )
    going_on = GoingOn(hints.command("run", net, storage=storage, cluster=cluster))
    with opened_output(as_json) as output, interruptible(output, going_on):
        run_search(output, target, wishes, going_on, began)


PARETO_EXAMPLES = (
    "autosched pareto resnet50-n150",
    "autosched pareto resnet50-n150 --min-pcc 0.95 --points 20 --picture front.html",
)


def pareto(  # noqa: PLR0913 - one parameter per option
    study: options.StudyOption,
    *,
    min_pcc: options.FrontFloor = None,
    points: options.Points = 12,
    picture: options.Picture = None,
    storage: options.Storage = None,
    timeout: options.Timeout = None,
    jobs: options.Jobs = None,
    cluster: options.Cluster = None,
    net: options.OtherNetwork = None,
    safe: options.SafeStudy = False,
    no_check: options.NoCheck = False,
    as_json: options.Json = False,
) -> None:
    """Trace time against accuracy: a study's schedules from the fastest to the most exact.

    Each layer's formats are chosen together with its layout, and each schedule runs and is
    emulated, as with run --min-pcc. They are trials of a study of their own, STUDY-pareto, which
    optuna-dashboard shows with both aims; any of them can be exported. Ctrl-C loses nothing: the
    same command goes on.

    The network file is executed, as by resume.
    """
    began = time.monotonic()
    from autosched.cli.steps.accuracy_run import Front, trace_front
    from autosched.cli.steps.search_session import GoingOn, Resumed, interruptible

    going_on = GoingOn(hints.command("pareto", study, storage=storage, cluster=cluster))
    with opened_output(as_json) as output, interruptible(output, going_on):
        resumed = Resumed(study, storage, net, safe, jobs, not no_check, cluster)
        trace_front(output, Front(resumed, min_pcc, points, picture, timeout), began)


RESUME_EXAMPLES = (
    "autosched resume resnet50-n150",
    "autosched resume resnet50-n150 --trials 50",
    "autosched resume colleagues-n150 --safe --net studies/resnet50.py",
)


def resume(  # noqa: PLR0913 - one parameter per option
    study: options.StudyOption,
    *,
    storage: options.Storage = None,
    sampler: options.Sampler = None,
    effort: options.EffortOption = None,
    trials: options.Trials = None,
    timeout: options.Timeout = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    cluster: options.Cluster = None,
    net: options.OtherNetwork = None,
    safe: options.SafeStudy = False,
    no_check: options.NoCheck = False,
    export: options.Export = None,
    as_json: options.Json = False,
) -> None:
    """Go on with a study after Ctrl-C, a crash or a reboot.

    The network file, board, device and formats are the study's own; sampler, effort and seed too,
    unless they are named.

    The network file is executed: of a database from others, look at the file that its study names,
    or name your own with --net.
    """
    began = time.monotonic()
    from autosched.cli.steps.search_request import Wishes
    from autosched.cli.steps.search_session import (
        GoingOn,
        Resumed,
        interruptible,
        resume_search,
    )

    wishes = Wishes(sampler, effort, seed, trials, timeout, export)
    going_on = GoingOn(hints.command("resume", study, storage=storage, cluster=cluster))
    with opened_output(as_json) as output, interruptible(output, going_on):
        resume_search(
            output, Resumed(study, storage, net, safe, jobs, not no_check, cluster), wishes, began
        )
