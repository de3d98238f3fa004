from autosched.report.layer_rows import layer_rows, reshard_rows
from autosched.schedule.outcomes import TimeKind
from tests.examples import trials as examples

ESTIMATED = TimeKind.ESTIMATED


def test_a_layer_has_the_sum_of_its_ops() -> None:
    conv, add = layer_rows(examples.SCHEDULE, examples.ops(), ESTIMATED)
    assert (conv.layer, conv.time_us, conv.share, conv.cores) == ("conv", 80.0, 0.8, 56)
    assert conv.ops == ("InterleavedToSharded", "Halo", "Conv2d")
    assert add.configuration == "block"


def test_l1_is_that_of_the_largest_op() -> None:
    conv, _ = layer_rows(examples.SCHEDULE, examples.ops(), ESTIMATED)
    # 2 tiles of bfloat16 in, as many out, and the circular buffers.
    assert conv.l1_bytes == 2 * 2 * 2048 + 1024


def test_reshards_of_the_schedule_of_ttnn_and_while_waiting() -> None:
    rows = reshard_rows(examples.SCHEDULE, examples.ops(), ESTIMATED)
    assert [(row.producer, row.consumer, row.by, row.change, row.time_us) for row in rows] == [
        ("", "conv", "ttnn", "DRAM -> height 56", 10.0),
        ("conv", "add", "schedule", "height 56 -> block 16", 5.0),
        ("conv", "add", "move", "height 56 -> DRAM", 5.0),
    ]


def test_without_times_there_are_no_shares() -> None:
    rows = layer_rows(examples.SCHEDULE, examples.ops(scale=None), ESTIMATED)
    assert {(row.time_us, row.time_kind, row.share) for row in rows} == {(None, None, None)}


def test_times_carry_their_kind() -> None:
    for kind in TimeKind:
        layers = layer_rows(examples.SCHEDULE, examples.ops(), kind)
        reshards = reshard_rows(examples.SCHEDULE, examples.ops(), kind)
        assert {row.to_plain()["time_kind"] for row in (*layers, *reshards)} == {kind.value}
