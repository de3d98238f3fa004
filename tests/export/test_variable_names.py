from autosched.export.variable_names import Made, identifiers, named


def test_layers_get_names_that_python_takes() -> None:
    found = identifiers(["layer1.0.conv1", "0", "x", "for", "t4", "HIFI2", "a.b", "a_b", "a.b"])
    assert found == {
        "layer1.0.conv1": "layer1_0_conv1",
        "0": "layer_0",
        "x": "x_layer",
        "for": "for_layer",
        "t4": "t4_layer",
        "HIFI2": "HIFI2_layer",
        "a.b": "a_b",
        "a_b": "a_b_",
    }


def test_what_the_next_layer_alone_takes_is_x_and_what_waits_bears_its_name() -> None:
    statements = [
        Made("t1", frozenset(), 0, "stem"),
        Made("t2", frozenset({"t1"}), 1, "pool"),
        Made("t3", frozenset({"t2"}), 2, "conv1"),
        Made("t4", frozenset({"t3"}), 3, "conv2"),
        Made("t5", frozenset({"t4", "t2"}), 4, "add"),
    ]
    names, returned = named(
        statements, ["t5"], {name: name for name in ("stem", "pool", "conv1", "conv2", "add")}
    )
    assert [item.value for item in names] == ["x", "pool", "x", "x", "add"]
    assert [item.given_up for item in names] == [(), ("x",), (), (), ("pool", "x")]
    assert dict(names[-1].arguments) == {"t4": "x", "t2": "pool"}
    assert returned == ["add"]


def test_copies_for_one_layer_have_short_names_of_their_own() -> None:
    statements = [
        Made("t1", frozenset(), 0, "a"),
        Made("t2", frozenset({"t1"}), 1),
        Made("t3", frozenset({"t1"}), 1),
        Made("t4", frozenset({"t2", "t3"}), 1, "b"),
    ]
    names, returned = named(statements, ["t4"], {"a": "a", "b": "b"})
    assert [item.value for item in names] == ["x", "y", "x", "b"]
    assert [item.given_up for item in names] == [(), (), (), ("x", "y")]
    assert returned == ["b"]


def test_what_nobody_takes_is_given_up_at_once() -> None:
    names, _ = named([Made("t1", frozenset(), 0, "a"), Made("t2", frozenset(), 1)], [], {"a": "a"})
    assert [item.given_up for item in names] == [("x",), ("x",)]
