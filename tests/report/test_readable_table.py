import io

import pytest
from rich.console import Console

from autosched.report.readable_table import ReadableTable
from autosched.report.tables import simple_table


def table() -> ReadableTable:
    made = ReadableTable(title="Layers")
    made.add_column("layer", overflow="fold")
    made.add_column("configuration", overflow="fold")
    made.add_column("time", justify="right", no_wrap=True)
    made.add_row("layer1.0.conv1", "height, activations double-buffered", "1,234.5")
    made.add_row("[red]", "", "-", style="red")
    return made


def printed(width: int) -> list[str]:
    console = Console(width=width, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(table())
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert all(len(line) <= width for line in lines)
    return lines


def test_where_there_is_room_it_is_a_table() -> None:
    assert any("layer1.0.conv1" in line and "1,234.5" in line for line in printed(80))


def test_rows_have_no_blanks_at_their_ends_where_no_terminal_is() -> None:
    for is_terminal in (False, True):
        file = io.StringIO()
        Console(file=file, width=60, force_terminal=is_terminal, color_system=None).print(table())
        blanks = [line for line in file.getvalue().splitlines() if line.endswith(" ")]
        assert bool(blanks) == is_terminal
    made = simple_table("", ("a", "what"))
    made.add_row("1", "long " * 20)
    file = io.StringIO()
    Console(file=file, width=200).print(made)
    assert file.getvalue().splitlines()[:2] == ["a  what", "─" * 7]


def test_columns_are_kept_as_long_as_words_and_numbers_can_be_read() -> None:
    least = table().least_width
    assert any("layer" in line and "configuration" in line for line in printed(least))
    assert printed(least - 1)[1] == "layer: layer1.0.conv1"


@pytest.mark.parametrize("width", [40, 24])
def test_where_there_is_none_it_is_a_list_with_one_value_a_line(width: int) -> None:
    lines = printed(width)
    assert lines[:2] == ["Layers", "layer: layer1.0.conv1"]
    assert lines[-3:] == ["  time: 1,234.5", "layer: [red]", "  time: -"]
    assert "  double-buffered" in lines
