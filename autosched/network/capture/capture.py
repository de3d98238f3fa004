"""Capture of a PyTorch module as a :class:`~autosched.network.graph.Network`."""

from dataclasses import replace

import torch
from torch import nn

from autosched.network.capture.capture_check import check_capture, check_packing
from autosched.network.capture.exporting import check_module, check_tensors, export_program
from autosched.network.capture.program_capture import CapturedProgram, capture_program
from autosched.network.ends import NCHW, Ends, with_ends
from autosched.network.graph import Network
from autosched.network.rewrites.packed_images import pack_images as pack


def capture(
    module: nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    name: str = "network",
    *,
    allow_host: bool = False,
    check: bool = True,
    io: str = NCHW,
    pack_images: int = 1,
) -> Network:
    """Turn a module in eval mode into layers and edges.

    The shapes of ``example_inputs`` (images (N, C, H, W), vectors (N, features), tokens
    (N, length, C) or series (N, C, length); float32, on the host) become those of the network.
    Weights that nothing was folded into share the module's memory.

    With ``allow_host``, operators without a layer run on the host, in PyTorch, where they can:
    :attr:`Network.host_layers` has them, each with its reason. With ``check``, the network is
    evaluated beside the module before it is returned. ``io`` is the order in which the device is
    given images and leaves them, "nchw", "nhwc" or "device", or two of them for inputs and outputs
    ("nchw,nhwc"): see :data:`autosched.network.ends.ORDERS`. ``pack_images`` of a batch lie beside
    each other in channels, which narrow networks run faster with; callers still hand in
    (N, C, H, W).

    Raises:
        NetworkFileError: The module is in training mode, not float32 on the host, or raises on
            these inputs; or ``io`` is not one of the orders; or images cannot be packed.
        UnsupportedOperatorError: Operators without a layer, each with its place; or control
            flow that depends on values.
        WrongCaptureError: The network computes something else than the module.
    """
    ends = Ends.parse(io, "io")
    captured = capture_unchecked(module, example_inputs, name, allow_host=allow_host)
    network = with_ends(captured.network, ends)
    packed = pack(network, pack_images)
    if check:
        check_capture(module, example_inputs, captured, allow_host=allow_host)
        check_packing(network, packed)
    return packed


def capture_unchecked(
    module: nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    name: str = "network",
    *,
    allow_host: bool = False,
) -> CapturedProgram:
    """Capture a module, and keep what :func:`~.capture_check.check_capture` needs.

    Raises:
        NetworkFileError, UnsupportedOperatorError: as :func:`capture`.
    """
    check_module(module, name)
    check_tensors(module, example_inputs, name)
    program = export_program(module, example_inputs, name)
    captured = capture_program(program, name, allow_host=allow_host)
    return replace(captured, network=replace(captured.network, samples=example_inputs))
