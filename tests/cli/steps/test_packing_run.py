import pytest

from autosched.cli.steps.packing_run import Tried, chosen_packing, parse_images
from autosched.errors import SearchError
from autosched.network.rewrites.packed_images import pack_images
from autosched.report.output import opened_output
from autosched.search.settings import Settings
from autosched.store.database import Store
from autosched.store.studies import StudyRecord
from tests.probing.test_image_packings import chain


def test_images_are_a_number_or_tried() -> None:
    assert parse_images("auto") is None
    assert parse_images("1") == 1
    assert parse_images("16") == 16


@pytest.mark.parametrize("text", ["", "0", "-2", "four", "2.0", "9" * 30, "²"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(SearchError, match="neither auto nor a number of images"):
        parse_images(text)


def test_a_study_goes_on_as_it_was_packed_and_one_image_is_none(store: Store) -> None:
    """No device is asked: there is none."""
    network = chain(4, 4, 16)
    record = StudyRecord(
        "chain-b4-n150", "chain", pack_images(network, 2).signature, "n150", "mock", "0.81.1",
        4, Settings(pack_images=2).to_plain(),
    )  # fmt: skip
    device = None
    tried = Tried(store, Settings(), "n150", device, likely=record)  # type: ignore[arg-type]
    with opened_output(False) as output:
        assert chosen_packing(output, network, tried) == 2
        assert chosen_packing(output, chain(1, 4, 16), tried) == 1
