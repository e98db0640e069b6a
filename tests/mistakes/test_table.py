"""`pointsman lint` alone says what is wrong, with the line; docs/mistakes.md is what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pointsman.cli.command import app
from tests.api.conftest import runtime
from tests.mistakes.table import DOCUMENT, LATER, MISTAKES, Mistake, page

ALONE = [one for one in MISTAKES if one.alone]
API = Path(__file__).parents[1] / "api"


def test_there_are_enough_of_them() -> None:
    assert len(MISTAKES) + len(LATER) >= 25


def test_the_document_is_what_the_table_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run `make generate`"


@pytest.mark.parametrize("late", LATER, ids=lambda late: late.title)
def test_what_shows_later_is_tried(late: object) -> None:
    file, _, name = late.test.partition(": ")  # type: ignore[attr-defined]
    folder = API if (API / file).exists() else Path(__file__).parent
    assert f"def {name}(" in (folder / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("mistake", ALONE, ids=lambda mistake: mistake.title)
def test_lint_says_it_with_the_line(tmp_path: Path, mistake: Mistake) -> None:
    file, server = tmp_path / "churn.yaml", tmp_path / "server.yaml"
    file.write_text(mistake.manifest("churn", runtime="server", namespace="ml"), encoding="utf-8")
    server.write_text(yaml.safe_dump(runtime("server")), encoding="utf-8")
    result = CliRunner().invoke(app, ["lint", str(file), str(server)])
    assert result.exit_code == 1
    (said,) = result.stdout.splitlines()
    assert said.startswith(f"{file}:{mistake.line()}: {mistake.kind} ")
    assert said.endswith(f": {mistake.told('churn', runtime='server', namespace='ml')}")
