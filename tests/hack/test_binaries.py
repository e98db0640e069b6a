"""Pinned builds: the same pins give the same folder, other pins another one, and nothing is built twice."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import binaries
from hack.cluster.problem import SetupError

GO_MOD = """\
module pointsman.dev/hack/example

go 1.26.0

require (
\texample.com/direct v1.2.3
\texample.com/direct/nested v0.9.0 // indirect
)
"""
PAUSE = next(tool for tool in binaries.ALL_TOOLS if tool.name == "pause")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> binaries.Tool:
    """A tool of one program, that needs no module but its own."""
    monkeypatch.setattr(binaries, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tools" / "example").mkdir(parents=True)
    (tmp_path / "tools" / "example" / "go.mod").write_text(GO_MOD)
    return binaries.Tool("example", {"example": "."})


@pytest.mark.parametrize("change", ["a pin", "a sum", "a flag", "a package"])
def test_whatever_changes_what_is_built_changes_the_key(tool: binaries.Tool, change: str) -> None:
    before = tool.key
    assert tool.key == before
    match change:
        case "a pin":
            (tool.folder / "go.mod").write_text(GO_MOD.replace("v1.2.3", "v1.2.4"))
        case "a sum":
            (tool.folder / "go.sum").write_text("example.com/direct v1.2.3 h1:other=\n")
        case "a flag":
            tool = replace(tool, tags="other")
        case "a package":
            tool = replace(tool, packages={"example": "./other"})
    assert tool.key != before


@pytest.mark.parametrize(
    ("module", "version"), [("example.com/direct", "v1.2.3"), ("example.com/direct/nested", "v0.9.0")]
)
def test_a_pin_is_read_from_go_mod(tool: binaries.Tool, module: str, version: str) -> None:
    assert tool.pin(module) == version


def test_a_pin_that_is_not_there_is_an_error(tool: binaries.Tool) -> None:
    with pytest.raises(LookupError, match=r"does not require example\.com"):
        tool.pin("example.com")


@pytest.mark.parametrize("tool", [*binaries.ALL_TOOLS, *binaries.TEST_TOOLS], ids=lambda tool: tool.name)
def test_every_tool_is_pinned_and_summed(tool: binaries.Tool) -> None:
    required = re.findall(r"^\s*(?:require )?(\S+\.\S+/\S+) v", (tool.folder / "go.mod").read_text(), re.MULTILINE)
    assert (tool.folder / "go.sum").exists() is bool(required)


def test_kubernetes_is_told_its_version() -> None:
    kubernetes = next(tool for tool in binaries.BARE_TOOLS if tool.name == "kubernetes")
    version = kubernetes.pin("k8s.io/kubernetes")
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in kubernetes.flags[1]
    assert re.search(r"-X k8s\.io/client-go/pkg/version\.gitMinor=\d+ ", kubernetes.flags[1])


def test_no_two_tools_make_the_same_program() -> None:
    names = [name for tool in (*binaries.ALL_TOOLS, *binaries.TEST_TOOLS) for name in tool.packages]
    assert sorted(names) == sorted(set(names))


def test_a_program_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(LookupError, match="no tool of the cluster has a program 'docker'"):
        binaries.program("docker")


@pytest.mark.skipif(not shutil.which("go"), reason="builds a small program with Go")
def test_a_build_is_kept_and_a_changed_one_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(binaries, "COLD_BUILD_GB", 0)
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path / "cache"))
    shutil.copytree(PAUSE.folder, tmp_path / "tools" / "pause")
    monkeypatch.setattr(binaries, "TOOLS", tmp_path / "tools")
    binaries.build((PAUSE,))
    first = PAUSE.home
    assert (first / "pause").stat().st_mode & 0o111
    assert "building pause" in capfd.readouterr().err

    binaries.build((PAUSE,))
    assert capfd.readouterr().err == ""

    with (PAUSE.folder / "main.go").open("a") as source:
        source.write("// changed\n")
    assert PAUSE.home != first
    binaries.build((PAUSE,))
    assert (PAUSE.home / "pause").exists()
    assert not first.exists()


@pytest.mark.skipif(not shutil.which("go"), reason="asks Go to build what it cannot")
def test_a_build_that_fails_leaves_no_program(tool: binaries.Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "COLD_BUILD_GB", 0)
    with pytest.raises(SetupError, match="no Go files"):
        binaries.build((tool,))
    assert tool.missing == ["example"]
