"""Every command in the documentation is run, as far as it can be; what is not run stands in not_run.py with its reason."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from pointsman.cli.command import app
from tests.chart.conftest import PROMETHEUS, Helm, helm
from tests.docs.blocks import PROGRAMS, ROOT, Block, Command, commands, commands_of
from tests.docs.not_run import NOT_RUN, reason

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

__all__ = ["helm"]

COMMANDS = commands()
LOCAL = ("simulate", "replay", "lint")
"""Subcommands of ours that need files only."""
QUICK = {"simulate": ("--runs", "20", "--jobs", "1")}
CHANGING = ("annotate", "apply", "delete", "label", "create", "scale", "patch", "edit")
"""Verbs of kubectl that are asked with `--dry-run=server`."""
PLACEHOLDER = re.compile(r"[A-Z][A-Z_.]{2,}|<.*>|\[.*|.*\.{3}")


def of(*programs: str) -> list[Any]:
    chosen = [it for it in COMMANDS if program(it) in programs and reason(it.line) is None]
    return [pytest.param(it, id=f"{it.place} {it.line}") for it in chosen]


def program(command: Command) -> str:
    """What is run; `kubectl pointsman` is `pointsman`."""
    words = [word for word in command.words if not re.fullmatch(r"[A-Z_]+=.*", word)]
    return "pointsman" if words[:2] == ["kubectl", "pointsman"] else words[0]


def arguments(command: Command) -> list[str]:
    """What stands behind the program, up to a pipe or a redirection."""
    words = command.words
    start = words.index("pointsman") + 1 if program(command) == "pointsman" else words.index(program(command)) + 1
    end = next((it for it, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
    return words[start:end]


def test_commands_are_found() -> None:
    text = "make demo    # all of it\nKEEP=1 make demo\npointsman replay \\\n  a b\nnot a command\n"
    assert [it.line for it in commands_of(Block("", text, ""))] == [
        "make demo",
        "KEEP=1 make demo",
        "pointsman replay a b",
    ]
    prompted = "$ kubectl get mdep\nkubectl prints this\n"
    assert [it.line for it in commands_of(Block("", prompted, ""))] == ["kubectl get mdep"]


def test_each_is_run_or_says_why_not() -> None:
    run = ("pointsman", "make", "helm", "kubectl", "python")
    unknown = [f"{it.place}: {it.line}" for it in COMMANDS if reason(it.line) is None and program(it) not in run]
    assert not unknown, "run them here or name them in not_run.py"


def test_no_reason_is_left_over() -> None:
    """Patterns of programs that the documentation does not mention yet are fine; of those that it does each one is needed."""
    lines = [it.line for it in COMMANDS]
    mentioned = {program(it) for it in COMMANDS}
    for pattern, _ in NOT_RUN:
        named = [name for name in PROGRAMS if re.match(rf"\(?{name}\b", pattern)]
        assert not set(named) & mentioned - {"kubectl"} or any(re.fullmatch(pattern, line) for line in lines), pattern


def subcommand(words: list[str]) -> tuple[Any, list[str]]:
    """The command of ours that the words name, and its arguments."""
    found: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(found, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in found.commands, f"there is no `pointsman {name}`; there are: {', '.join(found.commands)}"
        found = found.commands[name]
    return found, rest


@pytest.mark.parametrize("command", of("pointsman"))
def test_ours_are_there_with_these_options(command: Command) -> None:
    found, rest = subcommand(arguments(command))
    known = {name for option in found.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    given = {word.strip("[]").split("=", 1)[0] for word in rest if re.match(r"\[?--?[a-z]", word)}
    assert given <= known, f"{command.place}: no such option; there are: {', '.join(sorted(known))}"


@pytest.mark.parametrize("command", of("pointsman"))
def test_ours_run_where_files_are_enough(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    words = arguments(command)
    if not words or words[0] not in LOCAL or any(PLACEHOLDER.fullmatch(word) for word in words):
        return
    monkeypatch.chdir(ROOT)
    answer = CliRunner().invoke(app, [*words, *QUICK.get(words[0], ())])
    assert answer.exit_code == 0, f"{command.place}: {answer.output}"


@pytest.mark.parametrize("command", of("make"))
def test_make_knows_the_target(command: Command) -> None:
    done = subprocess.run(  # noqa: S603 - prints what the make of the machine would do
        ["make", "--dry-run", *arguments(command)],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, f"{command.place}: {done.stderr}"


@pytest.mark.parametrize("command", of("helm"))
def test_helm_renders_it(helm: Helm, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    verb, *words = arguments(command)
    if verb not in ("install", "upgrade", "template") or any(word.endswith(".yaml") for word in words):
        return  # others ask a cluster about a release; values in files are the reader's
    dropped = ("--create-namespace", "--install", "--wait", "--reuse-values", "--reset-then-reuse-values", "--atomic")
    done = helm("template", *(word for word in words if word not in dropped), "--set", PROMETHEUS)
    assert not done.returncode, f"{command.place}: {done.stderr}"


@pytest.fixture(scope="module")
def model(crds: Cluster) -> Iterator[str]:
    """A namespace with the model that the documentation speaks of, in the middle of a rollout nobody carries out."""
    namespace = "docs-of-pointsman"
    crds.kubectl("delete", "namespace", namespace, "--ignore-not-found")
    crds.kubectl("create", "namespace", namespace)
    made = {"apiVersion": "pointsman.dev/v1alpha1", "metadata": {"namespace": namespace}}
    source = {"version": "7", "storageUri": "pvc://models/churn/7"}
    template = {"spec": {"containers": [{"name": "model", "image": "x"}]}}
    spec = {"deployment": "churn", "model": source, "template": template, "port": 8080}
    deployment = {**made, "kind": "ModelDeployment", "spec": {"model": source, "runtime": "mlserver"}}
    revision = {**made, "kind": "ModelRevision", "spec": spec}
    for obj, name in ((deployment, "churn"), (revision, "churn-81d0aa37")):
        named = {**obj, "metadata": {**made["metadata"], "name": name}}  # type: ignore[dict-item]
        crds.kubectl("create", "-f", "-", stdin=json.dumps(named))
    yield namespace
    crds.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.bare
@pytest.mark.parametrize("command", of("kubectl"))
def test_kubectl_is_understood(crds: Cluster, model: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = arguments(command)
    if any(PLACEHOLDER.fullmatch(word) for word in words) or "-" in words:
        return  # a pattern of a command, or one that reads what another one prints
    namespaced = [word for word in words if word not in ("-w", "--watch")]
    for flag in ("-n", "--namespace"):
        if flag in namespaced:
            del namespaced[namespaced.index(flag) : namespaced.index(flag) + 2]
    dry = ["--dry-run=server"] if words[0] in CHANGING else []
    crds.kubectl(*namespaced, *dry, "--namespace", model)
