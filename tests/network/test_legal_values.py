import re
from dataclasses import replace

import pytest

from autosched.boards import find_board
from autosched.network.graph import Layer
from autosched.network.legal_values import TURNED_TILES, channels_first_methods, layer_faults
from autosched.network.operators import (
    Binary,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    HostOp,
    Input,
    LayerOp,
    Linear,
    Output,
    Softmax,
)
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.convolutions import in_slices, rare_switches, refinements, slicings, structures
from autosched.space.efforts import EFFORTS

IMAGE, VECTOR = (1, 64, 28, 28), (1, 64)
THREE = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
ONE = Conv2d(64, 64, (1, 1))
TURNED = ConvTranspose2d(64, 64, (2, 2), (2, 2))
HEIGHT, BLOCK, WIDTH = (
    Conv2dConfig(layout) for layout in (ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH)
)
ROWS = TensorLayout(page=PageLayout.ROW_MAJOR)
HWC = TensorLayout(
    Memory.L1,
    ShardLayout.HEIGHT,
    page=PageLayout.ROW_MAJOR,
    grid=(CoreRange(0, 0, 6, 6),),
    shard_shape=(16, 8),
)


def faults(op: LayerOp, config: LayerConfig, shape: tuple[int, ...] = IMAGE) -> list[str]:
    return [str(fault) for fault in layer_faults(Layer("it", op, ("x",), shape), config)]


@pytest.mark.parametrize(
    ("op", "config", "words"),
    [
        (THREE, FixedConfig(), "its configuration is 'FixedConfig'; legal is a Conv2dConfig, whi"),
        (Linear(64, 10), PoolConfig(), "its configuration is 'PoolConfig'; legal is a MatmulConf"),
        (THREE, replace(HEIGHT, act_block_w_div=2), "act_block_w_div is 2; legal is 1 without sh"),
        (THREE, replace(WIDTH, transpose_shards=True), "transpose_shards is True; legal is False"),
        (THREE, replace(HEIGHT, fold_input=True), "fold_input is True; legal is False without a "),
        (THREE, replace(HEIGHT, enable_kernel_stride_folding=True), "enable_kernel_stride_foldin"),
        (TURNED, replace(HEIGHT, fold_input=True), "fold_input is True; legal is False for a tr"),
        (TURNED, replace(HEIGHT, full_inner_dim=True), "full_inner_dim is True; legal is False f"),
        (TURNED, replace(HEIGHT, enable_activation_reuse=True), "enable_activation_reuse is True"),
        (ONE, replace(HEIGHT, enable_act_double_buffer=True), "enable_act_double_buffer is True"),
        (ONE, replace(HEIGHT, force_split_reader=False), "force_split_reader is False; legal is N"),
        (ONE, replace(BLOCK, full_inner_dim=True), "full_inner_dim is True; legal is False for "),
        (ONE, replace(BLOCK, slicing="dram_width"), "slicing is 'dram_width'; legal is l1_full o"),
        (ONE, Conv2dConfig(act_block_h_override=32), "act_block_h_override is 32; legal is 0 for"),
        (GlobalAvgPool2d(), PoolConfig(slicing="dram_height"), "slicing is 'dram_height'; legal "),
        (Binary("add"), EltwiseConfig(DataType.BFLOAT16), "layout.dtype is 'bfloat8_b'; legal is"),
        (Softmax(1), FixedConfig(method="permute"), "method is 'permute'; legal is '' for a Soft"),
        (HostOp((), ()), FixedConfig(), "method is ''; legal is 'host' for a HostOp"),
        (Input(), FixedConfig(method="host"), "method is 'host'; legal is '' or 'permute' or 'co"),
        (Input(), FixedConfig(ROWS, "convert_to_hwc"), "output is .*; legal is height shards of"),
        (Output(), FixedConfig(ROWS), "output.page is 'row_major'; legal is tile: an image is"),
        (
            Output(),
            FixedConfig(method="permute"),
            "method is 'permute'; legal is '' or 'transpose'",
        ),
    ],
)
def test_what_an_operator_would_ignore_is_refused(
    op: LayerOp, config: LayerConfig, words: str
) -> None:
    (found,) = faults(op, config)
    assert re.match(words, found), found


@pytest.mark.parametrize(
    ("op", "config", "shape"),
    [
        (THREE, replace(WIDTH, act_block_w_div=2), IMAGE),
        (THREE, replace(BLOCK, transpose_shards=True, full_inner_dim=True), IMAGE),
        (ONE, replace(WIDTH, enable_act_double_buffer=True), IMAGE),
        (Conv2d(64, 64, (1, 1), (2, 2)), replace(HEIGHT, enable_act_double_buffer=True), IMAGE),
        (TURNED, replace(BLOCK, full_inner_dim=True), IMAGE),
        (Input(), FixedConfig(HWC, "convert_to_hwc"), IMAGE),
        (Input(), FixedConfig(method="permute"), VECTOR),
        (Output(), FixedConfig(TensorLayout(Memory.L1)), IMAGE),
        (Output(), FixedConfig(ROWS), VECTOR),
        (Output(), FixedConfig(method="transpose"), IMAGE),
        (Output(), FixedConfig(method="convert_to_chw"), (1, 2, 5, 31)),
    ],
)
def test_what_an_operator_has_is_legal(
    op: LayerOp, config: LayerConfig, shape: tuple[int, ...]
) -> None:
    assert not faults(op, config, shape)


@pytest.mark.parametrize(
    ("shape", "methods"),
    [
        ((1, 32, 5, 7), (*TURNED_TILES, "convert_to_chw")),
        ((1, 512, 4, 8), (*TURNED_TILES, "convert_to_chw")),
        ((1, 513, 4, 8), TURNED_TILES),
        ((4, 40, 5, 7), (*TURNED_TILES, "convert_to_chw")),
    ],
)
def test_images_are_turned_whatever_their_sides_are(
    shape: tuple[int, ...], methods: tuple[str, ...]
) -> None:
    assert channels_first_methods(shape) == methods


@pytest.mark.parametrize("op", [THREE, ONE, TURNED, Conv2d(64, 64, (1, 1), (2, 2))])
def test_what_is_proposed_is_legal(op: Conv2d | ConvTranspose2d) -> None:
    board = find_board("n150")
    for effort in EFFORTS.values():
        asked = structures(op, IMAGE, Conv2dConfig(), board, effort)
        asked += [found for config in asked for found in refinements(op, config, board)]
        asked += [found for config in asked[:20] for found in rare_switches(op, config)]
        asked.append(in_slices(Conv2dConfig()))
        if op is not ONE:  # it has no slices, and a device says so
            asked += slicings(Conv2dConfig(), effort)
        wrong = {text for config in asked for text in faults(op, config)}
        assert not wrong
