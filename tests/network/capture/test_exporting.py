import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import NetworkFileError, UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.capture.exporting import (
    check_module,
    check_tensors,
    export_program,
    first_written_parameter,
    mutates_an_alias,
)

IMAGE = (2, 4, 8, 8)


class Forward(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def aliased_view(x):
    y = x + x
    view = y.view(2, -1)
    y.relu_()
    return view


def aliased_base(x):
    y = x + x
    y.view(2, -1).relu_()
    return F.max_pool2d(y, 2)


def aliased_dropout(x):
    y = x + x
    z = F.dropout(y, training=False)
    z.relu_()
    return y


def mutated_input(x):
    x.relu_()
    return F.max_pool2d(x, 2)


def mutated_twice(x):
    y = F.relu_(x + x)
    y += x
    return y.sigmoid_()


@pytest.mark.parametrize("function", [aliased_view, aliased_base, aliased_dropout])
def test_mutation_seen_through_another_name_is_captured_rightly(lowered, function):
    network = lowered(Forward(function), torch.randn(IMAGE))
    assert len(network.layers) >= 3


@pytest.mark.parametrize("function", [mutated_input, mutated_twice])
def test_plain_mutation_needs_no_decomposition(lowered, function):
    module = Forward(function)
    lowered(module, torch.randn(IMAGE))
    program = torch.export.export(module, (torch.randn(IMAGE),), strict=False)
    assert not mutates_an_alias(program)


def test_mutation_and_batch_norm_together(lowered):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.norm(self.conv(x))
            flat = y.view(2, -1)
            y.relu_()
            return F.max_pool2d(y, 2), flat

    network = lowered(Net(), torch.randn(IMAGE))
    assert network.by_name["conv"].op.activation.name == "relu"


def conditional(x):
    if x.sum() > 0:
        x = x + 1
    return x


def values_as_sizes(x):
    return x.view(int(x.abs().sum()), -1)


def leaves_torch(x):
    return torch.from_numpy(x.numpy() + 1)


@pytest.mark.parametrize("function", [conditional, leaves_torch])
def test_what_cannot_be_traced_is_one_message_with_its_line(function, capfd):
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Forward(function).eval(), (torch.randn(IMAGE),), "net")
    message = str(caught.value)
    assert message.startswith("net: the model cannot be captured as a fixed graph")
    line = function.__code__.co_firstlineno + 1
    assert f"test_exporting.py:{line}" in message
    if function is conditional:
        assert "a branch, a loop or a shape depends on the values of a tensor" in message
    else:
        assert "it leaves PyTorch for NumPy" in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert caught.value.__cause__ is None


def test_a_model_that_raises_says_where():
    with pytest.raises(NetworkFileError) as caught:
        capture(Forward(values_as_sizes).eval(), (torch.full(IMAGE, 0.7),), "net")
    message = str(caught.value)
    assert "raises on inputs of shape (2, 4, 8, 8) at test_exporting.py:" in message
    assert "RuntimeError: shape" in message


def test_exporting_keeps_the_users_tensors():
    inputs = torch.randn(IMAGE)
    before = inputs.clone()
    export_program(Forward(mutated_input).eval(), (inputs,), "net")
    assert torch.equal(inputs, before)


FLOAT = torch.ones(1, 3)


@pytest.mark.parametrize(
    ("module", "inputs", "message"),
    [
        (nn.Linear(3, 3).half(), (FLOAT,), "parameter weight is torch.float16"),
        (nn.Linear(3, 3).double(), (FLOAT,), "parameter weight is torch.float64"),
        (nn.Linear(3, 3, dtype=torch.complex64), (FLOAT,), "parameter weight is torch.complex64"),
        (nn.Linear(3, 3), (FLOAT, FLOAT.int()), "example input 1 is torch.int32"),
        (nn.Linear(3, 3), (FLOAT.half(),), "example input 0 is torch.float16"),
        (nn.Linear(3, 3, device="meta"), (FLOAT,), "parameter weight is on device 'meta'"),
        (nn.Linear(3, 3), (FLOAT.to("meta"),), "example input 0 is on device 'meta'"),
    ],
)
def test_other_formats_and_devices_are_refused(module, inputs, message):
    with pytest.raises(NetworkFileError, match=f"net.py: {message}"):
        check_tensors(module, inputs, "net.py")


def test_half_precision_buffers_are_refused_and_counters_are_not():
    module = nn.BatchNorm2d(3)
    check_tensors(module, (FLOAT,), "net.py")
    module.running_mean = module.running_mean.half()
    with pytest.raises(NetworkFileError, match="buffer running_mean is"):
        check_tensors(module, (FLOAT,), "net.py")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_is_refused():
    module = torch.jit.trace(nn.Linear(3, 3), FLOAT)
    with pytest.raises(NetworkFileError, match=r"net\.py: the model is a TorchScript module"):
        check_module(module, "net.py")


class Restless(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        self.norm.train()
        return self.norm(x)


def test_a_model_that_puts_itself_back_into_training_mode_says_where():
    module = Restless().eval()
    module(torch.randn(1, 3, 4, 4))
    with pytest.raises(NetworkFileError) as caught:
        check_module(module, "net")
    assert "its submodule norm is in training mode" in str(caught.value)
    assert "Restless (test_exporting.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("tensor", "advice"),
    [
        (torch.zeros(1, 3, dtype=torch.complex64), "real and imaginary parts as channels"),
        (torch.zeros(1, 3, dtype=torch.long), "look indices up before the network"),
        (torch.zeros(1, 3, dtype=torch.float16), "Convert it with .float()"),
        (torch.zeros(1, 3, device="meta"), "It has no values"),
    ],
)
def test_an_input_of_another_kind_says_what_to_do(tensor, advice):
    with pytest.raises(NetworkFileError) as caught:
        check_tensors(nn.ReLU(), (tensor,), "net.py")
    assert "net.py: example input 0 is" in str(caught.value)
    assert advice in str(caught.value)


INPUTS = (torch.zeros(1, 3, 8, 8),)


class Net(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.conv, self.change = nn.Conv2d(3, 8, 3), change

    def forward(self, x):
        self.change(self.conv)
        return self.conv(x)


def halve(conv):
    conv.weight.data.mul_(0.5)


def test_the_line_that_writes_and_the_parameter_are_found():
    line = halve.__code__.co_firstlineno + 1
    assert first_written_parameter(Net(halve), INPUTS) == f"test_exporting.py:{line} (conv.weight)"


def test_a_module_that_writes_nothing_has_no_such_line():
    assert first_written_parameter(Net(lambda conv: conv.weight * 2), INPUTS) == ""


def test_the_message_names_them():
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Net(halve).eval(), INPUTS, "net")
    message = str(caught.value)
    assert "test_exporting.py:" in message
    assert "(conv.weight): it changes a parameter in each call" in message


class PaddedToSteps(nn.Module):
    """Pads a series to whole steps, by numbers that are buffers, as EnCodec does."""

    def __init__(self):
        super().__init__()
        self.register_buffer("step", torch.tensor(4), persistent=False)
        self.convolution = nn.Conv1d(4, 8, 5, stride=4)
        self.register_buffer("length", torch.tensor(5))

    def forward(self, x):
        steps = torch.ceil((x.shape[-1] - self.length) / self.step).to(torch.int64)
        missing = steps * self.step + self.length - x.shape[-1]
        if missing <= x.shape[-1]:
            x = F.pad(x, (0, missing))
        return self.convolution(x)


def test_numbers_that_a_module_keeps_may_decide():
    module = PaddedToSteps().eval()
    before = list(module.state_dict()), list(module.named_buffers())
    network = capture(module, (torch.randn(2, 4, 18),))
    assert network.layers[-1].shape == (2, 8, 5)
    assert (list(module.state_dict()), list(module.named_buffers())) == before
    assert not {"step", "length"} & set(vars(module))


class Trying(nn.Module):
    """Tries its layers with lengths first, as SpeechBrain's do."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(4, 6, 1), nn.ReLU(), nn.Conv2d(6, 2, 1)])

    def forward(self, x):
        for layer in self.layers:
            try:
                x = layer(x, lengths=None)
            except TypeError:  # noqa: PERF203 - what is tested
                x = layer(x)
        return x


def test_a_model_may_catch_what_a_call_raises(lowered):
    network = lowered(Trying(), torch.randn(IMAGE))
    assert [layer.name for layer in network][1:3] == ["layers.0", "layers.2"]


class ScaledWherePositive(nn.Module):
    """Decides by rates of its layers, as EoMT does."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rates", torch.tensor([0.0, 0.5]))
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        for rate in self.rates:
            x = self.norm(x) * rate if rate > 0 else torch.tanh(x)
        return x


def test_fractions_that_a_module_keeps_may_decide(lowered):
    module = ScaledWherePositive()
    before = list(module.named_buffers())
    lowered(module, torch.randn(IMAGE))
    assert list(module.named_buffers()) == before


def reduced_over_a_range(x):
    return x - x.mean(torch.arange(1, x.dim()).tolist(), keepdim=True)


def cut_in_sizes(x):
    sizes = torch.as_tensor([(4, 8), (4, 4), (2, 4)])
    first, second = x.flatten(2)[..., :32], x.flatten(2)[..., 32:]
    height, width = sizes[0]
    return first.view(*x.shape[:2], height, width), second[..., : int(sizes[1].prod())]


def shifted_by_steps(x):
    return torch.cat([x * float(step) for step in torch.linspace(0, 1, 3)], 1)


@pytest.mark.parametrize("function", [reduced_over_a_range, cut_in_sizes, shifted_by_steps])
def test_values_that_no_input_decides_may_decide(lowered, function):
    lowered(Forward(function), torch.randn(IMAGE))


def test_values_of_the_inputs_may_not():
    module = PaddedToSteps().eval()
    module.step = torch.tensor(3)

    def decided(x):
        return module(x) if x.sum() > module.step else x

    with pytest.raises(UnsupportedOperatorError, match="depends on the values of a tensor"):
        capture(Forward(decided).eval(), (torch.randn(2, 4, 18),))
    assert int(module.step) == 3
