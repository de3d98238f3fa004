import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.table import Table

import autosched
from autosched.report.output import (
    forget_results,
    make_console,
    opened_output,
    printable,
    say,
    write_failure,
)


def test_only_the_object_reaches_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with opened_output(as_json=True) as output:
        print("a network file prints")  # noqa: T201
        os.write(1, b"a native library prints\n")
        output.console.print("words")
        output.result({"a": 1})
    out, err = capfd.readouterr()
    assert json.loads(out) == {"a": 1}
    assert "words" in err


def test_without_json_words_go_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with opened_output(as_json=False) as output:
        output.console.print("words")
        output.result({"a": 1})
    out, err = capfd.readouterr()
    assert out == "words\n"
    assert err == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("C1 \x9b31m and \x85", "C1 \\x9b31m and \\x85"),
        ("back\rover\x08", "back\\x0dover\\x08"),
        ("turned \u202e round", "turned \\u202e round"),
        ("caf\udce9, half \ud800", "caf\\xe9, half \\ud800"),
        ("lines\nand\ttabs, µ ± é", "lines\nand\ttabs, µ ± é"),
    ],
)
def test_what_controls_a_terminal_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_way_to_print_is_clean_and_takes_no_markup(
    capfd: pytest.CaptureFixture[str],
) -> None:
    hostile = "[red]a\x1b[31m[/red] :smile:"
    with opened_output(as_json=False) as output:
        say(output.console, hostile)
        output.console.print(hostile)
        table = Table("layer", hostile, title=hostile)
        table.add_row(hostile, "b")
        output.console.print(table)
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert out.count("[red]a\\x1b[31m[/red] :smile:") == 5


@pytest.mark.parametrize(("columns", "rows"), [("", 1), ("40", 4)])
def test_a_row_is_a_line_where_no_terminal_is(
    columns: str, rows: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    table = Table(box=None, show_header=False)
    table.add_row("word " * 20, "end")
    make_console().print(table)
    assert len(capfd.readouterr().out.splitlines()) == rows


def test_texts_are_made_in_one_place() -> None:
    """A text of rich's that is made elsewhere would reach the terminal as it is."""
    source = Path(autosched.__file__).parent
    makers = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"(?<![\w.])(Text|Console)\(", path.read_text())
        and "from rich." in path.read_text()
    ]
    assert makers == ["report/output.py"]


def test_a_terminal_without_a_character_gets_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    console = make_console()
    say(console, "857.4 ± 67.8 µs … café")
    table = Table("µs")
    table.add_row("1")
    console.print(table)
    sys.stdout.flush()
    assert raw.getvalue().decode("ascii").startswith("857.4 +- 67.8 us ... caf\\xe9\n")


def test_there_is_one_object_whether_a_command_fails_or_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    forget_results()
    write_failure("no \x1b[31m", 2)
    assert json.loads(capfd.readouterr().out) == {"error": "no \x1b[31m", "exit_code": 2}
    forget_results()
    with opened_output(as_json=True) as output:
        output.result({"a": 1})
    write_failure("too late", 2)
    assert json.loads(capfd.readouterr().out) == {"a": 1}
