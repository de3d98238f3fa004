"""``autosched bench --solver``: the exact solver's time and memory on each network."""

from pathlib import Path

from autosched.cli import interrupts
from autosched.cli.benching import BenchRequest, prepared_benches
from autosched.cli.output import Output
from autosched.device.opening import choose_device
from autosched.report.console import say
from autosched.report.solver_speed import print_speeds, speeds_markdown, write_growth
from autosched.search.solver_speed import measure_solver


def time_solver(output: Output, request: BenchRequest) -> None:
    """Probe every network, solve its tables, and print and write the figures.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    request.check()
    speeds = []
    for prepared in prepared_benches(output, request, choose_device(request.device)):
        interrupts.check()
        prepared.screen.begin(f"{prepared.bench.network.name}: solver", "")
        speeds.append(measure_solver(prepared.bench))
    print_speeds(output.console, speeds)
    if request.markdown is not None:
        Path(request.markdown).write_text(speeds_markdown(speeds), encoding="utf-8")
        say(output.console, f"Written: {request.markdown}")
    if request.plot is not None:
        write_growth(speeds, Path(request.plot))
        say(output.console, f"Written: {request.plot}")
    output.result({"solver": [speed.to_plain() for speed in speeds]})
