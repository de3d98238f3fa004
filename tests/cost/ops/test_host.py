from dataclasses import replace

import pytest

from autosched.boards import BOARDS, find_board
from autosched.cost.model import CostModel
from autosched.cost.ops.host import link_bytes_per_ns
from autosched.device.ttnn.graph_capture import read_transfer, transfer_name
from autosched.schedule.outcomes import HOST_READ, HOST_WRITE, DeviceOp
from autosched.schedule.tensors import DataType, TensorInfo, TensorLayout


def transfer(code: str, rows: int, board: str = "n150", dtype: str = "bfloat16") -> DeviceOp:
    moved = TensorInfo((1, 1, rows, 64), TensorLayout(dtype=DataType(dtype)))
    return read_transfer(transfer_name(code, moved, find_board(board)), "host")


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel.load("wormhole_b0")


def test_rates_are_those_of_pci_express() -> None:
    assert link_bytes_per_ns(4, 16) == pytest.approx(31.5, abs=0.05)
    assert link_bytes_per_ns(5, 16) == pytest.approx(63.0, abs=0.05)


def test_every_board_has_a_link() -> None:
    assert {name: board.pcie_generation for name, board in BOARDS.items()} == {
        "n150": 4,
        "n300": 4,
        "n300-worker": 4,
        "p100a": 5,
        "p150": 5,
        "p150-140": 5,
    }


@pytest.mark.parametrize("code", [HOST_READ, HOST_WRITE])
def test_a_transfer_takes_a_start_and_its_bytes(model: CostModel, code: str) -> None:
    small, large = (model.time_ns(transfer(code, rows)) for rows in (32, 1 << 17))
    assert small == pytest.approx(20_000, rel=0.02)
    # 16 MiB at 31.5 GB/s, four fifths of it payload.
    assert large - small == pytest.approx((1 << 24) / 31.5 / 0.8, rel=0.01)


def test_block_floats_are_fewer_bytes(model: CostModel) -> None:
    assert model.time_ns(transfer(HOST_READ, 1 << 16, dtype="bfloat8_b")) < model.time_ns(
        transfer(HOST_READ, 1 << 16)
    )


def test_the_link_of_the_board_counts_not_the_clock(model: CostModel) -> None:
    blackhole = CostModel.load("blackhole")
    slow, fast = (transfer(HOST_READ, 1 << 18, board) for board in ("n150", "p150"))
    assert blackhole.time_ns(slow) == pytest.approx(model.time_ns(slow))
    assert blackhole.time_ns(fast) - 20_000 == pytest.approx((model.time_ns(slow) - 20_000) / 2)


def test_it_is_a_guess_and_says_so(model: CostModel) -> None:
    prediction = model.predict(transfer(HOST_READ, 1024))
    assert prediction.stderr_log >= 1.0
    assert prediction.extrapolates
    ops = model.estimate([transfer(HOST_READ, 1024)])
    assert model.outside_share(ops) == 1.0
    assert model.total_std_error(ops) >= 1.0


def test_other_coefficients_keep_the_transfer(model: CostModel) -> None:
    other = CostModel(replace(model.coefficients, families=dict(model.coefficients.families)))
    assert other.version == model.version
    assert other.time_ns(transfer(HOST_WRITE, 64)) == model.time_ns(transfer(HOST_WRITE, 64))
