"""Noted lines, as they are typed in a program."""

import pytest

from autosched.export.module_text import assignment
from autosched.export.noted_calls import CallReader, CallWriter

CORES = "ttnn.CoreRangeSet([ttnn.CoreRange(ttnn.CoreCoord(0, 0), ttnn.CoreCoord(7, 6))])"
SHARDS = (
    "ttnn.MemoryConfig(ttnn.TensorMemoryLayout.HEIGHT_SHARDED, ttnn.BufferType.L1, "
    f"ttnn.ShardSpec({CORES}, [64, 32], ttnn.ShardOrientation.COL_MAJOR))"
)
DRAM = "ttnn.MemoryConfig(ttnn.TensorMemoryLayout.INTERLEAVED, ttnn.BufferType.DRAM)"
COMPUTE = (
    "ttnn.init_device_compute_kernel_config(ttnn.Arch.BLACKHOLE, "
    "math_fidelity=ttnn.MathFidelity.HiFi2, math_approx_mode=False, fp32_dest_acc_en=True, "
    "packer_l1_acc=True)"
)


def written(line: str, names: dict[str, str] | None = None) -> str:
    (call,) = CallReader().calls([line])
    return assignment("x", CallWriter().text(call.expression, names or {}))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            f"t2 = ttnn.to_memory_config(t1, {DRAM}, dtype=None)",
            "x = ttnn.to_memory_config(enc1, ttnn.DRAM_MEMORY_CONFIG)\n",
        ),
        (
            "t2 = ttnn.typecast(t1, ttnn.DataType.BFLOAT8_B)",
            "x = ttnn.typecast(enc1, ttnn.bfloat8_b)\n",
        ),
        (
            "t2 = ttnn.to_layout(t1, ttnn.Layout.ROW_MAJOR)",
            "x = ttnn.to_layout(enc1, ttnn.ROW_MAJOR_LAYOUT)\n",
        ),
        (
            "t2 = ttnn.concat([t1, t1], dim=-1, activations=[])",
            "x = ttnn.concat([enc1, enc1], dim=-1)\n",
        ),
        (
            "t2 = ttnn.upsample(t1, [2, 2], mode='nearest')",
            'x = ttnn.upsample(enc1, [2, 2], mode="nearest")\n',
        ),
        (f"t2 = ttnn.softmax(t1, {COMPUTE})", "x = ttnn.softmax(enc1, HIFI2_FP32_EXACT)\n"),
        ("t2 = torch.reshape(t1[:, :10], (1,))", "x = torch.reshape(enc1[:, :10], (1,))\n"),
    ],
)
def test_values_are_short_and_defaults_left_out(line: str, expected: str) -> None:
    assert written(line, {"t1": "enc1"}) == expected


def test_shards_and_compute_configurations_are_said_once() -> None:
    writer = CallWriter()
    (call,) = CallReader().calls([f"t2 = ttnn.add(t1, t1, memory_config={SHARDS}, c={COMPUTE})"])
    text = assignment("x", writer.text(call.expression, {"t1": "x"}))
    assert "sharded(ttnn.TensorMemoryLayout.HEIGHT_SHARDED, cores((0, 0, 7, 6)), (64, 32)" in (
        " ".join(text.split()).replace("( ", "(").replace(", )", ")")
    )
    assert "transposed=True" in text
    assert writer.helpers == {"cores", "sharded"}
    assert list(writer.constants) == ["HIFI2_FP32_EXACT"]


def test_a_convolution_is_its_output_and_leaves_its_parameters_to_the_helper() -> None:
    reader = CallReader()
    (call,) = reader.calls(
        [
            "t9 = ttnn.conv2d(input_tensor=t8, weight_tensor=t1[1][0], bias_tensor=None, "
            "device=device, groups=1, dilation=(1, 1), return_weights_and_bias=True)",
            "ttnn.graph.track_function_start('stated')",
        ]
    )
    assert call.of_layer
    assert call.used == {"t8"}
    assert written_of(call.expression) == "x = ttnn.conv2d(input_tensor=t8)\n"
    assert reader.value("t9[0]") == "t9"
    assert reader.value("t8[0]") == "t8[0]"


def written_of(expression: object) -> str:
    return assignment("x", CallWriter().text(expression, {}))  # type: ignore[arg-type]
