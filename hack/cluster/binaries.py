"""Builds the cluster's programs from pinned Go modules, once for each set of pins."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.console import step
from hack.cluster.layout import cache
from hack.cluster.machine import require_disk, require_go
from hack.cluster.shell import run

TOOLS = Path(__file__).with_name("tools")
# GOWORK, GOFLAGS: what the person at the keyboard has set for other projects must not change what is built here.
ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -mod=readonly -buildvcs=false", "GOWORK": "off"}
COLD_BUILD_GB = 15


@dataclass(frozen=True)
class Tool:
    """A Go module of ours under `tools/` that only pins others, one per tool so that their dependencies never mix.

    Attributes:
        name: its folder.
        packages: the package of each program, by the program's name.
        tags: Go build tags.
    """

    name: str
    packages: dict[str, str]
    tags: str = ""

    @property
    def folder(self) -> Path:
        """Where its go.mod and go.sum are."""
        return TOOLS / self.name

    @property
    def key(self) -> str:
        """Names what would be built: changes with any file of the folder, any package and any flag."""
        digest = hashlib.sha256()
        for file in sorted(self.folder.iterdir()):
            digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        recipe = [self.packages, self.flags, ENVIRONMENT]
        digest.update(json.dumps(recipe, sort_keys=True).encode())
        return digest.hexdigest()[:12]

    @property
    def flags(self) -> list[str]:
        """The flags of `go build`."""
        linker = "-s -w"
        if self.name == "kubernetes":
            linker += _kubernetes_version(self.pin("k8s.io/kubernetes"))
        return ["-ldflags", linker, *(["-tags", self.tags] if self.tags else [])]

    @property
    def home(self) -> Path:
        """Folder of the built programs."""
        return cache() / "bin" / f"{self.name}-{self.key}"

    @property
    def missing(self) -> list[str]:
        """Programs that are still to be built."""
        return [name for name in self.packages if not (self.home / name).exists()]

    def pin(self, module: str) -> str:
        """The version of a module that go.mod asks for, such as `v1.36.4`."""
        found = re.search(
            rf"^(?:require)?\s*{re.escape(module)} (v\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE
        )
        if not found:
            raise LookupError(f"{self.folder}/go.mod does not require {module}")
        return found[1]


KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")
FEWER_DRIVERS = "no_btrfs no_zfs no_devmapper"
KWOK = Tool("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, FEWER_DRIVERS)
BARE_TOOLS = (
    Tool("kubernetes", {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES}),
    Tool("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, FEWER_DRIVERS),
    KWOK,
)
ADAPTER = Tool("prometheus-adapter", {"adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter"})
GATEWAY = Tool("envoy-gateway", {"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"}, FEWER_DRIVERS)
NODE_TOOLS = (
    Tool(
        "containerd",
        {name: f"github.com/containerd/containerd/v2/cmd/{name}" for name in CONTAINERD},
        FEWER_DRIVERS,
    ),
    Tool("coredns", {"coredns": "github.com/coredns/coredns"}, FEWER_DRIVERS),
    Tool("pause", {"pause": "."}),
    Tool("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, FEWER_DRIVERS),
    Tool("prometheus", {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"}, FEWER_DRIVERS),
    ADAPTER,
    GATEWAY,
)
ALL_TOOLS = BARE_TOOLS + NODE_TOOLS
PROMTOOL = Tool("promtool", {"promtool": "github.com/prometheus/prometheus/cmd/promtool"}, FEWER_DRIVERS)
MONITORING = Tool("prometheus-operator", {})
LUA = Tool("lua", {"lua": "."})
KSTATUS = Tool("kstatus", {"kstatus": "."})
ARGO_CD = Tool("argo-cd", {"argocd": "github.com/argoproj/argo-cd/v3/cmd"})
TEST_TOOLS = (PROMTOOL, MONITORING, LUA, KSTATUS, ARGO_CD)
"""Of no cluster, built by the tests that need them: what Prometheus takes, Argo CD's Lua, Flux's kstatus, and Argo CD; the second has CRDs only."""


def program(name: str) -> Path:
    """Path of a program of the cluster, or of its tests; built or not."""
    for tool in (*ALL_TOOLS, *TEST_TOOLS):
        if name in tool.packages:
            return tool.home / name
    raise LookupError(f"no tool of the cluster has a program {name!r}")


def client_folders() -> list[Path]:
    """Folders of the programs that a person would use: kubectl and helm."""
    return [program(name).parent for name in ("kubectl", "helm")]


def build(tools: tuple[Tool, ...]) -> None:
    """Build what is missing; a second call does nothing.

    Raises:
        SetupError: there is no Go, no space, or a build fails.
    """
    missing = [(tool, name) for tool in tools for name in tool.missing]
    if not missing:
        return
    require_go()
    require_disk(cache(), gigabytes=COLD_BUILD_GB)
    for tool, name in missing:
        with step(f"building {name}"):
            _build(tool, name)


def sources(tool: Tool, module: str, folder: str) -> Path:
    """A folder of a module that a tool pins (manifests, a chart), copied out of Go's read-only cache once."""
    kept = tool.home / "sources" / module.replace("/", "_") / folder
    if not kept.exists():
        require_go()
        run("go", "mod", "download", module, cwd=tool.folder, env=ENVIRONMENT)
        there = run("go", "list", "-m", "-f", "{{.Dir}}", module, cwd=tool.folder, env=ENVIRONMENT).strip()
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_name(f".{kept.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(Path(there) / folder, unfinished, copy_function=shutil.copyfile)
        for parent in (unfinished, *unfinished.rglob("*/")):
            parent.chmod(0o755)  # copytree copies the folders' read-only mode
        unfinished.rename(kept)
    return kept


def _build(tool: Tool, name: str) -> None:
    tool.home.mkdir(parents=True, exist_ok=True)
    unfinished = tool.home / f".{name}"
    run("go", "build", *tool.flags, "-o", unfinished, tool.packages[name], cwd=tool.folder, env=ENVIRONMENT)
    unfinished.rename(tool.home / name)  # whole or not at all: a stopped build leaves nothing that looks like a program
    for old in tool.home.parent.glob(f"{tool.name}-*"):
        if old != tool.home and re.fullmatch(rf"{re.escape(tool.name)}-[0-9a-f]{{12}}", old.name):
            shutil.rmtree(old, ignore_errors=True)


def _kubernetes_version(version: str) -> str:
    """Linker flags that tell Kubernetes its own version, without which it refuses to talk to itself."""
    major, minor, _patch = version.removeprefix("v").split(".")
    facts = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "0" * 40,
        "gitTreeState": "archive",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "".join(f" -X {package}.{key}={value}" for package in packages for key, value in facts.items())
