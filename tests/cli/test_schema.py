from pathlib import Path

from tests.cli.conftest import Invoke


def test_fields_are_shown_and_the_schema_is_json(invoke: Invoke) -> None:
    done = invoke("schema", "db", "purge")
    assert done.code == 0
    assert "stale_probes      integer  Probes of another revision." in done.out
    assert invoke("schema", "version", "--json").json["required"] == ["autosched", "ttnn"]
    assert "run " in invoke("schema").out
    assert {"run", "error"} <= set(invoke("schema", "--json").json)


def test_a_name_that_is_no_command(invoke: Invoke) -> None:
    done = invoke("schema", "runs")
    assert done.code == 2
    assert "'runs' is no command; there are bench, boards" in done.err


def test_a_page_is_written(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("schema", "--page", "json.md").code == 0
    assert "\n## db purge\n" in (tmp_path / "json.md").read_text()
    assert invoke("schema", "--page", "none/json.md", "--json").json["exit_code"] == 2
