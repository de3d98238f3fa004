"""Which input positions the shards of a sliding-window op need, and how many lie elsewhere.

Output positions are dealt to cores in row-major order, in whole tiles of 32 where the output is
tiled; each needs its window's input positions. What a core's own input shard does not hold comes
from other cores or is padding (rules of tt-metal's ``sliding_window.cpp``).
"""

from dataclasses import dataclass

from autosched.cost.attributes import members, numbers
from autosched.cost.tensors import TILE, ceil_div

_SAMPLED_CORES = 8


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window; ``padding`` is (top, bottom, left, right)."""

    batch: int
    input_hw: tuple[int, int]
    window_hw: tuple[int, int]
    stride_hw: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation_hw: tuple[int, int]
    cores_nhw: int
    tiled: bool

    @property
    def reach_hw(self) -> tuple[int, int]:
        """Input positions from a window's first to its last, both counted."""
        return (
            (self.window_hw[0] - 1) * self.dilation_hw[0] + 1,
            (self.window_hw[1] - 1) * self.dilation_hw[1] + 1,
        )

    @property
    def output_hw(self) -> tuple[int, int]:
        """Height and width of the output."""
        top, bottom, left, right = self.padding
        height, width = self.input_hw
        return (
            max(1, (height + top + bottom - self.reach_hw[0]) // self.stride_hw[0] + 1),
            max(1, (width + left + right - self.reach_hw[1]) // self.stride_hw[1] + 1),
        )

    def border_sticks(self, in_sticks: int, out_sticks: int) -> int:
        """Return the most positions that a core has to fetch or pad.

        Args:
            in_sticks: input positions a core holds before the gather.
            out_sticks: positions the largest core holds after it, padding included.
        """
        if self.cores_nhw <= 1:
            return max(0, out_sticks - in_sticks)
        step = max(1, self.cores_nhw // _SAMPLED_CORES)
        cores = {*range(0, self.cores_nhw, step), self.cores_nhw - 1}
        kept = min(self._own(core, in_sticks) for core in cores)
        return max(0, out_sticks - kept)

    def rows_touched(self, out_sticks: int) -> int:
        """Return the input rows from which a core's positions come: one transfer each."""
        _, _, left, right = self.padding
        return ceil_div(out_sticks, self.input_hw[1] + left + right) + 1

    def _own(self, core: int, in_sticks: int) -> int:
        """Return how many of the positions a core needs lie in its own shard."""
        height, width = self.output_hw
        total = self.batch * height * width
        share = ceil_div(total, self.cores_nhw)
        if self.tiled:
            share = ceil_div(ceil_div(total, TILE), self.cores_nhw) * TILE
        first, last = core * share, min((core + 1) * share, total) - 1
        if last < first:
            return in_sticks
        begin, end = self._first_input(first), self._last_input(last)
        own_begin, own_end = core * in_sticks, (core + 1) * in_sticks
        needed = end - begin
        held = max(0, min(end, own_end) - max(begin, own_begin))
        return held + max(0, in_sticks - needed) if held == needed else held

    def _first_input(self, position: int) -> int:
        row, column = divmod(position, self.output_hw[1])
        image, row = divmod(row, self.output_hw[0])
        y = max(0, row * self.stride_hw[0] - self.padding[0])
        x = max(0, column * self.stride_hw[1] - self.padding[2])
        return (image * self.input_hw[0] + y) * self.input_hw[1] + x

    def _last_input(self, position: int) -> int:
        row, column = divmod(position, self.output_hw[1])
        image, row = divmod(row, self.output_hw[0])
        height, width = self.input_hw
        y = min(height, row * self.stride_hw[0] - self.padding[0] + self.reach_hw[0])
        x = min(width, column * self.stride_hw[1] - self.padding[2] + self.reach_hw[1])
        return (image * height + max(0, y - 1)) * width + max(0, x)


def read_window(text: str, tiled: bool) -> Window:
    """Read a ``SlidingWindowConfig`` in either spelling; the oldest gives ``pad_hw``."""
    named = members(text)
    padding = numbers(named.get("padding") or "")
    if len(padding) != 4:
        rows, columns = numbers(named["pad_hw"])[:2]
        padding = (rows, rows, columns, columns)
    return Window(
        batch=int(named["batch_size"]),
        input_hw=_pair(named["input_hw"]),
        window_hw=_pair(named["window_hw"]),
        stride_hw=_pair(named["stride_hw"]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
        dilation_hw=_pair(named["dilation_hw"]),
        cores_nhw=int(named["num_cores_nhw"]),
        tiled=tiled,
    )


def _pair(text: str) -> tuple[int, int]:
    first, second = numbers(text)[:2]
    return first, second
