import re
from pathlib import Path

import pytest

from autosched.cli import hints
from autosched.search.settings import Settings


def test_a_password_is_never_printed() -> None:
    line = hints.command("resume", "a", storage="postgresql://me:secret@host/db")
    assert "secret" not in line
    assert "me:***@host" in line


def test_nor_one_among_the_options() -> None:
    line = hints.command("resume", "a", storage="postgresql://me@host/db?password=secret")
    assert "secret" not in line
    assert "password=***" in line


def test_storage_from_the_environment_need_not_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCHED_STORAGE", "sqlite:///a.sqlite3")
    assert hints.command("list", storage="sqlite:///a.sqlite3") == "autosched list"


def test_names_are_quoted_for_the_shell() -> None:
    assert hints.command("resume", "my study") == "autosched resume 'my study'"
    assert hints.module_name("my study/2-n150") == "my_study_2_n150.py"


def test_a_network_is_called_like_its_file(tmp_path: Path) -> None:
    odd = tmp_path / "a:b.py"
    odd.touch()
    assert hints.network_name("dir/net.py:backbone") == "net"
    assert hints.network_name("dir/net.py") == "net"
    assert hints.network_name(str(odd)) == "a:b"


def test_after_a_search() -> None:
    settings = Settings(network_file="/far/away/net.py")
    lines = hints.after_search("net-n150", None, settings, "")
    assert lines == [
        "autosched export net-n150 -o net_n150.py",
        "autosched check net_n150.py --net /far/away/net.py",
        "autosched verify net-n150",
        "autosched show net-n150 --layers",
        "autosched report net-n150 -o net_n150.html",
        "autosched resume net-n150",
    ]
    assert hints.after_search("net-n150", None, settings, "best.py")[0].startswith("autosched ch")
    shown = hints.after_search("net-n150", None, settings, "", has_layers=True)
    assert shown == [line for line in lines if "--layers" not in line]


def test_a_path_has_no_step_back_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert hints.short_path("/far/b/../net.py:model") == "/far/net.py:model"
    assert hints.short_path(f"{tmp_path}/b/../a/net.py") == "net.py"


def test_what_is_wrong_is_searched_without_and_reported() -> None:
    assert hints.after_verifying("net", None, "", stands=True) == ["autosched export net -o net.py"]
    assert hints.after_verifying("net", None, "a -> b", stands=False) == [
        "autosched resume net",
        "autosched verify net --reproduce 'a -> b' -o wrong.py",
    ]


def test_a_command_shows_no_part_of_a_password_with_a_blank() -> None:
    shown = hints.command("list", storage="postgresql://me:my s3cret@host/x?password=an'0ther one")
    assert not {"my", "s3cret", "an", "0ther", "one"} & set(re.split(r"\W+", shown))


def test_a_search_on_a_cluster_goes_on_there() -> None:
    address = "tcp://127.0.0.1:8786"
    found = hints.command("resume", "s", cluster=address)
    assert found == f"autosched resume s --cluster {address}"
