"""A table that becomes a list of its rows where a terminal is too narrow for its columns."""

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from autosched.report.output import printable, styled

# A column of words that is narrower breaks them into letters.
_READABLE = 12
_INDENT = 2
_RULE = "─"


class ReadableTable(Table):
    """A table that is printed row by row, one value a line, where columns would break words."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or its rows as lines; without blanks at ends where no terminal is."""
        parts = self._parts(console, options)
        if console.is_terminal:
            yield from parts
            return
        segments = [
            segment
            for part in parts
            for segment in ([part] if isinstance(part, Segment) else console.render(part, options))
        ]
        width = 0
        for line in Segment.split_lines(segments):
            text = "".join(segment.text for segment in line).rstrip()
            # The line below the headers is as long as they are, not as the longest row.
            shown = text[:width] if set(text) == {_RULE} else text
            width = len(text)
            yield Segment(shown)
            yield Segment.line()

    def _parts(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.least_width <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        if self.title is not None:
            yield styled(_text(self.title), "italic")
        headers = [_text(column.header) for column in self.columns]
        cells = zip(*(column.cells for column in self.columns), strict=True)
        for row, values in zip(self.rows, cells, strict=True):
            for number, (header, value) in enumerate(zip(headers, values, strict=True)):
                if said := _text(value):
                    line = styled(f"{header}: {said}", str(row.style or ""))
                    yield Padding.indent(line, _INDENT if number else 0)

    @property
    def least_width(self) -> int:
        """Characters of a line in which every column can be read: numbers whole, words folded."""
        paddings = sum(self._get_padding_width(place) for place in range(len(self.columns)))
        return self._extra_width + paddings + sum(map(_least_width, self.columns))


def _least_width(column: Column) -> int:
    cells = [_text(cell) for cell in (column.header, *column.cells)]
    widest = max(cell_len(line) for cell in cells for line in (cell.splitlines() or [""]))
    is_whole = column.no_wrap or column.justify == "right"
    return widest if is_whole else min(widest, max(_READABLE, cell_len(cells[0])))


def _text(cell: RenderableType) -> str:
    """Return what a cell says, without its style."""
    return cell.plain if isinstance(cell, Text) else printable(str(cell))
