from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from autosched.cost.model import CostModel
from autosched.device.interface import Device, ProbeRequest
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Conv2d
from autosched.probing.candidates import Choice, ProbedTables, Tables
from autosched.probing.layer_tables import TableBuilder
from autosched.probing.probe_book import Phase, ProbeBook, total_us
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, TimeKind
from autosched.schedule.tensors import CoreRange, Memory, PageLayout, ShardLayout, TensorLayout
from autosched.space.efforts import find_effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_schedule
from autosched.space.layers import options
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from tests.examples.devices import Scripted
from tests.examples.networks import BOARD, residual
from tests.examples.studied import Studied

KEPT_IN_ROWS = 2
QUICK = find_effort("quick")
SHARDED = {ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH}
REFUSED = Rejection(RejectionKind.CIRCULAR_BUFFER_CLASH, "no room for the halo")


@pytest.fixture
def build_all(store: Store, cost: CostModel) -> Callable[..., ProbedTables]:
    """Builds the tables of a network on a device, and on a card beside it."""

    def build(
        device: Device, network: Network | None = None, card: Device | None = None
    ) -> ProbedTables:
        network = network or residual()
        mock = DeviceKey("n150", "mock", "0.81.1")
        book = ProbeBook(store, device, mock, cost)
        measured = card and ProbeBook(store, card, replace(mock, device_kind="silicon"), cost)
        formats = LayerFormats(network, Formats())
        builder = TableBuilder(network, formats, BOARD, QUICK, book, measured)
        return builder.build(lambda *_: None)

    return build


@pytest.fixture
def build(build_all: Callable[..., ProbedTables]) -> Callable[..., Tables]:
    """Builds what the search chooses from."""
    return lambda *args, **options: build_all(*args, **options).kept


def convolutions(network: Network) -> list[Layer]:
    return [layer for layer in network if isinstance(layer.op, Conv2d)]


def test_candidates_come_fastest_first(either: Studied):
    for choices in either.joint.tables.values():
        times = [choice.time_us for choice in choices]
        assert times == sorted(times)


def test_no_candidate_is_dominated(either: Studied):
    """Of two with the same layouts, the slower one needs less L1, or may be faster elsewhere."""
    for name, choices in either.joint.tables.items():
        groups: dict[tuple[TensorLayout, ...], list[Choice]] = {}
        for choice in either.joint.everything(name):
            groups.setdefault(choice.layouts, []).append(choice)
        for group in groups.values():
            assert not any(a.dominates(b) for a in group for b in group if a is not b)
        assert choices == either.joint.everything(name)[: len(choices)]


def test_everything_the_device_accepted_is_kept_or_beaten(either: Studied, cost: CostModel):
    """By its least time and bytes, in the tables or in what is left out: the bound counts it."""
    seen = 0
    formats = LayerFormats(either.network, Formats())
    for layer in convolutions(either.network):
        everything = either.joint.everything(layer.name)
        read = formats.output_dtype(either.network.by_name[layer.inputs[0]])
        for request, answer in either.records.probes.items():
            asked = request.op, request.shape, request.source_layouts[0].dtype
            if asked != (layer.op, layer.shape, read):
                continue
            if isinstance(answer, Rejection) or request.input_layouts is not None:
                continue
            ops = cost.estimate(answer.ops)
            least_us = total_us(op for op in ops if op.code != "MoveDeviceOperation")
            layouts = (*answer.input_layouts, answer.output_layout)
            assert any(
                choice.layouts == layouts
                and choice.least_us <= least_us * (1 + 1e-9)
                and choice.scratch_bytes <= answer.scratch_bytes
                for choice in everything
            )
            seen += 1
    assert seen > 20


def test_the_fastest_of_each_sharding_is_kept(either: Studied, cost: CostModel):
    formats = LayerFormats(either.network, Formats())
    for layer in convolutions(either.network):
        producer = either.network.by_name[layer.inputs[0]]
        asked = layer.op, layer.shape, formats.output_dtype(producer)
        fastest: dict[ShardLayout, float] = {}
        for request, answer in either.records.probes.items():
            if (request.op, request.shape, request.source_layouts[0].dtype) == asked:
                if isinstance(answer, Rejection) or not takes_tiles(answer.input_layouts):
                    continue
                sharding = answer.input_layouts[0].sharding
                time_us = total_us(cost.estimate(answer.ops))
                fastest[sharding] = min(time_us, fastest.get(sharding, time_us))
        table = [c for c in either.joint.tables[layer.name] if takes_tiles(c.input_layouts)]
        assert not table or set(fastest) >= SHARDED
        for sharding, time_us in fastest.items():
            first = next(choice for choice in table if choice.sharding is sharding)
            assert first.time_us == pytest.approx(time_us)


def takes_tiles(layouts: Sequence[TensorLayout]) -> bool:
    """Whether a convolution takes what any layer before it may leave: rows are not from all."""
    return layouts[0].page is PageLayout.TILE


def test_few_layouts_are_kept(either: Studied):
    for choices in either.joint.tables.values():
        kept = {choice.layouts for choice in choices}
        places = {(c.sharding, c.output_layout.is_sharded) for c in choices}
        assert len(kept) <= QUICK.kept_layouts + len(places) + KEPT_IN_ROWS


def test_candidates_of_convolutions_take_their_own_layouts(either: Studied):
    """What ttnn would insert before a convolution is another row of the edge's table."""
    for layer in convolutions(either.network):
        for choice in either.joint.tables[layer.name]:
            if choice.config.slicing == "auto":
                assert not choice.input_layouts[0].is_sharded
                continue
            assert choice.input_layouts[0].is_sharded
            assert choice.ops[0].code in ("HaloDeviceOperation", "MatmulDeviceOperation")
            assert choice.ops[0].inputs[0].layout == choice.input_layouts[0]


def test_every_candidate_is_what_the_device_was_asked(either: Studied):
    probed = {
        (request.op, request.shape, request.config, answer.ops)
        for request, answer in either.records.probes.items()
        if isinstance(answer, ProbeOutcome)
    }
    for layer in either.network:
        for choice in either.joint.tables[layer.name]:
            assert (layer.op, layer.shape, choice.config, choice.ops) in probed


def test_where_ttnn_did_otherwise_the_effective_layout_counts(
    studied: Studied, build: Callable[..., Tables]
):
    """Asked for height shards, the device answers with block shards."""
    taken = TensorLayout(
        Memory.L1, ShardLayout.BLOCK, grid=(CoreRange(0, 0, 3, 3),), shard_shape=(64, 16)
    )

    def headstrong(request: ProbeRequest) -> ProbeOutcome | Rejection:
        answer = studied.records.probes.get(request, REFUSED)
        is_height = (
            isinstance(request.config, Conv2dConfig)
            and request.config.shard_layout is ShardLayout.HEIGHT
        )
        if is_height and isinstance(answer, ProbeOutcome):
            left = replace(taken, dtype=answer.output_layout.dtype)
            return replace(answer, input_layouts=(taken,), output_layout=left)
        return answer

    tables = build(Scripted(studied.device(), probe=headstrong))
    for name in ("stem", "conv1", "conv2"):
        asked = {
            choice.sharding
            for choice in tables[name]
            if choice.config.shard_layout is ShardLayout.HEIGHT
        }
        assert asked == {ShardLayout.BLOCK}
        assert taken in {choice.input_layouts[0] for choice in tables[name]}


def test_a_halo_that_fits_only_when_moved_is_scheduled_so(
    studied: Studied, build: Callable[..., Tables]
):
    def cramped(request: ProbeRequest) -> ProbeOutcome | Rejection:
        config = request.config
        if not isinstance(config, Conv2dConfig) or config.act_block_h_override:
            return studied.records.probes.get(request, REFUSED)
        if not config.reallocate_halo_output:
            return REFUSED
        asked = replace(request, config=replace(config, reallocate_halo_output=False))
        return studied.records.probes.get(asked, REFUSED)

    device = Scripted(studied.device(), probe=cramped)
    tables = build(device)
    for name in ("stem", "conv1", "conv2"):
        for choice in tables[name]:
            free = choice.config.act_block_h_override == 0
            assert choice.config.reallocate_halo_output == free
    assert any(choice.config.reallocate_halo_output for choice in tables["conv1"])


def test_a_layer_without_candidates_is_one_clear_message(
    studied: Studied, build: Callable[..., Tables]
):
    network = residual()
    layers = tuple(
        replace(layer, source="net.py:12") if layer.name == "conv1" else layer for layer in network
    )

    def refusing(request: ProbeRequest) -> ProbeOutcome | Rejection:
        if request.op == network.by_name["conv1"].op:
            return Rejection(RejectionKind.L1_OVERFLOW, "Out of Memory: 9 B")
        return studied.records.probes[request]

    with pytest.raises(SearchError) as caught:
        build(Scripted(studied.device(), probe=refusing), Network("net", layers))
    assert str(caught.value) == (
        "layer conv1 (net.py:12): the device rejects every candidate; the nearest said: "
        "Out of Memory: 9 B. Another --board may leave it room"
    )


def test_a_layer_without_options_has_what_ttnns_default_chose(
    studied: Studied, store: Store, cost: CostModel, monkeypatch: pytest.MonkeyPatch
):
    """And what reads its output is asked in the layout that it leaves then."""
    network = studied.network
    schedule = default_schedule(network, "n150", "0.81.1", Formats())
    monkeypatch.setattr(
        "autosched.probing.layer_tables.options",
        lambda layer, *others: [] if layer.name == "flat" else options(layer, *others),
    )
    mock = DeviceKey("n150", "mock", "0.81.1")
    book = ProbeBook(store, studied.device(), mock, cost)
    formats = LayerFormats(network, Formats())
    builder = TableBuilder(network, formats, BOARD, QUICK, book, known=[schedule])
    tables = builder.build(lambda *_: None).kept
    (flat,) = tables["flat"]
    assert flat.config == schedule.layers["flat"]
    assert any(choice.input_layouts == (flat.output_layout,) for choice in tables["fc"])


def test_equal_layers_are_probed_once(studied: Studied, build: Callable[..., Tables]):
    device = Scripted(studied.device())
    build(device)
    assert len(device.probes) == len(set(device.probes))
    twice = residual()
    conv1 = twice.by_name["conv1"]
    layers = [*twice.layers]
    layers.insert(4, replace(conv1, name="again"))
    layers[5] = replace(layers[5], inputs=("again",))
    layers[6] = replace(layers[6], inputs=("conv2", "conv1"))
    tables = build(device, Network("twice", tuple(layers)))
    assert tables["again"] == tables["conv1"]


def test_layers_are_told_before_they_are_probed(studied: Studied):
    phases = studied.watching.phases
    total = len(studied.network.layers)
    layers = [step for phase, *step in phases if phase is Phase.LAYERS]
    assert [name for _, _, name in layers[:3]] == ["stem", "conv1", "conv2"]
    assert [done for done, _, _ in layers] == sorted(done for done, _, _ in layers)
    assert layers[0][0] == 0
    assert {of for _, of, _ in layers} == {total}
    assert {name for _, _, name in layers} == {layer.name for layer in studied.network}
    edges = [edge.consumer for edge in studied.network.edges]
    reshards = [step for phase, *step in phases if phase is Phase.RESHARDS]
    assert reshards[0] == [0, len(edges), edges[0]]
    assert {name for _, _, name in reshards} <= set(edges)
    # What the bound rests on is probed at last, with a count of its own.
    first = [done for done, of, _ in reshards if of == len(edges)]
    assert first == sorted(first)


class TestOnACard:
    """The mock device ranks the candidates, the card times the best."""

    @staticmethod
    def card(studied: Studied, answer: Callable[[ProbeOutcome], ProbeOutcome | Rejection]):
        known = {
            (request.op, request.shape, request.config): found
            for request, found in studied.records.probes.items()
            if isinstance(found, ProbeOutcome)
        }

        def timed(request: ProbeRequest) -> ProbeOutcome | Rejection:
            return answer(known[request.op, request.shape, request.config])

        return Scripted(studied.device(), probe=timed, kind="silicon")

    def test_its_times_count(self, studied: Studied, build: Callable[..., Tables]):
        def backwards(outcome: ProbeOutcome) -> ProbeOutcome:
            letters = sum(len(op.attributes) for op in outcome.ops)
            return replace(outcome, time_us=1e6 / (1 + letters))

        card = self.card(studied, backwards)
        tables = build(studied.device(), card=card)
        assert len(card.probes) < studied.counts.run
        for choices in tables.values():
            times = [choice.time_us for choice in choices]
            assert times == sorted(times)
            assert {choice.kind for choice in choices} == {TimeKind.MEASURED}
        assert min(choice.time_us for choice in tables["conv1"]) > 10

    def test_what_it_did_not_time_stays_an_estimate(
        self, studied: Studied, build_all: Callable[..., ProbedTables]
    ):
        """Slower on the card than by the model, the dominated ones count for the bound again."""
        slow = self.card(studied, lambda outcome: replace(outcome, time_us=500.0))
        probed = build_all(studied.device(), card=slow)
        assert {choice.kind for choices in probed.kept.values() for choice in choices} == {
            TimeKind.MEASURED
        }
        left_out = [choice for choices in probed.left_out.values() for choice in choices]
        assert {choice.kind for choice in left_out} == {TimeKind.ESTIMATED}
        kept = {(choice.config, choice.input_layouts) for choice in probed.kept["conv1"]}
        for choice in probed.left_out["conv1"]:
            assert (choice.config, choice.input_layouts) not in kept

    def test_what_it_rejects_is_left_out(self, studied: Studied, build: Callable[..., Tables]):
        def no_blocks(outcome: ProbeOutcome) -> ProbeOutcome | Rejection:
            block = outcome.input_layouts[:1] and outcome.input_layouts[0].sharding
            return REFUSED if block is ShardLayout.BLOCK else replace(outcome, time_us=1.0)

        tables = build(studied.device(), card=self.card(studied, no_blocks))
        for name in ("stem", "conv1", "conv2"):
            shardings = {choice.sharding for choice in tables[name]}
            assert shardings & SHARDED == {ShardLayout.HEIGHT, ShardLayout.WIDTH}

    def test_a_layer_it_rejects_in_every_form(self, studied: Studied, build: Callable[..., Tables]):
        with pytest.raises(SearchError, match="layer stem: the card rejects all"):
            build(studied.device(), card=self.card(studied, lambda _: REFUSED))
