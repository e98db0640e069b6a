"""A node leaves the machine as it was; run on one of our own beside whatever runs on this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import httpx
import pytest

from hack.cluster import binaries, clients, controlplane, host, images, layout, lifecycle, machine, node, processes
from hack.cluster.console import wait_for
from hack.cluster.fixtures import WholeCluster
from hack.cluster.problem import SetupError
from hack.cluster.shell import run

pytestmark = pytest.mark.cluster
NETWORK = layout.Network(
    link="pointsman-t",
    host=IPv4Address("10.230.254.1"),
    node=IPv4Address("10.230.254.2"),
    pods=IPv4Network("10.235.0.0/24"),
)
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "pause", "namespace": "default"},
    "spec": {"containers": [{"name": "pause", "image": images.PAUSE}]},
}


@dataclass(frozen=True)
class Machine:
    """What a node could change on a machine, apart from what the other clusters on it change in the meantime."""

    sysctls: tuple[str, ...]
    links: frozenset[str]
    routes: frozenset[str]
    rules: str
    mounts: frozenset[str]
    cgroups: frozenset[Path]
    folders: frozenset[Path]
    remembered: frozenset[Path]

    @classmethod
    def now(cls) -> Machine:
        links = run("ip", "-brief", "link").splitlines()
        return cls(
            sysctls=tuple((host.PROC_SYS / name).read_text() for name in (*host.SYSCTLS, "net/ipv4/ip_forward")),
            links=frozenset(line.split("@")[0].split()[0] for line in links),
            routes=frozenset(run("ip", "route").splitlines()),
            rules=run("nft", "list", "ruleset"),
            mounts=frozenset(
                target
                for target in (line.split()[1] for line in host.MOUNTS.read_text().splitlines())
                if not target.startswith((f"{layout.whole().run}/", f"{layout.cache()}/"))
            ),
            cgroups=frozenset(path for root in host._controllers() for path in root.glob("pointsman*")),
            folders=frozenset(Path(folder) for folder in host.FOREIGN_FOLDERS if Path(folder).exists()),
            remembered=frozenset(
                file for file in host.CNI_RESULTS.glob("*") if f'"{layout.whole().run}/' not in file.read_text()
            ),
        )


@pytest.fixture
def mine() -> Iterator[layout.Layout]:
    machine.require_programs(machine.NODE_PACKAGES)
    it = replace(
        layout.whole(),
        name="test",
        run=layout.runs() / "test",  # not in pytest's folder: its path is too long for a socket's name
        address=NETWORK.node,
        ports=layout.Ports.from_base(27660),
        services=IPv4Network("10.236.0.0/16"),
        network=NETWORK,
    )
    lifecycle.down(it)  # what an earlier run of this test may have left
    yield it
    lifecycle.down(it)


def start(it: layout.Layout) -> None:
    """As `up` does, but for what the gateway and Prometheus need."""
    binaries.build((*binaries.BARE_TOOLS, *binaries.NODE_TOOLS))
    pause = images.build(images.of_program(images.PAUSE, "pause"))
    it.run.mkdir(parents=True)
    host.remember(it)
    host.change(it, NETWORK)
    node.launch_runtime(it, NETWORK)
    node.load(it, pause)
    controlplane.launch(it)
    node.launch(it)
    clients.apply(it.kubeconfig, json.dumps(POD))
    clients.kubectl(it.kubeconfig, "wait", "pod/pause", "--for=condition=Ready", "--timeout=60s")


def test_a_node_runs_a_pod_that_the_host_reaches_and_leaves_no_trace(mine: layout.Layout) -> None:
    before = Machine.now()
    start(mine)
    during = Machine.now()
    address = clients.kubectl(mine.kubeconfig, "get", "pod/pause", "-o", "jsonpath={.status.podIP}")
    assert IPv4Address(address) in NETWORK.pods
    with pytest.raises(ConnectionRefusedError), socket.create_connection((address, 1), timeout=5):
        pass  # refused by the pod itself: it was reached, and listens nowhere
    assert during.links - before.links == {NETWORK.link}
    assert during.cgroups > before.cgroups
    assert during.mounts > before.mounts
    assert during.rules == before.rules  # kube-proxy's are in the cluster's own network namespace

    # No `up` has written that it came to its end: for `down`, this is a start that crashed.
    members = [file for root in host._controllers() for file in (root / mine.cgroup).rglob("cgroup.procs")]
    pods = {Path(f"/proc/{pid}") for file in members for pid in file.read_text().split()}
    assert pods
    lifecycle.down(mine)
    assert processes.running(mine) == []
    wait_for("init's collection of them", lambda: not any(it.exists() for it in pods), seconds=10, logs=mine.logs)
    assert not mine.run.exists()
    assert Machine.now() == before


def test_what_is_left_of_a_cluster_in_another_folder_is_in_nobodys_way(
    mine: layout.Layout, capfd: pytest.CaptureFixture[str]
) -> None:
    before = Machine.now()
    mine.run.mkdir(parents=True)
    host.remember(mine)
    host.change(mine, NETWORK)
    processes.start(mine, "sleeper", "sleep", "infinity")
    another = replace(mine, run=layout.runs() / "another")
    with pytest.raises(SetupError, match=f"^Another test runs on this machine, in {mine.run}: take it down with"):
        lifecycle.make_way(another, NETWORK)
    processes.kill_all(mine)
    lifecycle.make_way(another, NETWORK)
    assert "that nobody took down: cleaning up after it" in capfd.readouterr().err
    assert not mine.run.exists()
    assert Machine.now() == before
    lifecycle.make_way(another, NETWORK)
    assert not capfd.readouterr().err


def test_what_the_whole_cluster_offers(cluster: WholeCluster) -> None:
    everything = cluster.kubectl("get", "pods", "--all-namespaces", "-o", "jsonpath={.items[*].status.phase}").split()
    assert everything
    assert httpx.get(f"http://{cluster.gateway_address}/").status_code == HTTPStatus.NOT_FOUND
    assert "Ready" in httpx.get(f"{cluster.prometheus_url}/-/ready").text
    assert set(node.loaded(cluster.layout)) >= {images.MLSERVER, images.STORAGE_INITIALIZER, images.ENVOY}
    reachable = "up{namespace='envoy-gateway-system',app_kubernetes_io_name='envoy'}"
    answer = httpx.get(f"{cluster.prometheus_url}/api/v1/query", params={"query": reachable})
    (envoy,) = answer.json()["data"]["result"]
    assert envoy["value"][1] == "1"
