import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.search.stored_study import layers_by_signature
from autosched.store.database import open_store
from autosched.store.probes import StoredProbe, save_probes
from tests.cli.conftest import Invoke, Studied
from tests.examples import records as examples


@pytest.fixture
def hung(studied: Studied, tmp_path: Path) -> str:
    """A database in which one layer's configuration hung, and one of no study crashed."""
    path = tmp_path / "hung.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    url = f"sqlite:///{path}"
    probe = examples.probe()
    with open_store(url) as store:
        names = layers_by_signature(store)
        signature = next(key for key, own in names.items() if own == ["tiny: 0"])
        said = "no answer for 40 s, killed by SIGKILL"
        kept = {
            signature: Rejection(RejectionKind.HANG, said),
            "stranger": Rejection(RejectionKind.CRASH, "signal 11"),
        }
        save_probes(
            store,
            [
                StoredProbe(
                    replace(probe.key, layer_signature=key),
                    probe.config,
                    probe.input_layouts,
                    rejection,
                )
                for key, rejection in kept.items()
            ],
        )
    return url


def test_what_hung_is_listed_with_what_was_seen(hung: str, invoke: Invoke) -> None:
    shown = invoke("quarantine", "list", "--storage", hung).out
    assert "tiny: 0" in shown
    assert "SIGKILL" in shown
    found = invoke("quarantine", "list", "--storage", hung, "--json").json["quarantined"]
    assert [item["kind"] for item in found] == ["hang", "crash"]
    assert found[0]["layers"] == ["tiny: 0"]
    assert found[1]["layers"] == []
    other = invoke("quarantine", "list", "--board", "p150", "--storage", hung, "--json").json
    assert other["quarantined"] == []


def test_what_is_lifted_is_not_there_any_more(hung: str, invoke: Invoke) -> None:
    words = ("--storage", hung, "--json")
    first, second = invoke("quarantine", "list", *words).json["quarantined"]
    assert invoke("quarantine", "lift", str(first["number"]), *words).json["lifted"] == 1
    left = invoke("quarantine", "list", *words).json["quarantined"]
    assert [item["number"] for item in left] == [second["number"]]
    assert invoke("quarantine", "lift", "--all", *words).json["lifted"] == 1
    assert "Nothing is in quarantine" in invoke("quarantine", "list", "--storage", hung).out


@pytest.mark.parametrize(
    ("words", "message"),
    [((), "say what to lift"), (("1", "--all"), "say what to lift"), (("99999",), "number 99999")],
)
def test_what_cannot_be_lifted(
    hung: str, invoke: Invoke, words: tuple[str, ...], message: str
) -> None:
    done = invoke("quarantine", "lift", *words, "--storage", hung)
    assert done.code == 2
    assert message in done.err


def test_a_study_says_how_much_of_it_is_in_quarantine(
    hung: str, studied: Studied, invoke: Invoke
) -> None:
    shown = invoke("show", studied.name, "--storage", hung)
    assert "In quarantine: 1 configuration of its layers" in shown.out
    words = ("show", studied.name, "--json", "--storage")
    assert invoke(*words, hung).json["quarantined"] == 1
    assert invoke(*words, studied.url).json["quarantined"] == 0
