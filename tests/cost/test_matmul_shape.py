import pytest

from autosched.cost.matmul_shape import read_matmul
from autosched.schedule import CoreRange, DeviceOp, Memory, ShardLayout, TensorInfo, TensorLayout

GRID = (CoreRange(0, 0, 7, 3),)
MCAST_1D = "MatmulMultiCoreReuseMcast1DProgramFactory"


def _sharded(shape: tuple[int, ...], layout: ShardLayout, shard: tuple[int, int]) -> TensorInfo:
    return TensorInfo(shape, TensorLayout(Memory.L1, layout, grid=GRID, shard_shape=shard))


def _matmul(in0: TensorInfo, attributes: str = "", batches: int = 1) -> DeviceOp:
    rows, inner = in0.shape[-2:]
    in1 = TensorInfo((1, batches, inner, 64), TensorLayout())
    out = TensorInfo((1, batches, rows, 64), TensorLayout())
    return DeviceOp("Matmul", attributes, (in0, in1), (out,), factory=MCAST_1D, cores=32)


TALL = _sharded((1, 1, 2048, 512), ShardLayout.HEIGHT, (64, 512))
FLAT = TensorInfo((1, 1, 2048, 512), TensorLayout())


@pytest.mark.parametrize(
    ("in0", "attributes", "blocks"),
    [
        (TALL, "{'program_config': 'X(in0_block_w=4;out_subblock_h=1;out_subblock_w=2)'}", 4),
        (TALL, "{'user_core_coord': '(x=8;y=4)'}", 16),
        (TALL, "", 1),
        (_sharded((1, 1, 2048, 512), ShardLayout.BLOCK, (512, 64)), "", 8),
        (FLAT, "", 8),
        (TensorInfo((1, 1, 2048, 96), TensorLayout()), "", 3),
    ],
)
def test_inner_blocks(in0: TensorInfo, attributes: str, blocks: int) -> None:
    assert read_matmul(_matmul(in0, attributes)).k_blocks == blocks


def test_multicast_programs_go_through_all_batches() -> None:
    assert read_matmul(_matmul(FLAT, batches=12)).core_batches == 12
