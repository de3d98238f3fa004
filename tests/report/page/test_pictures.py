from pathlib import Path

import pytest
from PIL import Image

from autosched.errors import StudyError
from autosched.report.page.lanes import LIES
from autosched.report.page.page import contents
from autosched.report.page.pictures import check_directory, draw_network, save_pictures
from autosched.store.database import Store
from tests.examples.studied import Studied
from tests.report.page.made import source_of, with_evil_names


def test_they_are_pictures(probed: Store, studied: Studied, tmp_path: Path) -> None:
    source = with_evil_names(source_of(probed, studied))
    paths = list(save_pictures(source, tmp_path))
    assert {path.name for path in paths} == {"network.png", "search.png", "layers.png", "l1.png"}
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 10


def test_their_directory_is_made(probed: Store, studied: Studied, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    check_directory(folder)
    assert not folder.exists()
    first = next(save_pictures(source_of(probed, studied), folder))
    assert [path.name for path in folder.iterdir()] == [first.name] == ["network.png"]


def test_a_place_that_is_none_is_an_error(probed: Store, studied: Studied, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for wrong, said in (("file", "no directory"), ("nowhere/pictures", "create it first")):
        with pytest.raises(StudyError, match=said):
            next(save_pictures(source_of(probed, studied), tmp_path / wrong))


def test_the_network_says_what_its_colours_mean(probed: Store, studied: Studied) -> None:
    """Those that it has, and no others."""
    shown = contents(source_of(probed, studied))["graph"]
    (axes,) = draw_network(shown).axes
    legend = axes.get_legend()
    assert legend is not None
    said = [text.get_text() for text in legend.get_texts()]
    kinds = {node["kind"] for node in shown["nodes"]}
    assert said == [*(name for kind, name in LIES.items() if kind in kinds), "reshard"]
