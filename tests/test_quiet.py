import os

import pytest

from autosched.quiet import QUIET, import_quietly


def test_the_environment_is_quiet_during_the_import_alone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "loud_module.py").write_text("import os\nseen = dict(os.environ)\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("LOGURU_LEVEL", raising=False)
    monkeypatch.setenv("TT_METAL_LOGGER_LEVEL", "debug")
    before = dict(os.environ)
    seen = import_quietly("loud_module").seen
    assert dict(os.environ) == before
    assert seen["LOGURU_LEVEL"] == QUIET["LOGURU_LEVEL"]
    assert seen["TT_METAL_LOGGER_LEVEL"] == "debug"


def test_a_failed_import_leaves_the_environment_as_it_was() -> None:
    before = dict(os.environ)
    with pytest.raises(ImportError):
        import_quietly("no_such_module_at_all")
    assert dict(os.environ) == before
