"""Networks with made-up tables of realistic size: 12 layouts a tensor, 30 candidates a layer."""

import random

from autosched.solver.problem import Candidate, LayerTable, Problem

KINDS = 12
CANDIDATES = 30
CORES = (64, 56, 49, 32, 64, 28, 16, 64, 48, 40, 8)
DRAM = 0


class Builder:
    """Layers one by one; layout 0 is DRAM, each tensor size has 11 sharded layouts."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.layout_bytes = [0]
        self.layouts_of = {}
        self.layers = []
        self.sizes = []

    def problem(self, capacity_bytes):
        return Problem(tuple(self.layers), tuple(self.layout_bytes), capacity_bytes)

    def add(self, producers, size, work_us, uniform=False):
        """Append a layer with an output of ``size`` bytes; uniform: all inputs of one kind."""
        outputs = self._layouts(size)
        inputs = [self._layouts(self.sizes[producer]) for producer in producers]
        table = self._reshards(size)
        self.layers.append(
            LayerTable(
                name=f"layer{len(self.layers)}",
                producers=tuple(producers),
                candidates=tuple(
                    self._candidate(inputs, outputs, work_us, uniform) for _ in range(CANDIDATES)
                ),
                reshards=tuple(self._reshards(self.sizes[producer]) for producer in producers),
                moves={(source, DRAM): table[source, DRAM] for source in outputs[1:]},
            )
        )
        self.sizes.append(size)
        return len(self.layers) - 1

    def _layouts(self, size):
        if size not in self.layouts_of:
            first = len(self.layout_bytes)
            self.layout_bytes += [size // cores for cores in CORES]
            self.layouts_of[size] = [DRAM, *range(first, len(self.layout_bytes))]
        return self.layouts_of[size]

    def _reshards(self, size):
        layouts = self._layouts(size)
        place = {layout: (self.rng.random(), self.rng.random()) for layout in layouts}
        return {
            (a, b): 2 + size * 8e-6 * self._distance(place[a], place[b]) * (1 + (DRAM in (a, b)))
            for a in layouts
            for b in layouts
            if a != b
        }

    @staticmethod
    def _distance(a, b):
        return 0.3 + abs(a[0] - b[0]) + abs(a[1] - b[1])

    def _candidate(self, inputs, outputs, work_us, uniform):
        kind = self.rng.randrange(KINDS)
        other = kind if uniform or self.rng.random() < 0.5 else self.rng.randrange(KINDS)
        buffers = self.rng.choice([0.05, 0.1, 0.2, 0.3, 0.4])
        return Candidate(
            time_us=work_us * self.rng.uniform(1, 2) * (1.5 - buffers),
            input_layouts=tuple(layouts[kind] for layouts in inputs),
            output_layout=outputs[other],
            cb_bytes=int(buffers * 1e6),
        )


def resnet(blocks, capacity_bytes=900_000):
    """Bottleneck blocks with downsampling: (3, 4, 6, 3) has the shape of ResNet-50."""
    net = Builder(seed=1)
    size = 56 * 56 * 64 * 16
    x = net.add((), size, 1)
    x = net.add((net.add((x,), size, 50),), size, 20)
    for stage, count in enumerate(blocks):
        inner = size >> stage
        for block in range(count):
            y = net.add((net.add((x,), inner, 20),), inner, 30)
            y = net.add((y,), inner * 4, 20)
            skip = net.add((x,), inner * 4, 20) if block == 0 else x
            x = net.add((y, skip), inner * 4, 8, uniform=True)
    net.add((net.add((x,), 32_768, 5),), 16_000, 5)
    return net.problem(capacity_bytes)


def unet(depth, capacity_bytes=600_000):
    """A U with ``depth`` skips that live until their mirror image concatenates them."""
    net = Builder(seed=2)
    size = 6_000_000
    x = net.add((), size, 1)
    skips = []
    for level in range(depth):
        x = net.add((net.add((x,), size >> level, 30),), size >> level, 30)
        skips.append(x)
        x = net.add((x,), size >> level + 2, 10)
    x = net.add((net.add((x,), size >> depth, 30),), size >> depth, 30)
    for level in reversed(range(depth)):
        x = net.add((x,), size >> level, 15)
        x = net.add((x, skips[level]), (size >> level) * 2, 10, uniform=True)
        x = net.add((net.add((x,), size >> level, 30),), size >> level, 30)
    return net.problem(capacity_bytes)


def densenet(blocks, capacity_bytes=600_000):
    """Blocks whose layers concatenate all before them: (6, 12, 24, 16) for DenseNet-121."""
    net = Builder(seed=3)
    size = 56 * 56 * 64 * 4
    grown = size // 2
    x = net.add((), size, 50)
    for count in blocks:
        features = [x]
        for number in range(count):
            joined = features[0]
            if number:
                joined = net.add(features, size + grown * number, 5, uniform=True)
            features.append(net.add((net.add((joined,), grown * 4, 10),), grown, 15))
        x = net.add(features, size + grown * count, 5, uniform=True)
        size = (size + grown * count) // 8
        x = net.add((net.add((x,), size * 4, 10),), size, 5)
        grown //= 4
    return net.problem(capacity_bytes)
