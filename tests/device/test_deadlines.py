from autosched.device.deadlines import answer_deadline_s, simulated_deadline_s
from autosched.device.interface import ProbeRequest, ReshardRequest
from autosched.network.graph import Layer, Network
from autosched.network.operators import Conv2d, Input
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import TensorLayout


def convolution(side: int, channels: int = 16, batch: int = 1) -> ProbeRequest:
    op = Conv2d(channels, channels, (3, 3), padding=(1, 1, 1, 1))
    shape = (batch, channels, side, side)
    return ProbeRequest(op, (shape,), shape, Conv2dConfig())


def chain(layers: int, side: int) -> Network:
    one = convolution(side)
    names = [f"layer{index}" for index in range(layers)]
    return Network(
        "chain",
        (
            Layer("x", Input(), (), one.shape),
            *(
                Layer(name, one.op, (before,), one.shape)
                for before, name in zip(["x", *names], names, strict=False)
            ),
        ),
    )


def test_a_card_has_the_time_to_compile_a_whole_network() -> None:
    """At a second a kernel and four kernels a layer, as a cold run of ResNet-152 takes."""
    assert answer_deadline_s("silicon", chain(300, side=7)) > 300 * 4
    assert 120 <= answer_deadline_s("mock", chain(300, side=7)) < 125


def test_the_host_code_of_large_images_has_its_time() -> None:
    """One convolution of 4,096 x 4,096 pixels took 80 s, four times as many some 1,000 s."""
    seconds = {side: answer_deadline_s("mock", convolution(side)) for side in (224, 4096, 8192)}
    assert seconds[224] < 121
    assert seconds[4096] > 120 + 2 * 80
    assert seconds[8192] > 120 + 2 * 1000
    batch = answer_deadline_s("mock", convolution(4096, batch=4))
    assert batch == seconds[8192]
    assert answer_deadline_s("mock", convolution(4096, channels=64)) == seconds[4096]


def test_vectors_and_nothing_take_no_time_beyond_the_first() -> None:
    assert answer_deadline_s("mock", None) == 120
    moved = ReshardRequest((1, 1000), TensorLayout(), TensorLayout())
    assert answer_deadline_s("mock", moved) < 120.01


def test_a_simulated_layer_has_time_for_its_work() -> None:
    small, large = simulated_deadline_s(None), simulated_deadline_s(convolution(512, 96))
    assert small >= 600
    assert large - small > 1000
    assert simulated_deadline_s(chain(3, side=512)) == simulated_deadline_s(convolution(512))
