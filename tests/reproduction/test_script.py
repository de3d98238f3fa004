from pathlib import Path

from autosched.reproduction.script import Finding, NotedCalls, is_script, laid_out, render_script

FINDING = Finding('Concat: "DRAM" \\', "ttnn 0.81.1, wormhole_b0 (n150)", 'abort: """ and \\x')
CALLS = NotedCalls(["t1 = torch.ones(2)"], "t1", ["t2 = t1.neg()"], "t2", (1000.0, -7.0), 32768)


def test_a_script_is_python_whatever_the_device_said(tmp_path: Path) -> None:
    source = render_script(FINDING, CALLS)
    compile(source, "script.py", "exec")
    assert "Seen: abort" in source
    assert "for garbage in (1000.0, -7.0)" in source
    path = tmp_path / "script.py"
    path.write_text(source)
    assert is_script(path)
    path.write_text("print()")
    assert not is_script(path)


def test_long_calls_are_laid_out() -> None:
    arguments = ", ".join(f"argument{number}=ttnn.some_function({number})" for number in range(5))
    line = f"t1 = ttnn.call(t0, {arguments})"
    text = laid_out(line)
    assert max(map(len, text.splitlines())) < 96
    assert compile(text, "", "exec").co_code == compile(line, "", "exec").co_code
    assert laid_out("t1 = f(2)") == "t1 = f(2)"
