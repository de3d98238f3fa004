"""What workers offer, as Dask's resources, and who can do what is needed."""

from dataclasses import replace

from autosched.cluster.offers import (
    Offer,
    compiler_of,
    need_of,
    offers_of,
    resources,
    sorted_workers,
)

MOCK, CARD = Offer.of("mock", "n150"), Offer.of("silicon", "p150")


def test_an_offer_is_read_from_dasks_resources_as_it_was_written() -> None:
    odd = Offer("silicon", "a/b c.yaml", "0.81.1+local", "0123")
    said = {**resources(odd, 1, "sfpi 6.12/gcc"), "GPU": 2.0}
    assert offers_of(said) == [(odd, 1)]
    assert compiler_of(said) == "sfpi 6.12/gcc"
    assert (offers_of({"GPU": 1.0}), compiler_of({})) == ([], "")


def test_a_mock_device_serves_every_board_and_a_card_its_own() -> None:
    assert Offer.of("mock", "p150") == MOCK
    said = {
        "a": resources(MOCK, 2, ""),
        "b": resources(CARD, 1, ""),
        "c": resources(Offer("silicon", "p150", "0.80.0", CARD.code), 1, ""),
        "d": resources(Offer("silicon", "p150", CARD.ttnn_version, "other"), 1, ""),
        "e": resources(CARD, 0, ""),
        "f": {},
    }
    found = sorted_workers(CARD, said)
    assert (dict(found.able), found.devices) == ({"b": 1}, 1)
    assert found.others["a"] == "has a mock device"
    assert found.others["c"] == f"has ttnn 0.80.0, not {CARD.ttnn_version}"
    assert "another version of autosched" in found.others["d"]
    assert found.others["e"] == "has given its device up"
    assert found.others["f"] == "is no worker of autosched's"
    assert found.listed().endswith("; 1 more)")


def test_cards_of_one_firmware_serve_a_study() -> None:
    old, new = (replace(CARD, firmware=version) for version in ("19.4.0.0", "19.6.0.0"))
    said = {
        "a": resources(old, 1, ""),
        "b": resources(new, 1, ""),
        "c": resources(new, 1, ""),
        "d": resources(replace(old, ttnn_version="0.80.0"), 9, ""),
    }
    assert [offer for offer, _ in offers_of(said["a"])] == [old]
    need = need_of("silicon", "p150", said.values())
    assert need == new
    found = sorted_workers(need, said)
    assert sorted(found.able) == ["b", "c"]
    assert found.others["a"] == "has a card of firmware 19.4.0.0, not 19.6.0.0"
    assert need_of("mock", "p150", said.values()) == MOCK
    assert need_of("silicon", "n150", said.values()).firmware == ""
