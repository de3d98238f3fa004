from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory below the one that files of defaults are written to."""
    directory = tmp_path / "a" / "b"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    monkeypatch.delenv("AUTOSCHED_STORAGE", raising=False)
    return tmp_path / "a"


def test_a_file_above_says_where_studies_are(
    studied: Studied, invoke: Invoke, below: Path, tmp_path: Path
) -> None:
    (below / "autosched.toml").write_text(f'storage = "{studied.url}"\n')
    assert invoke("list", "--json").json["studies"][0]["study"] == "tiny-n150"
    typed = invoke("list", "--storage", f"sqlite:///{tmp_path}/other.sqlite3", "--json")
    assert typed.json["studies"] == []


def test_the_environment_comes_before_the_file(
    studied: Studied, invoke: Invoke, below: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (below / "autosched.toml").write_text(f'storage = "{studied.url}"\n')
    monkeypatch.setenv("AUTOSCHED_STORAGE", f"sqlite:///{tmp_path}/other.sqlite3")
    assert invoke("list", "--json").json["studies"] == []


def test_a_table_is_for_one_command_and_pyproject_will_do(
    studied: Studied, invoke: Invoke, below: Path
) -> None:
    text = f'[project]\nname = "x"\n[tool.autosched]\nstorage = "{studied.url}"\n'
    (below / "pyproject.toml").write_text(f"{text}[tool.autosched.show]\ntrial = 99\n")
    done = invoke("show", "tiny-n150")
    assert done.code == 2
    assert "no trial 99" in done.err
    assert invoke("show", "tiny-n150", "--trial", "0").code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("borad = 'n150'", "borad is no option, nor a command with a table; there is board"),
        ("[run]\nborad = 'n150'", "[run] borad is no option"),
        ("[rnu]\nboard = 'n150'", "rnu is no option, nor a command with a table; there is run"),
        ("board = ", "autosched.toml cannot be read"),
        ("board = 1979-05-27", "board is datetime.date(1979, 5, 27); it takes text in quotes"),
        ("board = 3", "autosched.toml: board is 3; it takes text in quotes"),
        ("storage = ['a']", "storage is ['a']; it takes text in quotes"),
        ("[run]\ntrials = 'many'", "toml: [run] trials is 'many'; it takes a whole number"),
        ("[run]\ntrials = true", "trials is True; it takes a whole number"),
        ("[run]\nrisk = 'low'", "risk is 'low'; it takes a number"),
        ("[run]\nstrict = 'yes'", "strict is 'yes'; it takes true or false"),
        ("[run]\npin = [1]", "pin is [1]; it takes text in quotes, or a list of such"),
        ("quiet = true", "autosched.toml: quiet is typed with a command, and no default"),
        ("json = true", "autosched.toml: json is typed with a command, and no default"),
        ("xyzzy = 1", "nor a command with a table; see autosched --help"),
        ("[run]\nxyzzy = 1", "see autosched run --help"),
    ],
)
def test_what_no_command_has_is_named(invoke: Invoke, below: Path, text: str, words: str) -> None:
    (below / "autosched.toml").write_text(f"{text}\n")
    done = invoke("boards")
    assert done.code == 2
    assert words in done.err


def test_a_value_that_is_none_of_an_option_is_an_error_of_usage(
    invoke: Invoke, below: Path
) -> None:
    (below / "autosched.toml").write_text("[run]\ntrials = -1\n")
    done = invoke("run", "net.py")
    assert done.code == 2
    where = f"'--trials' of {below / 'autosched.toml'}: [run] trials"
    assert f"error: Invalid value for {where}: " in done.err
    typed = invoke("run", "net.py", "--trials", "-2")
    assert "Invalid value for '--trials': " in typed.err


def test_times_may_be_numbers_and_lists_one_value(invoke: Invoke, below: Path) -> None:
    text = "[run]\ntimeout = 90\npin = '2:nothing=x'\nrisk = 0\n"
    (below / "autosched.toml").write_text(text)
    assert "gone.py does not exist" in invoke("run", "gone.py").err


@pytest.mark.parametrize("place", [0, 1, 3])
def test_quiet_says_nothing_wherever_it_stands(
    studied: Studied, invoke: Invoke, place: int
) -> None:
    words = ["list", "--storage", studied.url]
    words.insert(place, "--quiet")
    done = invoke(*words)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert invoke(*words, "--json").json["studies"]
    assert "tiny-n150" in invoke("list", "--storage", studied.url).out


def test_a_log_has_what_was_typed_and_said_but_no_password(
    studied: Studied, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    words = ["show", "tiny-n150", "--storage", studied.url, f"--log-file={log}"]
    monkeypatch.setattr("sys.argv", ["autosched", *words, "postgresql://me:hidden1@host/x"])
    assert invoke(*words).code == 0
    assert invoke(*words, "--quiet").out == ""
    lines = log.read_text().splitlines()
    assert "autosched show tiny-n150" in lines[0]
    assert sum("Trial" in line or "trial" in line for line in lines) > 2
    assert "hidden1" not in log.read_text()


def test_a_log_that_cannot_be_written_is_named(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("boards", "--log-file", str(tmp_path / "no" / "a.log"))
    assert done.code == 2
    assert "--log-file" in done.err


@pytest.mark.parametrize("rest", [(), ("--json",)])
def test_a_log_without_a_name_is_asked_for(invoke: Invoke, rest: tuple[str, ...]) -> None:
    done = invoke("list", "--log-file", *rest)
    assert done.code == 2
    assert "--log-file takes a file: --log-file FILE" in done.err


def test_quiet_and_verbose_are_opposites(invoke: Invoke) -> None:
    done = invoke("boards", "-q", "-v")
    assert done.code == 2
    assert "--quiet and --verbose are opposites" in done.err


def test_verbose_says_how_long_phases_took(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    brief = ("--timeout", "0.1s", "--storage", f"sqlite:///{tmp_path}/brief.sqlite3")
    assert "capture: " in invoke("-v", "run", str(studied.net), *brief).out
    assert "capture: " not in invoke("run", str(studied.net), *brief).out
