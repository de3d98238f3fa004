import pytest

from autosched.cost.ops.families import work_of
from autosched.cost.ops.norms import read_softmax
from autosched.schedule.tensors import TensorInfo, TensorLayout
from tests.cost.records import made_op


@pytest.mark.parametrize(("columns", "masks"), [(64, 0.0), (50, 1.0)])
def test_rows_that_end_within_a_tile_need_a_mask(columns: int, masks: float) -> None:
    info = TensorInfo((1, 8, 64, columns), TensorLayout())
    found = read_softmax(made_op("SoftmaxDeviceOperation", info, info))
    assert work_of(found).serial["mask"] == masks
