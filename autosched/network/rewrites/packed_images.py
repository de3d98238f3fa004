"""Images of a batch beside each other in the channels of a tensor, as groups.

A tile holds 32 channels. A network of fewer wastes the rest of each, in memory and in products; of
(N, C, H, W) as (N / images, images * C, H, W) nothing is wasted up to 32. To the host the two are
the same memory. Convolutions get a block of weights for each image, and zeros between them, which
ttnn makes of groups anyway; what works on each channel for itself stays as it is. A concatenation
leaves the first input's channels of all images before the second's; the weights behind it read
them in that order.

What mixes channels in another way ends the stretch from the inputs: there the images are taken
apart, by a permutation.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from autosched.errors import NetworkFileError
from autosched.network.draft_graph import Draft
from autosched.network.graph import Layer, Network, Packing, Weights
from autosched.network.operators import (
    Binary,
    Concat,
    Constant,
    Conv2d,
    Convolution,
    ConvTranspose2d,
    Crop,
    DeviceInput,
    DeviceOutput,
    Gather,
    GlobalAvgPool2d,
    GroupNorm,
    HostOutput,
    Input,
    LayerOp,
    Output,
    Pad,
    Permute,
    PixelShuffle,
    Pool2d,
    Reshape,
    Shape,
    Slice,
    Unary,
    Upsample,
)
from autosched.network.rewrites.ordered_weights import Order, take_columns, with_rows

_CHANNEL_BY_CHANNEL = (Unary, Pool2d, GlobalAvgPool2d, Crop, Pad, Gather, Upsample)
_VIEWS = (Input, Output, Reshape, Slice)
_IMAGE_DIMS = 4


def pack_images(network: Network, images: int) -> Network:
    """Return a network with ``images`` of a batch in the channels of each tensor.

    It is exact. The caller's tensors keep their shapes; :class:`~autosched.network.graph.Packing`
    has them. With one image, or where so many are packed already, the network is returned.

    Raises:
        NetworkFileError: so many do not divide the batch, the network is packed in another way, or
            a layer mixes channels or images before any was worth it, or a tensor is handed over in
            the device's order; the message names it.
    """
    if images == network.packing.images:
        return network
    if network.packing.images > 1:
        raise NetworkFileError(
            f"{network.name} has {network.packing.images} images packed into channels already; "
            f"pack {images} of the network as it was captured"
        )
    if images < 1 or network.batch % images:
        raise NetworkFileError(
            f"{network.name}: {images} images cannot be packed into channels: the number has to "
            f"divide the batch, {network.batch}"
        )
    kept = [layer.name for layer in network if isinstance(layer.op, DeviceInput | DeviceOutput)]
    if kept:
        raise NetworkFileError(
            f"{network.name}: {images} images cannot be packed into channels: {kept[0]} is handed "
            "over in the device's order, and only images in PyTorch's are packed; leave that out"
        )
    packer = _Packer(network, images)
    for layer in network:
        packer.read(layer)
    return packer.network()


class _Packer:
    """Goes through the layers; knows of each packed tensor where its channels are.

    A tensor's channels are counted image by image; ``_orders`` has the place of each.
    """

    def __init__(self, network: Network, images: int) -> None:
        self._network = network
        self._images = images
        self._batch = network.batch
        self._layers: dict[str, Layer] = {}
        self._weights: dict[str, Weights] = {}
        self._orders: dict[str, Order] = {}
        self._plain: dict[str, str] = {}
        self._separate: dict[str, str] = {}
        self._callers: dict[str, Shape] = {}
        self._stops: list[Layer] = []
        self._has_work = False

    def network(self) -> Network:
        """Return the packed network, without what nobody reads any more.

        Raises:
            NetworkFileError: if nothing was gained.
        """
        if not self._has_work:
            raise NetworkFileError(self._why_not())
        kept: list[Layer] = []
        read: set[str] = set()
        for layer in reversed(self._layers.values()):
            if layer.name in read or isinstance(layer.op, Input | Output):
                kept.insert(0, layer)
                read.update(layer.inputs)
        names = {layer.name for layer in kept}
        return replace(
            self._network,
            layers=tuple(sorted(kept, key=lambda layer: isinstance(layer.op, Output))),
            weights={name: item for name, item in self._weights.items() if name in names},
            packing=Packing(
                self._images,
                {**self._network.packing.callers, **self._callers},
                tuple(layer.name for layer in self._stops),
            ),
        )

    def _why_not(self) -> str:
        name = self._network.name
        if not self._callers:
            return (
                f"{name}: its images cannot be packed into channels: no input is a batch of "
                f"{self._batch} images (N, C, H, W)"
            )
        stop = next(iter(self._stops), None)
        which = "no layer" if stop is None else f"layer {stop.name} ({type(stop.op).__name__})"
        why = "works on them" if stop is None else "mixes channels, or reads its images apart"
        return f"{name}: its images cannot be packed into channels: {which} {why}"

    def read(self, layer: Layer) -> None:
        """Add a layer that works on packed images; or as it is, on images taken apart."""
        if self._packed(layer):
            self._has_work |= not isinstance(layer.op, _VIEWS)
            return
        if any(name in self._orders for name in layer.inputs):
            self._stops.append(layer)
        inputs = tuple(self._apart(name) for name in layer.inputs)
        self._add(replace(layer, inputs=inputs), self._network.weights.get(layer.name))

    def _packed(self, layer: Layer) -> bool:
        """Add a layer in its packed form; returns whether it has one."""
        if isinstance(layer.op, Input):
            return self._input(layer)
        is_any = any(name in self._orders for name in layer.inputs)
        if not is_any or not all(map(self._may_be_packed, layer.inputs)):
            return False
        if isinstance(layer.op, Binary | Concat):
            join = self._binary if isinstance(layer.op, Binary) else self._concat
            return len(layer.shape) == _IMAGE_DIMS and join(layer)
        return len(layer.inputs) == 1 and self._alone(layer, self._orders[layer.inputs[0]])

    def _alone(self, layer: Layer, order: Order) -> bool:
        """Add a layer of one input in its packed form, if it has one."""
        match layer.op:
            case Reshape() | Slice() | Output():
                return self._view(layer, order)
            case Conv2d() | ConvTranspose2d() as op:
                return self._convolution(layer, op, order)
            case GroupNorm() as op:
                weights = _repeated(self._network.weights[layer.name], self._images)
                op = replace(op, groups=op.groups * self._images)
                return self._of_plain(layer, op, weights)
            case PixelShuffle() as op:
                return self._of_plain(layer, op)
            case op:
                return isinstance(op, _CHANNEL_BY_CHANNEL) and self._hand_on(
                    layer, self._whole(layer.inputs[0])
                )

    def _may_be_packed(self, name: str) -> bool:
        """Whether a tensor is packed, or a constant of images or of all of them."""
        layer = self._network.by_name[name]
        is_constant = isinstance(layer.op, Constant) and len(layer.shape) == _IMAGE_DIMS
        return name in self._orders or (is_constant and layer.shape[0] in {1, self._batch})

    def _input(self, layer: Layer) -> bool:
        if len(layer.shape) != _IMAGE_DIMS or layer.shape[0] != self._batch:
            return False
        self._callers[layer.name] = layer.shape
        self._leave(layer, layer.op, ())
        return True

    def _view(self, layer: Layer, order: Order) -> bool:
        """Add what computes nothing: outputs, parts of channels, other shapes."""
        match layer.op:
            case HostOutput():
                return False
            case Output():
                self._callers[layer.name] = layer.shape
                return self._of_plain(layer, layer.op)
            case Slice() as op if len(layer.shape) == _IMAGE_DIMS:
                # Its readers read the whole.
                places = self._by_image(order)[:, op.start : op.stop].reshape(-1)
                self._orders[layer.name] = replace(order, places=places)
                return True
            case Reshape() if self._keeps_channels(layer):
                return self._hand_on(layer, self._whole(layer.inputs[0]))
            case Reshape():
                # Plainly packed elements are in the order of those apart.
                self._stops.append(layer)
                self._add(replace(layer, inputs=(self._in_order(layer.inputs[0]),)))
                return True
        return False

    def _keeps_channels(self, layer: Layer) -> bool:
        """Whether a view only counts pixels in other rows and columns."""
        (source,) = self._network.input_shapes(layer)
        return len(layer.shape) == _IMAGE_DIMS and source[:2] == layer.shape[:2]

    def _convolution(self, layer: Layer, op: Convolution, order: Order) -> bool:
        weights = _repeated(self._network.weights[layer.name], self._images)
        packed = replace(
            op,
            in_channels=op.in_channels * self._images,
            out_channels=op.out_channels * self._images,
            groups=op.groups * self._images,
        )
        if op.groups == 1:
            if isinstance(packed, ConvTranspose2d):
                packed, weights = _in_one_group(packed, weights, self._images)
            made = Draft(layer.name, layer.name, packed, [], layer.shape, weights=weights)
            take_columns(made, order)
            assert isinstance(made.op, Conv2d | ConvTranspose2d)  # noqa: S101 - as it was
            self._leave(layer, made.op, (order.key,), made.weights)
            return True
        if isinstance(op, Conv2d) and op.groups == op.in_channels:
            order = self._whole(layer.inputs[0])
            each = op.out_channels // op.in_channels
            places = (order.places[:, None] * each + torch.arange(each)).reshape(-1)
            self._leave(layer, packed, (order.key,), with_rows(weights, places.argsort()), places)
            return True
        return self._of_plain(layer, packed, weights)

    def _binary(self, layer: Layer) -> bool:
        channels = layer.shape[1]
        orders = [self._spread(name, channels) for name in layer.inputs]
        found = [order for order in orders if order is not None]
        if not all(order.is_whole and order.same_places(found[0]) for order in found):
            found = [self._made(order) for order in found]
        places = found[0].places
        inputs = [
            self._constant(name, channels, places) if order is None else found.pop(0).key
            for name, order in zip(layer.inputs, orders, strict=True)
        ]
        self._leave(layer, layer.op, inputs, None, places)
        return True

    def _spread(self, name: str, channels: int) -> Order | None:
        """Return the order of an operand; one of a single channel has it for all of an image."""
        order = self._orders.get(name)
        if order is None or len(order.places) == channels * self._images:
            return order
        places = self._by_image(order).expand(-1, channels).reshape(-1)
        return self._made(replace(order, places=places))

    def _concat(self, layer: Layer) -> bool:
        orders = []
        for name in layer.inputs:
            if name in self._orders:
                orders.append(self._whole(name))
                continue
            count = self._network.by_name[name].shape[1] * self._images
            plain = torch.arange(count)
            key = self._constant(name, count // self._images, plain, layer.shape)
            orders.append(Order(key, plain, count))
        starts = [sum(order.count for order in orders[:place]) for place in range(len(orders))]
        parts = [self._by_image(order) + start for order, start in zip(orders, starts, strict=True)]
        keys = [order.key for order in orders]
        self._leave(layer, layer.op, keys, None, torch.cat(parts, 1).reshape(-1))
        return True

    def _constant(
        self, name: str, channels: int, places: torch.Tensor, shape: Shape | None = None
    ) -> str:
        """Add a constant for packed images of so many ``channels``, its own in ``places``.

        Of one channel for all images it is taken as it is; of ``shape``, where that is given, not.
        """
        layer, weights = self._network.by_name[name], self._network.weights[name]
        if shape is None and layer.shape[:2] == (1, 1):
            return name
        sides = layer.shape[2:] if shape is None else shape[2:]
        value = weights.weight
        batch = len(value) if shape is None else self._batch
        value = value.expand(batch, channels, *sides)
        if batch == 1:
            packed = value.repeat(1, self._images, 1, 1)
        else:
            packed = value.reshape(batch // self._images, -1, *sides)
        packed = packed[:, places.argsort()].contiguous()
        made = replace(layer, name=self._new_name(f"{name}.packed"), shape=tuple(packed.shape))
        self._add(made, Weights(packed))
        return made.name

    def _hand_on(self, layer: Layer, order: Order) -> bool:
        """Add a layer that works on each channel for itself."""
        self._leave(layer, layer.op, (order.key,), None, order.places)
        return True

    def _of_plain(self, layer: Layer, op: LayerOp, weights: Weights | None = None) -> bool:
        """Add a layer that takes channels image by image, and leaves them so."""
        self._leave(layer, op, (self._in_order(layer.inputs[0]),), weights)
        return True

    def _leave(
        self,
        layer: Layer,
        op: LayerOp,
        inputs: Sequence[str],
        weights: Weights | None = None,
        places: torch.Tensor | None = None,
    ) -> None:
        """Add a layer that leaves packed images, in PyTorch's order unless ``places`` are given."""
        batch, channels, *sides = layer.shape
        shape = (batch // self._images, channels * self._images, *sides)
        self._add(replace(layer, op=op, inputs=tuple(inputs), shape=shape), weights)
        plain = torch.arange(shape[1])
        self._orders[layer.name] = Order(layer.name, plain if places is None else places, shape[1])

    def _add(self, layer: Layer, weights: Weights | None = None) -> None:
        self._layers[layer.name] = layer
        if weights is not None:
            self._weights[layer.name] = weights

    def _by_image(self, order: Order) -> torch.Tensor:
        return order.places.reshape(self._images, -1)

    def _whole(self, name: str) -> Order:
        """Return the order of a tensor that is there as a whole; made, where it is a part."""
        order = self._orders[name]
        if not order.is_whole:
            key = self._in_order(name)
            order = Order(key, torch.arange(len(order.places)), len(order.places))
        return order

    def _in_order(self, name: str) -> str:
        """Return the name of a tensor's channels image by image, made where they are not there."""
        order = self._orders[name]
        if name not in self._plain:
            self._plain[name] = order.key if order.is_plain else self._made(order).key
        return self._plain[name]

    def _made(self, order: Order) -> Order:
        """Return a tensor's channels image by image, made by a convolution of ones and zeros."""
        channels = len(order.places)
        if order.is_plain:
            return order
        matrix = torch.zeros(channels, order.count, 1, 1)
        matrix[torch.arange(channels), order.places] = 1.0
        source = self._layers[order.key]
        made = replace(
            source,
            name=self._new_name(f"{order.key}.order"),
            op=Conv2d(order.count, channels, (1, 1), has_bias=False),
            inputs=(order.key,),
            shape=(source.shape[0], channels, *source.shape[2:]),
        )
        self._add(made, Weights(matrix))
        return Order(made.name, torch.arange(channels), channels)

    def _apart(self, name: str) -> str:
        """Return the name of a tensor with its images apart, which a permutation makes."""
        if name not in self._orders:
            return name
        if name not in self._separate:
            source = self._network.by_name[name]
            batch, channels, *sides = source.shape
            sizes = (batch // self._images, self._images, channels, *sides)
            made = replace(
                source,
                name=self._new_name(f"{name}.apart"),
                op=Permute(sizes, tuple(range(len(sizes)))),
                inputs=(self._in_order(name),),
            )
            self._add(made)
            self._separate[name] = made.name
        return self._separate[name]

    def _new_name(self, name: str) -> str:
        taken = {*self._network.by_name, *self._layers}
        numbered = (f"{name}{number}" for number in range(2, len(taken) + 3))
        return next(item for item in (name, *numbered) if item not in taken)


def _repeated(weights: Weights, images: int) -> Weights:
    """Return the parameters of so many images' channels, one image after the other."""
    weight = weights.weight.repeat(images, *[1] * (weights.weight.dim() - 1))
    return Weights(weight, None if weights.bias is None else weights.bias.repeat(images))


def _in_one_group(
    op: ConvTranspose2d, weights: Weights, images: int
) -> tuple[ConvTranspose2d, Weights]:
    """Return a transposed convolution of a group for each image, with zeros between them."""
    inputs, outputs = op.in_channels // images, op.out_channels // images
    dense = weights.weight.new_zeros(op.in_channels, op.out_channels, *op.kernel)
    for image in range(images):
        rows = slice(image * inputs, (image + 1) * inputs)
        dense[rows, image * outputs : (image + 1) * outputs] = weights.weight[rows]
    return replace(op, groups=1), Weights(dense, weights.bias)
