from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import DeviceOp
from tests.cost.derive import with_fidelity


def test_only_the_fidelity_changes() -> None:
    op = DeviceOp("Matmul", "ComputeKernelConfig(math_fidelity=HiFi4,x=1)", (), (), time_ns=3.0)
    derived = with_fidelity(op, Fidelity.LOFI)
    assert derived.attributes == "ComputeKernelConfig(math_fidelity=LoFi,x=1)"
    assert derived.time_ns is None


def test_old_spelling() -> None:
    op = DeviceOp("OptimizedConvNew", "{'math_fidelity': 'LoFi'; 'a': '1'}", (), ())
    assert "'math_fidelity': 'HiFi2'" in with_fidelity(op, Fidelity.HIFI2).attributes


def test_ops_without_fidelity_stay_as_they_are() -> None:
    op = DeviceOp("MoveDeviceOperation", "MoveOperationAttributes()", (), (), time_ns=3.0)
    assert with_fidelity(op, Fidelity.LOFI) is op
