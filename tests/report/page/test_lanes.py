import pytest

from autosched.network.graph import Network
from autosched.report.layer_rows import reshard_rows
from autosched.report.page.lanes import drawn, graph
from tests.examples.networks import residual, skipping
from tests.examples.studied import Studied


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


def test_a_layer_that_runs_nothing_leaves_what_was_copied_for_it(either: Studied) -> None:
    seen = 0
    for trial in either.trials:
        if trial.schedule is None or trial.rejection is not None:
            continue
        rows = reshard_rows(trial.schedule, trial.ops, trial.latency_kind)
        shown = graph(either.network, list(trial.schedule.layers), trial, {}, rows)
        nodes = {node["layer"]: node for node in shown["nodes"]}
        idle = nodes.keys() - {op.layer for op in trial.ops}
        for row in rows:
            if row.by == "schedule" and row.consumer in idle:
                seen += 1
                assert row.change.endswith(f"-> {nodes[row.consumer]['lies']}")
                assert nodes[row.consumer]["kind"] == "dram"
                assert nodes[row.producer]["kind"] != "dram"
    assert seen
