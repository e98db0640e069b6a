"""The command itself: how it is called, how it completes, and that asking for help loads nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "aiohttp",
    "kopf",
    "kubernetes",
    "matplotlib",
    "numpy",
    "prometheus_api_client",
    "pydantic",
    "requests",
    "structlog",
    "yaml",
)


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own program
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "COLUMNS": "120", **environment},
    )


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, pointsman.cli; print([name for name in {HEAVY} if name in sys.modules])"
    assert python("-c", code).stdout == "[]\n"


def test_kubectl_finds_it_and_is_named_in_its_usage() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"]["kubectl-pointsman"] == "pointsman.cli:plugin"
    usage = python(
        "-c",
        "import sys; sys.argv = ['kubectl-pointsman', 'status', '--help']; from pointsman.cli import plugin; plugin()",
    )
    assert "Usage: kubectl pointsman status [OPTIONS]" in usage.stdout, usage


def test_lines_to_copy_name_the_program_that_was_called() -> None:
    code = "import sys; sys.argv = ['/usr/bin/kubectl-pointsman']; from pointsman.cli.steering import _program; print(_program())"
    assert python("-c", code).stdout == "kubectl pointsman\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("pointsman pro", "promote"), ("pointsman status --wa", "--watch"), ("pointsman get -o ", "yaml")],
)
def test_the_shell_completes(typed: str, offered: str) -> None:
    words = typed.split(" ")
    said = python(
        "-c",
        "import sys; sys.argv = ['pointsman']; from pointsman.cli import main; main()",
        _POINTSMAN_COMPLETE="complete_bash",
        COMP_WORDS=typed,
        COMP_CWORD=str(len(words) - 1),
    )
    assert offered in said.stdout.split(), said


@pytest.mark.parametrize(("words", "offered"), [(["pro"], ["promote", ":4"]), (["get", "-o", "y"], ["yaml", ":4"])])
def test_kubectl_completes(words: list[str], offered: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"]["kubectl_complete-pointsman"] == "pointsman.cli:plugin_completion"
    code = f"import sys; sys.argv = ['', *{words}]; from pointsman.cli import plugin_completion; plugin_completion()"
    assert python("-c", code).stdout.split() == offered
