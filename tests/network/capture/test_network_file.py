import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from autosched.errors import NetworkFileError
from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file, with_smaller_images
from autosched.network.ends import Ends

HEADER = "import torch\nfrom torch import nn\n"
SHAPE = "input_shape = (1, 3, 8, 8)\n"
MODEL = "model = nn.Conv2d(3, 4, 3)\n"


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="net.py"):
        path = tmp_path / name
        path.write_text(HEADER + text)
        return str(path)

    return write_file


def failure(path, batch=None):
    with pytest.raises(NetworkFileError) as caught:
        load_network_file(path, batch)
    assert caught.value.exit_code == 2
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        "network = nn.Conv2d(3, 4, 3)\n",
        "class Net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 4, 3)\nmodel = Net\n",
        "def build_model(): return nn.Conv2d(3, 4, 3)\n",
        "def build_model(channels=4): return nn.Conv2d(3, channels, 3)\n",
        "model = lambda: nn.Conv2d(3, 4, 3)\n",
        "import functools\nmodel = functools.partial(nn.Conv2d, 3, 4, 3)\n",
        "network = model = nn.Conv2d(3, 4, 3)\n",
    ],
)
def test_all_ways_to_define_a_module(write, text):
    loaded = load_network_file(write(text + SHAPE, "tiny.py"))
    assert isinstance(loaded.module, nn.Conv2d)
    assert not loaded.module.training
    assert loaded.name == "tiny"
    assert [tuple(x.shape) for x in loaded.example_inputs] == [(1, 3, 8, 8)]


def test_another_name_may_be_given(write):
    path = write("net = nn.Conv2d(3, 4, 3)\n" + MODEL + SHAPE)
    assert load_network_file(f"{path}:net").name == "net"


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("example_inputs = torch.ones(2, 3, 8, 8)\n", [(2, 3, 8, 8)]),
        ("example_inputs = (torch.ones(2, 3, 8, 8),)\n", [(2, 3, 8, 8)]),
        ("example_inputs = [torch.ones(2, 3, 8, 8)]\n" + SHAPE, [(2, 3, 8, 8)]),
        ("input_shape = [2, 3, 8, 8]\n", [(2, 3, 8, 8)]),
        ("input_shape = ((2, 3, 8, 8),)\n", [(2, 3, 8, 8)]),
    ],
)
def test_all_ways_to_give_inputs(write, text, shapes):
    loaded = load_network_file(write(MODEL + text))
    assert [tuple(x.shape) for x in loaded.example_inputs] == shapes


def test_several_inputs(write):
    text = """
class Sum(nn.Module):
    def forward(self, x, y):
        return x + y
model = Sum
input_shape = ((1, 3, 8, 8), (1, 3, 1, 1))
"""
    loaded = load_network_file(write(text), batch=3)
    assert [tuple(x.shape) for x in loaded.example_inputs] == [(3, 3, 8, 8), (3, 3, 1, 1)]


def test_the_batch_repeats_or_cuts_the_examples(write):
    path = write(MODEL + "example_inputs = torch.arange(2.).view(2, 1, 1, 1).expand(2, 3, 8, 8)\n")
    for batch, values in ((1, [0]), (5, [0, 1, 0, 1, 0])):
        (tensor,) = load_network_file(path, batch).example_inputs
        assert tensor[:, 0, 0, 0].tolist() == values


def test_images_are_cut_and_nothing_else(write):
    loaded = load_network_file(
        write(
            """
import torch
from torch import nn
class Net(nn.Module):
    def forward(self, x, y):
        return x + 1, y + 1
model = Net()
input_shape = ((1, 3, 8, 12), (1, 20))
"""
        )
    )
    smaller = with_smaller_images(loaded, 10)
    for tensors in (smaller.example_inputs, smaller.calibration_inputs):
        assert [tuple(tensor.shape) for tensor in tensors] == [(1, 3, 8, 10), (1, 20)]
    assert torch.equal(smaller.example_inputs[0], loaded.example_inputs[0][..., :10])


def test_results_are_compared_on_the_examples_inputs(write):
    loaded = load_network_file(write(MODEL + SHAPE))
    assert torch.equal(loaded.calibration_inputs[0], loaded.example_inputs[0])


@pytest.mark.parametrize(("batch", "values"), [(None, [0, 1]), (1, [0]), (4, [0, 1, 2, 0])])
def test_real_inputs_are_as_many_as_the_network_takes(write, batch, values):
    text = "def calibration_inputs(): return torch.arange(3.).view(3, 1, 1, 1).expand(3, 3, 8, 8)\n"
    loaded = load_network_file(write(MODEL + "input_shape = (2, 3, 8, 8)\n" + text), batch)
    (tensor,) = loaded.calibration_inputs
    assert tensor[:, 0, 0, 0].tolist() == values


def test_weights_and_inputs_are_the_same_every_time(write):
    path = write(MODEL + SHAPE)
    before = torch.get_rng_state()
    first, second = load_network_file(path), load_network_file(path)
    assert torch.equal(first.module.weight, second.module.weight)
    assert torch.equal(first.example_inputs[0], second.example_inputs[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_file_may_import_its_neighbours(write):
    write("def make(): return nn.Conv2d(3, 4, 3)\n", "autosched_test_neighbour.py")
    before = list(sys.path)
    load_network_file(write("from autosched_test_neighbour import make as model\n" + SHAPE))
    assert sys.path == before
    del sys.modules["autosched_test_neighbour"]


def test_files_that_are_no_network_file(tmp_path, write):
    assert "is a directory" in failure(str(tmp_path))
    assert "does not exist" in failure(str(tmp_path / "net.py"))
    assert "does not exist" in failure(str(tmp_path / "net.py:model"))
    assert "is neither a Python file (.py) nor an exported program" in failure(
        write(MODEL, "net.onnx")
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x = 1 / 0\n", ["net.py raises when it is run, at net.py:3", "ZeroDivisionError"]),
        ("import no_such_package\n", ["net.py:3", "ModuleNotFoundError", "no_such_package"]),
        ("raise SystemExit(3)\n", ["net.py:3", "SystemExit: 3"]),
        ("raise BaseException('all')\n", ["net.py:3", "BaseException: all"]),
        ("raise GeneratorExit\n", ["net.py:3", "GeneratorExit"]),
        ("import os\nos._exit(3)\n", ["net.py:4", "os._exit(3) would end autosched"]),
        ("import os\nos.abort()\n", ["net.py:4", "os.abort() would end autosched"]),
        (
            "import os\nclass Net(nn.Module):\n    def forward(self, x):\n        os._exit(3)\n"
            f"model = Net()\n{SHAPE}",
            ["net.py:6", "os._exit(3)"],
        ),
        ("x = torch.ones(2) @ torch.ones(3)\n", ["net.py:3", "RuntimeError"]),
        ("nn.Conv2d(3, 4, 3, padding='odd')\n", ["net.py:3", "ValueError"]),
        ("x = (\n", ["net.py:3", "SyntaxError"]),
        (
            "def build_model():\n    raise KeyError('x')\n",
            ["`build_model()` is called, at net.py:4"],
        ),
        (
            "class Net(nn.Module):\n    def __init__(self): self.x = nn.ReLU()\nmodel = Net\n",
            ["net.py:4"],
        ),
    ],
)
def test_files_that_raise(write, text, parts):
    message = failure(write(text + SHAPE))
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "defines no torch.nn.Module under the names model, network, build_model."),
        ("class Net(nn.ReLU): pass\nmy = Net()\n", "(it does define net.py:Net, net.py:my)"),
        (
            MODEL + "network = nn.ReLU()\n",
            "several candidates: model, network. Say which one, as net.py:",
        ),
        (MODEL + "def build_model(): return nn.ReLU()\n", "several candidates: model, build_model"),
        ("model = 3\n", "`model` is of type int"),
        ("model = dict\n", "`model` is of type type"),
        ("model = lambda: 3\n", "`model()` returns int"),
        ("model = nn.Conv2d\n", "needs arguments (in_channels, out_channels, kernel_size)"),
    ],
)
def test_files_without_a_usable_module(write, text, part):
    assert part in failure(write(text + SHAPE))


def test_a_given_name_that_is_not_there(write):
    message = failure(write(MODEL + SHAPE) + ":nothing")
    assert message == "net.py has no attribute 'nothing' (it does define net.py:model)."


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "neither `example_inputs` nor `input_shape`; add, for example"),
        ("input_shape = 3\n", "`input_shape` is 3"),
        ("input_shape = ()\n", "`input_shape` is ()"),
        ("input_shape = (1, 3, 0, 8)\n", "whole numbers >= 1"),
        ("input_shape = (1, 3, 8.0, 8)\n", "whole numbers >= 1"),
        ("input_shape = (True, 3, 8, 8)\n", "whole numbers >= 1"),
        ("input_shape = ((1, 3, 8, 8), 3)\n", "whole numbers >= 1"),
        ("example_inputs = 3\n", "`example_inputs` must be a tensor"),
        ("example_inputs = ()\n", "`example_inputs` must be a tensor"),
        ("example_inputs = (3,)\n", "`example_inputs` must be a tensor"),
        ("example_inputs = torch.tensor(3.)\n", "with a batch dimension"),
        ("example_inputs = torch.ones(0, 3, 8, 8)\n", "at least one element"),
        ("example_inputs = torch.ones(1, 3, 8, 8).int()\n", "example input 0 is torch.int32"),
        ("example_inputs = torch.ones(1, 3, 8, 8).half()\n", "example input 0 is torch.float16"),
        ("example_inputs = torch.ones(1, 3, 8, 8) * 1j\n", "example input 0 is torch.complex64"),
        ("example_inputs = torch.ones(1, 3, 8, 8, device='meta')\n", "on device 'meta'"),
        (SHAPE + "def calibration_inputs(): return 3\n", "`calibration_inputs()` must be a tensor"),
        (
            SHAPE + "def calibration_inputs(): return torch.ones(1, 3, 9, 9)\n",
            "returns shapes [(3, 9",
        ),
        (SHAPE + "def calibration_inputs(): raise OSError('gone')\n", "OSError: gone"),
        ("input_shape = (1, 5, 8, 8)\n", "rejects inputs of shape (1, 5, 8, 8), at "),
        ("input_shape = ((1, 3, 8, 8), (1, 3, 8, 8))\n", "rejects inputs of shape"),
    ],
)
def test_unusable_inputs(write, text, part):
    path = write(MODEL + text)
    assert part in failure(path)
    if "meta" in text:
        assert part in failure(path, batch=2)


@pytest.mark.parametrize("change", ["half()", "to(torch.complex64)", "to('meta')"])
def test_models_of_another_format_or_device(write, change):
    assert "parameter weight is" in failure(write(f"{MODEL}model = model.{change}\n{SHAPE}"))


def test_a_rejected_shape_names_the_line_of_the_model(write):
    text = """
class Net(nn.Module):
    def forward(self, x):
        return x.view(1, 192)
model = Net()
"""
    path = write(text + SHAPE)
    load_network_file(path)
    message = failure(path, batch=2)
    assert "rejects inputs of shape (2, 3, 8, 8), at net.py:6: RuntimeError" in message


@pytest.mark.parametrize("batch", [0, -1, 1.5, True, "4"])
def test_impossible_batches(write, batch):
    assert f"must be an integer >= 1, not {batch!r}" in failure(write(MODEL + SHAPE), batch)


def test_the_room_itself_is_light():
    code = (
        "import sys, autosched.network, autosched.network.graph; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("batch", [10**12, 10**400])
def test_a_batch_that_no_board_has_room_for_is_refused(write, batch):
    message = failure(write(MODEL + SHAPE), batch)
    assert "more than 1,073,741,824 elements" in message
    assert "--batch" in message


@pytest.mark.parametrize("name", ["n" * 300 + ".py", "n" * 300 + ".py:net", "d" * 300 + "/net.py"])
def test_a_name_that_is_too_long_for_a_file_is_refused(name):
    assert "File name too long" in failure(name)


def test_an_interruption_that_the_file_raises_is_its_own(write):
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        assert "net.py:3" in failure(write("raise KeyboardInterrupt\n"))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("(1, 3, 10**30, 8)", "(1, 3, 10^15 or more, 8) has more than 1,073,741,824 elements"),
        ("(1, 3, 10**5000, 8)", "more than 1,073,741,824 elements"),
        ("(-(10**5000), 3)", "`input_shape` is a tuple"),
    ],
)
def test_a_shape_that_no_board_has_room_for_is_refused(write, shape, words):
    assert words in failure(write(f"{MODEL}input_shape = {shape}\n"))


class Shifted(nn.Module):
    def forward(self, x):
        return torch.relu(x + 1)


def exported():
    return torch.export.export(Shifted().eval(), (torch.randn(2, 3, 4, 4),))


def test_what_torch_export_wrote_is_a_network_file(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(exported(), path)
    loaded = load_network_file(str(path))
    assert loaded.name == "net"
    assert loaded.example_inputs[0].shape == (2, 3, 4, 4)
    network = capture(loaded.module, loaded.example_inputs)
    assert len(network.layers) > 2
    assert "net.pt2" in failure(str(path), batch=4)


def test_a_file_that_is_no_exported_program_is_refused(write, caplog):
    message = failure(write(MODEL, "net.pt2"))
    assert "cannot be read by torch.export.load" in message
    assert "torch.export.save" in message
    assert not caplog.records, "PyTorch logs a traceback"


@pytest.mark.parametrize("made", ["exported", "exported.module()"])
def test_a_model_may_be_an_exported_program(write, made):
    text = f"""
import torch
from tests.network.capture.test_network_file import exported as export
exported = export()
model = {made}
input_shape = (2, 3, 4, 4)
"""
    loaded = load_network_file(write(text))
    assert len(capture(loaded.module, loaded.example_inputs).layers) > 2


def test_the_order_of_images_on_the_device_may_be_asked_for(write):
    text = MODEL + SHAPE + 'output_layout = "nhwc"\n'
    assert load_network_file(write(text)).ends == Ends("nchw", "nhwc")
    assert load_network_file(write(MODEL + SHAPE)).ends == Ends()


@pytest.mark.parametrize("value", ['"hwc"', "3", "None"])
def test_another_order_is_refused_with_those_there_are(write, value):
    told = failure(write(MODEL + SHAPE + f"input_layout = {value}\n"))
    assert "`input_layout` is" in told
    assert "one of nchw, nhwc, device" in told
