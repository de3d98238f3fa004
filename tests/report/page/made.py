"""What a page is made from: the studied residual block, and the same with evil names."""

from dataclasses import replace

from autosched.cli.steps.stored_run import page_source
from autosched.network.graph import Network
from autosched.report.page.headline import PageSource
from autosched.schedule.tensors import Edge, labelled_edge, move_label
from autosched.store.database import Store
from autosched.store.trials import TrialRecord
from tests.examples.studied import Studied

EVIL = "</script><img src=http://x.example/a onerror=alert(1)>\x1b\u202e'\"&"


def source_of(store: Store, studied: Studied) -> PageSource:
    return page_source(store, studied.record)


def with_evil_names(source: PageSource) -> PageSource:
    """The same with every layer, the network and the study called so."""
    names = {layer.name: f"{EVIL}{layer.name}" for layer in source.network}
    network = Network(
        f"{EVIL}net",
        tuple(
            replace(layer, name=names[layer.name], inputs=tuple(names[one] for one in layer.inputs))
            for layer in source.network
        ),
    )
    return replace(
        source,
        record=replace(source.record, name=EVIL, network=EVIL),
        network=network,
        best=_renamed(source.best, names),
        default=_renamed(source.default, names),
    )


def _renamed(trial: TrialRecord | None, names: dict[str, str]) -> TrialRecord | None:
    if trial is None or trial.schedule is None:
        return None
    schedule = trial.schedule

    def moved(edge: Edge) -> Edge:
        return Edge(names[edge.producer], names[edge.consumer], edge.index)

    def label(text: str) -> str:
        if text in names:
            return names[text]
        edge = labelled_edge(text)
        return move_label(moved(edge)) if text == move_label(edge) else str(moved(edge))

    renamed = replace(
        schedule,
        layers={names[name]: config for name, config in schedule.layers.items()},
        reshards={moved(edge): layout for edge, layout in schedule.reshards.items()},
        moves={moved(edge): layout for edge, layout in schedule.moves.items()},
        frees=frozenset(names[name] for name in schedule.frees),
    )
    ops = tuple(replace(op, layer=label(op.layer)) for op in trial.ops)
    return replace(trial, schedule=renamed, ops=ops)
