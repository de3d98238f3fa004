"""The simulator, where there is one: what needs it is skipped otherwise, with what is missing."""

import pytest

from autosched.device.machine import SIMULATOR
from autosched.device.simulator.environment import (
    installed_toolchain,
    simulated_arch,
    simulator_library,
)
from autosched.errors import DeviceError
from tests.examples.networks import BOARD


@pytest.fixture(scope="session")
def simulated() -> str:
    """The kind of device on which kernels are executed as on the board of the examples."""
    try:
        arch = simulated_arch(simulator_library())
        installed_toolchain()
    except DeviceError as error:
        pytest.skip(str(error))
    if arch != BOARD.arch:
        pytest.skip(f"the simulator is a {arch}, the examples are of a {BOARD.arch}")
    return SIMULATOR
