from __future__ import annotations

import os
import re

import pytest
from typer.testing import CliRunner

from pointsman.cli.command import app
from pointsman.controller import process
from pointsman.controller.settings import Settings
from tests.cli.configuration import DOCUMENT, table, written

ROW = re.compile(r"^\| `--([a-z-]+)` \| `(\w+)` \|", re.MULTILINE)


def test_the_document_has_every_option() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == written(text), "run `make generate`"


def test_every_option_is_an_environment_variable_of_the_same_name() -> None:
    rows = ROW.findall(table())
    assert len(rows) > 10
    for flag, variable in rows:
        assert variable == "POINTSMAN_" + flag.upper().replace("-", "_")


SAID: dict[str, tuple[list[str], dict[str, str]]] = {
    "by flags": (["--workers", "3", "--namespaces", "a, b", "--prometheus-url", "http://p:9090"], {}),
    "by environment": (
        [],
        {"POINTSMAN_WORKERS": "3", "POINTSMAN_NAMESPACES": "a,b", "POINTSMAN_PROMETHEUS_URL": "http://p:9090"},
    ),
    "by both: the flag wins": (
        ["--workers", "3", "--namespaces", "a,b"],
        {"POINTSMAN_WORKERS": "9", "POINTSMAN_PROMETHEUS_URL": "http://p:9090"},
    ),
}


@pytest.mark.parametrize(("flags", "environment"), SAID.values(), ids=SAID)
def test_what_the_operator_is_told(
    flags: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("POINTSMAN_")]:
        monkeypatch.delenv(name)
    told: list[Settings] = []
    monkeypatch.setattr(process, "main", lambda settings, _decision: told.append(settings) or 0)
    assert CliRunner().invoke(app, ["operator", *flags], env=environment).exit_code == 0
    (settings,) = told
    assert (settings.workers, settings.namespaces, settings.prometheus_url) == (3, ("a", "b"), "http://p:9090")
