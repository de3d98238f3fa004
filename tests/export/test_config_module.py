import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import ttnn

from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.ttnn_values import COMPUTE_TTNN_DEFAULTS, CONV2D_TTNN_DEFAULTS
from autosched.schedule.configurations import Conv2dConfig, FixedConfig, PoolConfig
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.serialization import with_freeing_flag
from autosched.schedule.tensors import Edge, ShardLayout, TensorLayout
from tests.examples.schedules import small_schedule

GOLDEN = Path(__file__).parent / "data" / "tiny_n150.py"

# Runs apart from this process: only ttnn may be importable, and no device may be opened.
_USE = """
import builtins, runpy, sys
real = builtins.__import__
def guarded(name, *rest, **options):
    if name.split(".")[0] == "autosched":
        raise ImportError("an exported module needs ttnn alone")
    return real(name, *rest, **options)
builtins.__import__ = guarded
import ttnn
ttnn.open_device = ttnn.CreateDevice = None
module = runpy.run_path(sys.argv[1])
conv = module["LAYERS"]["conv1"]
assert isinstance(conv.conv_config, ttnn.Conv2dConfig), conv
assert conv.conv_config.act_block_h_override == 64
assert conv.conv_config.shard_layout == ttnn.TensorMemoryLayout.HEIGHT_SHARDED
assert isinstance(conv.compute_config, ttnn.WormholeComputeKernelConfig)
assert conv.slice_config.slice_type == ttnn.Conv2dL1FullSliceConfig.slice_type
assert conv.dtype == ttnn.bfloat16
edge = module["RESHARDS"]["maxpool -> layer1.0.conv1"]
assert edge.memory_config.shard_spec.grid.num_cores() == 60
print("used", len(module["LAYERS"]))
"""


def test_the_module_reads_as_the_golden_file() -> None:
    assert render_schedule(small_schedule()) == GOLDEN.read_text()


def test_slices_are_an_argument_of_their_own() -> None:
    config = Conv2dConfig(ShardLayout.HEIGHT, slicing="dram_height", num_slices=4)
    text = render_schedule(Schedule(small_schedule().provenance, {"conv": config}))
    assert "slice_type=ttnn.Conv2dDRAMSliceHeight, num_slices=4" in " ".join(text.split())


def test_a_folded_input_is_said_and_explained() -> None:
    config = Conv2dConfig(ShardLayout.HEIGHT, fold_input=True)
    text = render_schedule(Schedule(small_schedule().provenance, {"conv": config}))
    assert "fold_input=True" in text
    assert "With fold_input the image is first folded by the stride (ttnn.fold)" in text


def test_a_pool_says_its_slices() -> None:
    config = PoolConfig(slicing="dram_width", num_slices=16, output_memory="dram")
    text = render_schedule(Schedule(small_schedule().provenance, {"pool": config}))
    call = " ".join(text.split())
    assert "dram_slice_config=ttnn.Conv2dSliceConfig( slice_type=" in call
    assert "slice_type=ttnn.Conv2dDRAMSliceWidth, num_slices=16" in call


def test_the_module_is_formatted_and_lint_free() -> None:
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "format", "--check", "--quiet", str(GOLDEN)], check=True)
    subprocess.run([*ruff, "check", "--quiet", str(GOLDEN)], check=True)


def test_the_module_is_used_with_ttnn_alone() -> None:
    finished = subprocess.run(
        [sys.executable, "-I", "-c", _USE, str(GOLDEN)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip().endswith("used 9")


def test_a_field_left_out_of_the_file_has_ttnns_default() -> None:
    conv, compute = ttnn.Conv2dConfig(), ttnn.WormholeComputeKernelConfig()
    held = {name: getattr(conv, name) for name in CONV2D_TTNN_DEFAULTS}
    assert held == {**CONV2D_TTNN_DEFAULTS, "core_grid": None}
    held = {name: getattr(compute, name) for name in COMPUTE_TTNN_DEFAULTS}
    assert held == {**COMPUTE_TTNN_DEFAULTS, "math_fidelity": ttnn.MathFidelity.Invalid}


def test_every_field_of_a_convolution_is_an_argument() -> None:
    beside = {"output_dtype", "output_memory", "slicing", "num_slices", "fold_input", "compute"}
    assert {*CONV2D_TTNN_DEFAULTS, *beside} == set(
        with_freeing_flag(Conv2dConfig(num_slices=1, fold_input=True), frees=True)
    ) - {"kind"}


def test_only_what_is_used_is_defined() -> None:
    made = Provenance("net", "s", "n150", "0.81.1")
    text = render_schedule(Schedule(made, {"x": FixedConfig()}))
    assert "class Fixed" in text
    assert "class Placement" in text
    for name in ("class Conv2d", "class Pool", "def cores", "def sharded", "Config("):
        assert name not in text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = 'a"""\nraise SystemExit  # \\'
    schedule = Schedule(Provenance(name, name, "n150", "0.81.1", study=name), {name: FixedConfig()})
    path = tmp_path / "hostile.py"
    path.write_text(render_schedule(schedule))
    module = runpy.run_path(str(path))
    assert module["PROVENANCE"]["study"] == name
    assert list(module["LAYERS"]) == [name]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            replace(small_schedule(), layers={"conv1": Conv2dConfig(act_block_h_override=48)}),
            "layer 'conv1': act_block_h_override is 48; legal is 0 or a multiple of 32",
        ),
        (
            replace(small_schedule(), reshards={Edge("x", "nowhere"): TensorLayout()}),
            "reshard 'x -> nowhere': consumer is 'nowhere'",
        ),
    ],
)
def test_what_could_not_be_read_back_is_not_written(schedule: Schedule, words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        render_schedule(replace(schedule, moves={}))
