import zlib

import pytest

from autosched.errors import StoreError
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import from_plain, to_plain
from autosched.schedule.tensors import TensorLayout
from autosched.store import codec
from tests.examples import records as examples

VALUES = [
    (ProbeOutcome, examples.OUTCOME),
    (Rejection, examples.REJECTION),
    (Schedule, examples.schedule()),
    (TensorLayout, examples.layout()),
    (tuple[DeviceOp, ...], examples.OUTCOME.ops),
    (tuple[DeviceOp, ...], ()),
    (RunOutcome, RunOutcome(examples.OUTCOME.ops, {"a": examples.layout()}, 5, 1.0, 0.5)),
]


@pytest.mark.parametrize(("target", "value"), VALUES)
def test_a_packed_value_comes_back(target: object, value: object) -> None:
    assert codec.unpack(target, codec.pack(value), "here") == value


@pytest.mark.parametrize(("target", "value"), VALUES)
def test_plain_values_are_read_as_from_plain_reads_them(target: object, value: object) -> None:
    assert codec.read_plain(target, to_plain(value), "here") == from_plain(target, to_plain(value))


@pytest.mark.parametrize("config", examples.CONFIGS)
def test_every_kind_of_configuration_comes_back(config: LayerConfig) -> None:
    assert codec.read_plain(LayerConfig, to_plain(config), "here") == config


def test_equal_layouts_are_written_once_and_read_as_one() -> None:
    blob = codec.pack(examples.OUTCOME)
    assert zlib.decompress(blob).decode().count('"shard_shape"') == 3
    back = codec.unpack(ProbeOutcome, blob, "here")
    assert back.input_layouts[0] is back.ops[0].inputs[0].layout is back.ops[1].inputs[0].layout


def test_fields_that_are_not_stored_take_their_defaults() -> None:
    plain = to_plain(examples.REJECTION)
    del plain["layer"]
    assert codec.read_plain(Rejection, plain, "here").layer == ""


@pytest.mark.parametrize(
    "blob",
    [
        b"no compressed data",
        zlib.compress(b"[1, 2"),
        zlib.compress(b"[]"),
        zlib.compress(b'{"layouts": []}'),
        zlib.compress(b'{"layouts": [0], "value": {"kind": "hang", "message": ""}}'),
        zlib.compress(b'{"layouts": [], "value": {"kind": "unheard of", "message": ""}}'),
        zlib.compress(b'{"layouts": [], "value": {"kind": "hang", "message": "", "new": 1}}'),
    ],
)
def test_damaged_bytes_are_reported_with_their_place(blob: bytes) -> None:
    with pytest.raises(StoreError, match=r"a\.sqlite3: probe 7: .* cannot be read .* backup"):
        codec.unpack(Rejection, blob, "a.sqlite3: probe 7")


def test_a_damaged_field_is_named() -> None:
    blob = zlib.compress(b'{"layouts": [], "value": {"ops": 3}}')
    with pytest.raises(StoreError, match=r"probe 7: .*ProbeOutcome\.ops: expected a list, not 3"):
        codec.unpack(ProbeOutcome, blob, "probe 7")


def test_a_layout_s_number_that_the_table_lacks_is_damage() -> None:
    blob = zlib.compress(b'{"layouts": [], "value": [0]}')
    with pytest.raises(StoreError, match="expected a mapping, not 0"):
        codec.unpack(tuple[TensorLayout, ...], blob, "probe 7")
