"""The options that commands share, each declared once."""

from typing import Annotated

import typer

from autosched.cli.shell import completion
from autosched.cli.shell.completion import word_of

MOST = 2**31 - 1
"""The largest number that both databases count to."""

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object; all else goes to standard error.")
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="AUTOSCHED_STORAGE",
        help="Database, such as sqlite:///trials.sqlite3 or postgresql://user@host/name.",
    ),
]
BoardOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Board to schedule for: one of autosched boards, or FILE.yaml that describes a chip "
        "in tt-metal's form; default: the card that is there, else n150.",
        autocompletion=completion.board_names,
    ),
]
Arch = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="wormhole_b0 or blackhole, for a report that does not show which.",
        autocompletion=word_of("archs"),
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="mock (times are estimated), silicon (measured), or auto: a card if there is one.",
        autocompletion=word_of("devices"),
    ),
]
ExecutingOption = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="mock (times are estimated), silicon (measured), simulator (kernels are executed, "
        "without a time), or auto: a card if there is one, else mock.",
        autocompletion=word_of("executing"),
    ),
]
CheckedOn = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="mock (times are estimated), silicon (measured), simulator (kernels are executed, "
        "without a time), emulator (numbers are emulated in PyTorch, without a time), or auto: a "
        "card if there is one, else mock.",
        autocompletion=word_of("checking"),
    ),
]
Simulator = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        envvar="TT_METAL_SIMULATOR",
        help="ttsim's library for --device simulator: libttsim_wh.so or libttsim_bh.so.",
    ),
]
Layers = Annotated[
    bool,
    typer.Option(
        "--layers",
        help="Also run every layer alone on PyTorch's own input of it, and show all of them.",
    ),
]
MinPcc = Annotated[
    float,
    typer.Option(
        min=-1.0,
        max=1.0,
        help="Exit code 1 below this PCC of an output, or this concordance of a layer alone.",
    ),
]
Batch = Annotated[int | None, typer.Option(min=1, help="Images per inference.")]
PackImages = Annotated[
    str,
    typer.Option(
        "--pack-images",
        metavar="N",
        help="Images of the batch that lie side by side in channels, as groups: layers of few "
        "channels fill their tiles of 32 so. A divisor of --batch, 1 for none, or auto: what is "
        "estimated fastest. Inputs and outputs stay (N, C, H, W).",
    ),
]
AllowHost = Annotated[
    bool,
    typer.Option(
        "--allow-host",
        help="Run operators that ttnn lacks on the host; the transfers there and back count.",
    ),
]
Io = Annotated[
    str | None,
    typer.Option(
        "--io",
        metavar="ORDER",
        help="How images come and are handed back on the device: nchw (PyTorch's order), nhwc "
        "(rows of channels in DRAM) or device (as the layers there have them); or inputs,outputs. "
        "Default: input_layout and output_layout in the network file, else nchw.",
        autocompletion=word_of("orders"),
    ),
]
NoCheck = Annotated[
    bool,
    typer.Option("--no-check", help="Do not compare the captured network with PyTorch first."),
]
AllowKnownFaults = Annotated[
    bool,
    typer.Option(
        "--allow-known-faults",
        help="Leave in what is known to compute wrong or hang; see autosched doctor --known-bad.",
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="The study's name; default: network, batch and board.",
        autocompletion=completion.study_names,
    ),
]
Sampler = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="joint (default), mutation, tpe, nsga2 or random.",
        autocompletion=word_of("samplers"),
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(min=0, max=MOST, help="Whole-network trials; default: as the effort has it."),
]
Timeout = Annotated[str | None, typer.Option(metavar="TIME", help="Stop after 90s, 10m or 1h30m.")]
EffortOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="quick, default or full: how much is probed.",
        autocompletion=word_of("efforts"),
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Mock devices that probe at once; default: one a core, 4 at most."),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Take probes from the database only, and fail where one is missing or stale.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        envvar="AUTOSCHED_CLUSTER",
        help="Let the workers of a Dask scheduler (tcp://HOST:PORT, tls://HOST:PORT) probe and run "
        "trials; see autosched worker.",
    ),
]
Risk = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Of schedules estimated no more than this share slower than the fastest (default: "
        "0.005), the one that risks least is best: least time that the calibration leaves open, "
        "and fewest rare switches. 0: always the fastest. Measured times are taken as they are.",
    ),
]
Floor = Annotated[
    float | None,
    typer.Option(
        "--min-pcc",
        metavar="PCC",
        help="Least correlation of each output with PyTorch in float32, as the device's numbers "
        "are emulated on inputs that nothing was fitted to. What has less is rejected, and formats "
        "are searched unless --formats fixed is given. With --formats search, default: 0.99.",
    ),
]
MetricFloor = Annotated[
    float | None,
    typer.Option(
        "--min-metric",
        metavar="NUMBER",
        help="Least value of the network file's own metric(outputs, reference), the higher the "
        "better, over all batches of calibration_inputs() but the first; as --min-pcc otherwise. "
        "Default: the file's metric_floor.",
    ),
]
FrontFloor = Annotated[
    float | None,
    typer.Option(
        "--min-pcc",
        metavar="PCC",
        help="Least correlation of the front's fastest schedule with PyTorch, emulated; default: "
        "0.9. The front of another floor is a study of its own, STUDY-pareto-PCC.",
    ),
]
Points = Annotated[
    int, typer.Option(min=2, max=MOST, help="How many schedules to run, those of before included.")
]
Picture = Annotated[
    str | None,
    typer.Option("--picture", metavar="FILE", help="Draw the front as .html, .png or .svg."),
]
FormatSearch = Annotated[
    str | None,
    typer.Option(
        "--formats",
        metavar="fixed|search",
        help="Whether formats of weights and activations, fidelity and float32 sums are chosen for "
        "each layer, the fastest that leave --min-pcc. Default: fixed, as --weights, "
        "--activations and --fidelity say; search where --min-pcc or --min-metric is given.",
        autocompletion=word_of("formats"),
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of the sampler; default: 0.")]
Export = Annotated[
    str | None,
    typer.Option("--export", metavar="FILE", help="Write the best schedule to a .py or .json."),
]
Pin = Annotated[
    list[str] | None,
    typer.Option(
        "--pin",
        metavar="LAYERS:FIELD=VALUE",
        help="Only candidates with this value, such as 'layer1.*:shard_layout=height'; may be "
        "given several times.",
    ),
]
Forbid = Annotated[
    list[str] | None,
    typer.Option(
        "--forbid",
        metavar="LAYERS:FIELD=VALUE",
        help="No candidate with this value, such as '*:enable_activation_reuse=true'; may be "
        "given several times.",
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="SCHEDULE",
        help="A schedule (.py or .json) to start from: it runs first, and its choices join the "
        "candidates. A .py is executed, unless --safe is given.",
        autocompletion=completion.schedule_files,
    ),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option(
        "--freeze",
        metavar="LAYERS",
        help="Keep these layers as --start has them, such as 'layer1.*', and search the rest; may "
        "be given several times.",
    ),
]
FormatsOf = Annotated[
    str | None,
    typer.Option(
        "--formats-of",
        metavar="SCHEDULE",
        help="Give each layer the formats that it has in a schedule (.py or .json), as pins. A .py "
        "is executed, unless --safe is given.",
        autocompletion=completion.schedule_files,
    ),
]
Safe = Annotated[
    bool,
    typer.Option(
        "--safe", help="Read a schedule's .py as data, and refuse it where it is no mere export."
    ),
]
SafeStudy = Annotated[
    bool,
    typer.Option(
        "--safe", help="Execute no file that the database names: the network is that of --net."
    ),
]
OtherNetwork = Annotated[
    str | None,
    typer.Option(
        "--net",
        metavar="NET.PY",
        help="Network file to execute in place of the one that the study names.",
        autocompletion=completion.network_files,
    ),
]
WeightsOption = Annotated[
    str,
    typer.Option(
        metavar="TYPE",
        help="bfloat16, bfloat8_b (default) or bfloat4_b.",
        autocompletion=word_of("weights"),
    ),
]
Activations = Annotated[
    str,
    typer.Option(
        metavar="TYPE",
        help="bfloat16 or bfloat8_b (default), between both ends.",
        autocompletion=word_of("activations"),
    ),
]
FidelityOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="LoFi, HiFi2, HiFi3 or HiFi4, for every layer.",
        autocompletion=word_of("fidelities"),
    ),
]
Fp32Accumulation = Annotated[
    bool,
    typer.Option(
        "--fp32-accumulation",
        help="Keep sums in float32, not bfloat16; but of linear layers with a bias.",
    ),
]
WarmUps = Annotated[
    int | None, typer.Option(min=0, help="Runs before timing; on a card only. Default: 3.")
]
Replays = Annotated[
    int | None, typer.Option(min=1, help="Timed replays of the trace; on a card only.")
]
Soak = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=10_000_000,
        help="Replays after which the best schedule's outputs still are the same to the bit, or it "
        "is not the best; on a card only. Default: 5000; 0: none.",
    ),
]
NetworkOption = Annotated[
    str,
    typer.Argument(
        metavar="NET.PY",
        show_default=False,
        help="Network file, or NET.PY:name; it is executed.",
        autocompletion=completion.network_files,
    ),
]
Top = Annotated[
    int,
    typer.Option(
        "--top", metavar="N", min=0, max=MOST, help="Candidates of a layer to show; 0: all."
    ),
]
StudyOption = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        show_default=False,
        help="Name; see autosched list.",
        autocompletion=completion.study_names,
    ),
]
