"""Runs a network with a host layer on an open mock device, and prints what came of it."""

import json
import sys

import torch

from autosched.device.machine import open_local_device
from autosched.device.ttnn.runner import Runner
from autosched.space.formats import Formats, default_schedule
from tests.device.ttnn.test_host import cosine_network
from tests.examples.networks import BOARD


def main() -> None:
    network = cosine_network()
    schedule = default_schedule(network, BOARD.name, "", Formats())
    with open_local_device(BOARD) as device:
        runner = Runner(network, schedule, device.device, BOARD)
        (output,) = runner(torch.zeros(1, 32, 16, 16))
    sys.stdout.write(json.dumps(list(output.shape)))


if __name__ == "__main__":
    main()
