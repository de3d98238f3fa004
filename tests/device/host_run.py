"""Runs networks with host layers on an open mock device, and prints what came of them."""

import json
import sys

import torch

from autosched.device.machine import open_local_device
from autosched.device.ttnn.runner import Runner
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.device.ttnn.test_host import classes_network, cosine_network
from tests.examples.networks import BOARD


def main() -> None:
    outputs = {}
    with open_local_device(BOARD) as device:
        for network in (cosine_network(), classes_network()):
            schedule = default_schedule(network, BOARD.name, "", Formats())
            runner = Runner(network, schedule, device.device, BOARD)
            outputs[network.name] = [
                [str(output.dtype), list(output.shape)]
                for output in runner(torch.zeros(1, 32, 16, 16))
            ]
    sys.stdout.write(json.dumps(outputs))


if __name__ == "__main__":
    main()
