import json
import os

import pytest

from autosched.report.output import opened_output


def test_only_the_object_reaches_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with opened_output(as_json=True) as output:
        print("a network file prints")  # noqa: T201
        os.write(1, b"a native library prints\n")
        output.console.print("words")
        output.result({"a": 1})
    out, err = capfd.readouterr()
    assert json.loads(out) == {"a": 1}
    assert "words" in err


def test_without_json_words_go_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with opened_output(as_json=False) as output:
        output.console.print("words")
        output.result({"a": 1})
    out, err = capfd.readouterr()
    assert out == "words\n"
    assert err == ""
