"""Device ops derived from captured ones without running the device again."""

import re
from dataclasses import replace

from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import DeviceOp

_FIDELITY = re.compile(r"(math_fidelity(?:=|': '))\w+")


def with_fidelity(op: DeviceOp, fidelity: Fidelity) -> DeviceOp:
    """Return the same op at another math fidelity.

    Fidelity changes how often the matrix engine passes over its operands and nothing that ttnn's
    host code decides, so blocks, buffers and layouts stay. Ops without a math fidelity are
    returned as they are. A time the op carries no longer holds and is dropped.
    """
    attributes, changed = _FIDELITY.subn(rf"\g<1>{fidelity.value}", op.attributes)
    return replace(op, attributes=attributes, time_ns=None) if changed else op
