"""Small random networks of layers as a search meets them, to execute candidates of."""

import math
from collections.abc import Callable
from random import Random

from autosched.bench import image_templates, token_templates
from autosched.bench.network_maker import NetworkMaker
from autosched.network.graph import Network
from autosched.network.multiplications import multiplications
from autosched.network.operators import ActivatedOutput, Activation, Conv2d, Output
from autosched.schedule.configurations import Fidelity
from autosched.space.formats import ACTIVATION_TYPES, WEIGHT_TYPES, Formats

Template = Callable[[NetworkMaker], str]

TEMPLATES: tuple[tuple[int, Template], ...] = (
    (14, image_templates.conv),
    (8, image_templates.depthwise),
    (5, image_templates.grouped),
    (3, image_templates.downsampling),
    (5, image_templates.stem),
    (1, image_templates.patches),
    (2, image_templates.series),
    (6, image_templates.transposed),
    (7, image_templates.pool),
    (2, image_templates.mean),
    (5, image_templates.binary),
    (1, image_templates.shifted),
    (2, image_templates.gate),
    (1, image_templates.pixel_gate),
    (6, image_templates.single_values),
    (5, image_templates.concat),
    (1, image_templates.concat_rows),
    (3, image_templates.channel_slice),
    (2, image_templates.crop),
    (2, image_templates.gather),
    (2, image_templates.pad),
    (4, image_templates.upsample),
    (2, image_templates.pixel_shuffle),
    (2, image_templates.layer_norm),
    (2, image_templates.group_norm),
    (1, image_templates.classes),
    (1, image_templates.host),
    (1, token_templates.head),
    (2, token_templates.vectors),
    (1, token_templates.flat),
    (1, token_templates.unflat),
    (1, token_templates.channel_shuffle),
    (1, token_templates.pixel_unshuffle),
    (1, token_templates.turned),
    (1, token_templates.mlp),
    (1, token_templates.class_token),
    (2, token_templates.attended),
    (1, token_templates.split_attention),
    (1, token_templates.scores),
    (1, token_templates.channel_scores),
    (1, token_templates.resizing),
)
"""The kinds of networks, each with how often it comes up; of a hundred, about 40 convolve."""

# A simulator multiplies slowly, and copies slowly.
_MAX_MULTIPLICATIONS = 300_000_000
_MAX_PIXELS = 9_000
_FIDELITIES = (Fidelity.LOFI, Fidelity.HIFI2, Fidelity.HIFI4)


def random_network(seed: int) -> Network:
    """Return a network of a few layers, the same for the same seed; without weights."""
    random = Random(seed)  # noqa: S311 - no secret
    weights, templates = zip(*TEMPLATES, strict=True)
    return drawn_network(random.choices(templates, weights)[0], seed)


def drawn_network(template: Template, seed: int) -> Network:
    """Return the network of a template and a seed: the first one drawn that is soon simulated."""
    random = Random(seed)  # noqa: S311 - no secret
    while True:
        network = _drawn(template, random, f"random{seed}")
        if _is_small(network):
            return network


def _drawn(template: Template, random: Random, name: str) -> Network:
    make = NetworkMaker(random)
    last = template(make)
    shape = make.shape(last)
    if len(shape) == 4:
        # What follows wants its input in layouts of its own.
        last = make.add(Conv2d(shape[1], 32, (1, 1)), (last,), (shape[0], 32, *shape[2:]))
    make.add(_output(name, len(shape) == 4), (last,), make.shape(last))
    return Network(name, tuple(make.layers))


def _output(name: str, is_image: bool) -> Output:
    """Return an output, of an image in one of eight networks with a function of its values."""
    random = Random(f"output of {name}")  # noqa: S311 - no secret
    if not is_image or random.random() >= 0.125:
        return Output()
    return ActivatedOutput(Activation(random.choice(("sigmoid", "tanh", "silu"))))


def _is_small(network: Network) -> bool:
    return all(
        multiplications(layer.op, network.input_shapes(layer), layer.shape) <= _MAX_MULTIPLICATIONS
        and math.prod(layer.shape) // layer.shape[1] <= _MAX_PIXELS
        for layer in network
    )


def random_formats(seed: int) -> Formats:
    """Return the formats of a seed: for half of all the default ones, for others any."""
    random = Random(f"formats {seed}")  # noqa: S311 - no secret
    if random.random() < 0.5:
        return Formats()
    return Formats(
        weights=random.choice(WEIGHT_TYPES),
        activations=random.choice(ACTIVATION_TYPES),
        end_activations=random.choice(ACTIVATION_TYPES),
        fidelity=random.choice(_FIDELITIES),
        end_fidelity=random.choice(_FIDELITIES),
        fp32_accumulation=random.random() < 0.3,
    )
