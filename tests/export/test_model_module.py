"""The text of a program, made of lines noted by hand; what it runs is tested with its recorder."""

import ast

from autosched.export.model_module import NotedStep, RecordedModel, render_model
from tests.examples.schedules import small_schedule

RECORDED = RecordedModel(
    input_shapes=((1, 3, 8, 8),),
    upload=(
        "t1 = images[0].to(torch.bfloat16)",
        "t2 = ttnn.from_torch(t1, device=device, memory_config=ttnn.DRAM_MEMORY_CONFIG)",
    ),
    uploaded=("t2",),
    first=(
        't3 = ttnn.from_torch(weights["fc.weight"], device=device)',
        "t4 = ttnn.linear(inputs[0], t3)",
    ),
    steps=(
        NotedStep("fc", "layer", ("t5 = ttnn.linear(inputs[0], t3)",), "t5"),
        NotedStep("pool", "layer", ("t6 = ttnn.max_pool2d(input_tensor=t5)",), "t6"),
        NotedStep("pool", "move", ("t7 = ttnn.move(t6)",)),
        NotedStep("add", "layer", ("t8 = ttnn.add(t5, t7)",), "t8"),
    ),
    returned=("t8",),
    read=("t9 = ttnn.to_torch(outputs[0])", "t10 = t9.float()"),
    seen=("t10",),
)  # fmt: skip


def test_the_program_is_python_and_says_each_call_once() -> None:
    source = render_model(RECORDED, small_schedule().provenance, "tiny.pt")
    tree = ast.parse(source)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions[:2] == ["build", "on_host"]
    assert {"upload", "read", "run", "main"} < set(functions)
    assert source.count("ttnn.linear(") == 1
    body = source[source.index("# fc") : source.index("    return model")]
    assert body.split("\n")[:8] == [
        "# fc",
        "        fc = ttnn.linear(inputs[0], fc_weight)",
        "        # pool",
        "        x = ttnn.max_pool2d(input_tensor=fc)",
        "        # pool, while it waits",
        "        x = ttnn.move(x)",
        "        # add",
        "        add = ttnn.add(fc, x)",
    ]
    assert "return [add]" in body
    assert 'fc_weight = ttnn.from_torch(weights["fc.weight"], device=device)' in source
    assert 'WEIGHTS = Path(__file__).with_name("tiny.pt")' in source


def test_what_its_lines_take_of_the_weights() -> None:
    assert RECORDED.parameters() == {"fc.weight"}
