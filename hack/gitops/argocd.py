"""The real Argo CD as processes of this machine: application controller, repository server and API server, on a running cluster.

Built from its Go module on demand (`binaries.ARGO_CD`); Redis is Debian's. No pod runs: what needs a node is not needed here.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from hack.cluster import binaries, clients, machine
from hack.gitops import configmap

MODULE: Final = "github.com/argoproj/argo-cd/v3"
NAMESPACE: Final = "argocd"
APPLICATION: Final = "argoproj.io/v1alpha1"
_STARTS_WITHIN: Final = 60.0
_ENDS_WITHIN: Final = 20.0
_PROJECT: Final = """
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{namespace: "*", server: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
"""

Object = dict[str, Any]


@dataclass(frozen=True)
class ArgoCD:
    """A running Argo CD: its API, as its pages use it."""

    http: httpx.Client
    log: Path

    def application(self, name: str, *, refresh: str | None = None) -> Object:
        """An Application as it is shown; `refresh` is `normal` or `hard`, and waits until it was looked at anew."""
        params = {} if refresh is None else {"refresh": refresh}
        found: Object = self._taken(self.http.get(f"/api/v1/applications/{name}", params=params))
        return found

    def tree(self, name: str) -> list[Object]:
        """Everything that belongs to an Application: what Git names and what that owns."""
        found: list[Object] = self._taken(self.http.get(f"/api/v1/applications/{name}/resource-tree"))["nodes"]
        return found

    def actions(self, name: str, resource: Mapping[str, str]) -> dict[str, bool]:
        """The actions on a resource of an Application: whether each can be taken now."""
        listed = self._taken(self.http.get(f"/api/v1/applications/{name}/resource/actions", params=dict(resource)))
        return {action["name"]: not action.get("disabled", False) for action in listed["actions"]}

    def act(self, name: str, resource: Mapping[str, str], action: str) -> None:
        """Take an action, as a click on it does."""
        body = {"name": name, **resource, "action": action}
        self._taken(self.http.post(f"/api/v1/applications/{name}/resource/actions/v2", json=body))

    def sync(self, name: str) -> None:
        """Apply all of what Git says, changed or not."""
        self._taken(self.http.post(f"/api/v1/applications/{name}/sync", json={"name": name}))

    def _taken(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise AssertionError(f"Argo CD says {answer.status_code}: {answer.text}")
        return answer.json()


@contextmanager
def running(kubeconfig: Path, folder: Path) -> Iterator[ArgoCD]:
    """Start it on the cluster and take it down again; its log files and caches are in the folder.

    Raises:
        SetupError: it is not built and cannot be, or Redis cannot be installed.
    """
    binaries.build((binaries.ARGO_CD,))
    machine.require_programs({"redis-server": "redis-server", "git": "git"})
    _install(kubeconfig)
    redis, repository, api, *metrics = _free_ports(6)
    redis_address, repository_address = f"127.0.0.1:{redis}", f"127.0.0.1:{repository}"
    environment = _environment(kubeconfig, folder)
    common = ("--redis", redis_address, "--loglevel", "info")
    plain = (
        "--repo-server",
        repository_address,
        "--repo-server-plaintext",
        "--kubeconfig",
        str(kubeconfig),
        "-n",
        NAMESPACE,
    )
    with ExitStack() as stack:

        def start(name: str, *words: str) -> None:
            stack.enter_context(_process(name, *words, folder=folder, environment=environment))

        quiet = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", str(folder))
        start("redis-server", "--port", str(redis), *quiet)
        _until(lambda: _listens(redis), "Redis")
        untrusted = ("--disable-tls", "--client-ca-path", "")
        start("argocd-repo-server", "--port", str(repository), "--metrics-port", str(metrics[0]), *untrusted, *common)
        _until(lambda: _listens(repository), "Argo CD's repository server")
        start("argocd-application-controller", "--metrics-port", str(metrics[1]), *plain, *common)
        open_door = ("--insecure", "--disable-auth", "--staticassets", str(folder), "--address", "127.0.0.1")
        ports = ("--port", str(api), "--metrics-port", str(metrics[2]))
        start("argocd-server", *ports, *open_door, *plain, *common)
        http = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{api}", timeout=60))
        _until(lambda: _answers(http), "Argo CD's API server")
        yield ArgoCD(http, folder)


def _install(kubeconfig: Path) -> None:
    """Its kinds, its configuration with our customizations in it, and a project."""
    manifests = binaries.sources(binaries.ARGO_CD, MODULE, "manifests")
    for crd in sorted((manifests / "crds").glob("*-crd.yaml")):
        clients.apply(kubeconfig, crd.read_text(encoding="utf-8"))
    clients.apply(kubeconfig, f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")
    for name in ("argocd-rbac-cm", "argocd-cmd-params-cm", "argocd-secret"):
        config = manifests / "base" / "config" / f"{name}.yaml"
        clients.kubectl(kubeconfig, "-n", NAMESPACE, "apply", "--server-side", "-f", config)
    clients.kubectl(kubeconfig, "-n", NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", configmap.WRITTEN)
    _until(lambda: "True" in _established(kubeconfig), "Argo CD's kinds")
    clients.apply(kubeconfig, _PROJECT)


def _established(kubeconfig: Path) -> str:
    condition = "{.status.conditions[?(@.type=='Established')].status}"
    return clients.kubectl(kubeconfig, "get", "crd", "appprojects.argoproj.io", "-o", f"jsonpath={condition}")


def _environment(kubeconfig: Path, folder: Path) -> dict[str, str]:
    """Folders of its own instead of those of its image, and nothing of the environment of whoever runs it but PATH."""
    tools = folder / "tools"
    tools.mkdir(parents=True)
    wrapper = binaries.sources(binaries.ARGO_CD, MODULE, "hack") / "git-verify-wrapper.sh"
    (tools / wrapper.name).write_text(wrapper.read_text(encoding="utf-8"), encoding="utf-8")
    (tools / wrapper.name).chmod(0o755)
    for name in ("ssh", "tls", "gpg", "plugins", "tmp"):
        (folder / name).mkdir()
    (folder / "ssh" / "ssh_known_hosts").touch()
    return {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "KUBECONFIG": str(kubeconfig),
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_GPG_DATA_PATH": str(folder / "gpg"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
        "ARGOCD_FAKE_IN_CLUSTER": "true",  # https://kubernetes.default.svc is the cluster of KUBECONFIG
        "ARGOCD_CONTROLLER_REPLICAS": "1",
        "ARGOCD_CONTROLLER_SHARD": "0",
        "ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_TIMEOUT_SECONDS": "1",
        "ARGOCD_SYNC_WAVE_DELAY": "0",
    }


@contextmanager
def _process(name: str, *words: str, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A program, until the end of the block; the binary of Argo CD is whatever it is called."""
    program = str(binaries.program("argocd")) if name.startswith("argocd") else name
    with (folder / f"{name}.log").open("ab") as log:
        running = subprocess.Popen(
            [program, *words], cwd=folder, env={**environment, "ARGOCD_BINARY_NAME": name}, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/api/v1/applications").is_success
    except httpx.TransportError:
        return False


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come up within {_STARTS_WITHIN:g} s")
        time.sleep(0.1)
