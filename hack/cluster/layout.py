"""Where each cluster lives: its folders, ports and addresses, chosen so that no other cluster on the machine is met."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

NODE = "pointsman-node"


@dataclass(frozen=True)
class Ports:
    """TCP ports of the control plane, all on one address."""

    etcd: int
    etcd_peer: int
    api: int
    controllers: int
    scheduler: int
    kwok: int

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """Six neighbouring ports that start at `base`."""
        return cls(*range(base, base + 6))

    def named(self) -> dict[str, int]:
        """The ports by what listens on them."""
        return dict(vars(self))


@dataclass(frozen=True)
class Network:
    """The cluster's own network namespace: a link to the host, and a range for pods, each routed on its own.

    Everything that a node changes in a network (addresses, nftables, forwarding) happens in there, so that nothing of
    the host's has to be changed or put back. Two routes lead the host to pods and services; pods reach the host, and
    nothing beyond it.
    """

    link: str
    host: IPv4Address
    node: IPv4Address
    pods: IPv4Network


@dataclass(frozen=True)
class Layout:
    """One cluster.

    Attributes:
        name: `bare` or `cluster`.
        run: folder of everything that lives as long as the cluster: keys, data, logs, sockets.
        address: where the API server listens, reachable from the host.
        network: the network namespace of a cluster with a node; None for the bare one, which runs on the loopback.
    """

    name: str
    run: Path
    address: IPv4Address
    ports: Ports
    services: IPv4Network
    network: Network | None = None

    @property
    def api(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.ports.api}"

    @property
    def pki(self) -> Path:
        """Folder of keys and certificates."""
        return self.run / "pki"

    @property
    def logs(self) -> Path:
        """Folder of one log file a process."""
        return self.run / "log"

    @property
    def kubeconfig(self) -> Path:
        """Credentials of a cluster administrator; holds the certificates themselves and can be copied anywhere."""
        return self.kubeconfig_of("admin")

    @property
    def complete(self) -> Path:
        """The file that `up` writes last."""
        return self.run / "complete"

    @property
    def lock(self) -> Path:
        """The file that `up` and `down` lock; it outlives the cluster, and so is in the cache."""
        return cache() / "locks" / str(self.run).strip("/").replace("/", "_")

    @property
    def cgroup(self) -> str:
        """The control group that all its pods are in, below the root."""
        return f"pointsman-{self.name}"

    @property
    def containerd(self) -> Path:
        """The socket of containerd."""
        return self.run / "containerd.sock"

    @property
    def netns(self) -> Path:
        """The file that holds the network namespace, where there is one."""
        return self.run / "netns"

    def kubeconfig_of(self, component: str) -> Path:
        """Credentials of one component."""
        return self.run / f"{component}.kubeconfig"


def cache() -> Path:
    """Folder of what is worth keeping between runs: binaries, images, downloads. The Makefile uses the same rule."""
    chosen = os.environ.get("POINTSMAN_CACHE")
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "pointsman"


def runs() -> Path:
    """Folder of running clusters: `/var/lib/pointsman` for root, else in the user's state folder.

    Not in `/run`, which is memory on most machines and too small for images.
    """
    chosen = os.environ.get("POINTSMAN_RUN")
    if chosen:
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/pointsman")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").absolute() / "pointsman"


def bare() -> Layout:
    """The cluster without a node: API server, controllers and pretended nodes, on the loopback."""
    return Layout(
        name="bare",
        run=runs() / "bare",
        address=IPv4Address("127.0.0.1"),
        ports=Ports.from_base(int(os.environ.get("POINTSMAN_BARE_PORT", "27440"))),
        services=IPv4Network("10.232.0.0/16"),
    )


def whole() -> Layout:
    """The cluster with a node that runs pods, in a network namespace of its own."""
    network = Network(
        link="pointsman0",
        host=IPv4Address("10.230.255.1"),
        node=IPv4Address("10.230.255.2"),
        pods=IPv4Network("10.231.0.0/24"),
    )
    return Layout(
        name="cluster",
        run=runs() / "cluster",
        address=network.node,
        ports=Ports.from_base(27450),
        services=IPv4Network("10.233.0.0/16"),
        network=network,
    )
