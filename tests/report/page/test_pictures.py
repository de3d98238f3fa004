from pathlib import Path

import pytest
from PIL import Image

from autosched.errors import StudyError
from autosched.report.page.pictures import save_pictures
from autosched.store.database import Store
from tests.examples.studied import Studied
from tests.report.page.made import source_of, with_evil_names


def test_they_are_pictures(probed: Store, studied: Studied, tmp_path: Path) -> None:
    source = with_evil_names(source_of(probed, studied))
    paths = save_pictures(source, tmp_path)
    assert {path.name for path in paths} == {"network.png", "search.png", "layers.png", "l1.png"}
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 10


def test_a_directory_that_is_not_there_is_an_error(
    probed: Store, studied: Studied, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="no such directory"):
        save_pictures(source_of(probed, studied), tmp_path / "nowhere")
