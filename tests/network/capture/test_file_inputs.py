from pathlib import Path

import pytest
import torch

from autosched.errors import NetworkFileError
from autosched.network.capture.network_file import LoadedFile, load_network_file

HEADER = "import torch\nfrom torch import nn\nmodel = nn.Conv2d(3, 4, 3)\n"
SHAPE = "input_shape = (2, 3, 8, 8)\n"


def loaded(directory: Path, text: str, batch: int | None = None) -> LoadedFile:
    path = directory / "net.py"
    path.write_text(HEADER + SHAPE + text)
    return load_network_file(str(path), batch)


def failure(directory: Path, text: str) -> str:
    with pytest.raises(NetworkFileError) as caught:
        loaded(directory, text)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("batch", "sizes"), [(None, [2, 2]), (1, [1] * 6), (4, []), (7, [])])
def test_more_images_than_a_batch_are_held_out(
    tmp_path: Path, batch: int | None, sizes: list[int]
) -> None:
    text = "def calibration_inputs(): return torch.arange(7.).view(7, 1, 1, 1).expand(7, 3, 8, 8)\n"
    found = loaded(tmp_path, text, batch)
    assert [len(images) for (images,) in found.held_out] == sizes
    first = len(found.calibration_inputs[0])
    numbers = [float(value) for (images,) in found.held_out for value in images[:, 0, 0, 0]]
    assert numbers == [float(first + place) for place in range(len(numbers))]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("torch.zeros(1, 3, 9, 8)", "takes [(3, 8, 8)]"),
        ("torch.zeros(1, 3, 8, 8, dtype=torch.int64)", "tensors of int64; the network takes float"),
        ("torch.zeros(1, 3, 8, 8) / 0", "not finite"),
        ("[1, 2]", "must be a tensor or a tuple of tensors"),
        ("1 / 0", "net.py raises when `calibration_inputs()` is called, at net.py:5: ZeroDivision"),
    ],
)
def test_unusable_calibration_inputs_are_named(tmp_path: Path, returned: str, words: str) -> None:
    text = f"def calibration_inputs(): return {returned}\n"
    assert words in failure(tmp_path, text)


def test_a_figure_of_one_s_own_with_its_floor(tmp_path: Path) -> None:
    text = "def metric(outputs, reference): return (outputs == reference).float().mean()\n"
    found = loaded(tmp_path, f"{text}metric_floor = 1\n")
    assert found.metric is not None
    assert found.metric(torch.ones(2), torch.tensor([1.0, 0.0])) == 0.5
    assert found.metric_floor == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metric = 3", "`metric` is of type int"),
        ("metric_floor = 0.9", "but no `metric(outputs, reference)`"),
        ("def metric(o, r): return 1.0\nmetric_floor = 'high'", "`metric_floor` is 'high'"),
        ("def metric(o, r): return 1.0\nmetric_floor = float('nan')", "`metric_floor` is nan"),
    ],
)
def test_a_figure_that_is_none_is_named(tmp_path: Path, text: str, words: str) -> None:
    assert words in failure(tmp_path, f"{text}\n")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return float('nan')", "net.py: `metric(outputs, reference)` returns NaN"),
        ("raise ValueError('no')", "is called, at net.py:5: ValueError: no"),
        ("return outputs", "net.py raises when `metric(outputs, reference)` is called"),
    ],
)
def test_a_figure_that_fails_is_named(tmp_path: Path, body: str, words: str) -> None:
    found = loaded(tmp_path, f"def metric(outputs, reference): {body}\n")
    assert found.metric is not None
    with pytest.raises(NetworkFileError) as caught:
        found.metric(torch.ones(2), torch.ones(2))
    assert words in str(caught.value)
