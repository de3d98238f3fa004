"""A schedule replayed thousands of times on a card: some hang, or waver, only then."""

from typing import TYPE_CHECKING, Any

import torch

from autosched.device.rejections import classify
from autosched.errors import AutoschedError, DeviceError
from autosched.network.operators import Input, Output
from autosched.schedule.outcomes import Rejection, Soaked
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Memory

if TYPE_CHECKING:
    from autosched.device.ttnn.execution import ExecutingDevice

_SEED = 0


def soak_schedule(
    device: "ExecutingDevice", schedule: Schedule, replays: int
) -> Soaked | Rejection:
    """Soak a schedule of the network that is loaded on an executing device, on drawn inputs.

    A network with layers on the host cannot be captured, and is left alone: no replay is made. Of
    one whose inputs come into L1 nothing is compared: others may lie there once they were read.

    Raises:
        DeviceError: if no network is loaded.
    """
    from autosched.device.ttnn.runner import (  # noqa: PLC0415 - loads ttnn
        LayerFailedError,
        Runner,
        read_back,
    )
    from autosched.device.ttnn.timing import soaked, wall_us  # noqa: PLC0415

    context = device._context
    if context is None:
        raise DeviceError("no network is loaded: call load() before soak()")
    network = context.network
    if network.host_layers:
        return Soaked(0, 0.0)
    runner = Runner(network, schedule, device.device, device.board, context)
    drawn = torch.Generator().manual_seed(_SEED)
    inputs = [
        torch.rand(layer.shape, generator=drawn) for layer in network if isinstance(layer.op, Input)
    ]
    outputs = [layer for layer in network if isinstance(layer.op, Output)]

    stays = all(layout.memory is Memory.DRAM for _shape, layout in runner.uploads())

    def read(found: Any) -> list[torch.Tensor]:
        if not stays:
            return []
        return [read_back(*pair) for pair in zip(outputs, found, strict=True)]

    def forward() -> object:
        return runner.forward(list(uploaded))

    try:
        device.device.enable_program_cache()
        uploaded = runner.upload(inputs)
        wall_us(device.device, forward)
        uploaded = runner.upload(inputs)
        return soaked(device.device, forward, read, replays)
    except LayerFailedError as error:
        return error.rejection
    except AutoschedError:
        raise
    except Exception as error:  # a trace that outgrows its region, for one
        return classify(error)
    finally:
        context.forget_unused_weights()
