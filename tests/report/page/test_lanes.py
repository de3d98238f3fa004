import pytest

from autosched.network.graph import Network
from autosched.report.page.lanes import drawn
from tests.examples.networks import residual, skipping


@pytest.mark.parametrize("network", [residual(), skipping()], ids=lambda item: item.name)
def test_no_tensor_is_drawn_over_another(network: Network) -> None:
    drawing = drawn(network, list(network.by_name))
    assert [node.row for node in drawing.nodes] == list(range(len(network.layers)))
    assert len(drawing.lines) == len(network.edges)
    assert all(0 <= node.lane < drawing.lanes for node in drawing.nodes)
    ends: dict[str, int] = {}
    for line in drawing.lines:
        assert line.start.row < line.end.row
        ends[line.edge.producer] = max(ends.get(line.edge.producer, 0), line.end.row)
    for node in drawing.nodes:
        for other in drawing.nodes:
            if other.lane == node.lane and other.row > node.row:
                assert other.row >= ends.get(node.layer, node.row)
