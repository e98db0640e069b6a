"""Starts what runs pods: containerd, kubelet, kube-proxy and DNS, in the cluster's network namespace."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from hack.cluster import binaries, controlplane, images
from hack.cluster.console import step, wait_for
from hack.cluster.layout import NODE
from hack.cluster.processes import SYSTEM_PATH, start
from hack.cluster.shell import run, works

if TYPE_CHECKING:
    from hack.cluster.layout import Layout, Network

COMPONENTS = ("containerd", "kubelet", "kube-proxy", "coredns")
CONFIG = Path(__file__).with_name("config")
# Template -> where it goes in the run folder.
FILES = {
    "containerd.toml": "containerd.toml",
    "cni.json": "cni/10-pods.conflist",
    "kubelet.yaml": "kubelet.yaml",
    "kube-proxy.yaml": "kube-proxy.yaml",
    "Corefile": "Corefile",
}


def launch_runtime(layout: Layout, network: Network) -> None:
    """Start containerd, which can take in images from then on."""
    with step("containerd"):
        for name, text in configuration(layout, network).items():
            path = layout.run / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        start(
            layout, "containerd", binaries.program("containerd"), f"--config={layout.run}/containerd.toml", env=_path()
        )
        wait_for("containerd", lambda: works(*_ctr(layout), "version"), seconds=30, logs=layout.logs)


def launch(layout: Layout) -> None:
    """Start the rest of the node and wait until the API server says that it is Ready."""
    run_folder, config = layout.run, layout.run / "kubelet.yaml"
    with step("kubelet, kube-proxy and DNS"):
        start(
            layout,
            "kubelet",
            binaries.program("kubelet"),
            f"--config={config}",
            f"--kubeconfig={layout.kubeconfig_of('kubelet')}",
            f"--hostname-override={NODE}",
            f"--node-ip={layout.address}",
            f"--root-dir={run_folder}/kubelet",
            f"--cert-dir={layout.pki}",
            env=_path(),
        )
        start(layout, "kube-proxy", binaries.program("kube-proxy"), f"--config={run_folder}/kube-proxy.yaml")
        start(layout, "coredns", binaries.program("coredns"), "-conf", run_folder / "Corefile")
        wait_for("The node", lambda: controlplane.nodes_ready(layout) == 1, seconds=120, logs=layout.logs)


def load(layout: Layout, archive: Path) -> None:
    """Take an image archive (OCI or docker-archive) into containerd."""
    run(*_ctr(layout), "--namespace=k8s.io", "images", "import", archive)


def loaded(layout: Layout) -> list[str]:
    """Names of the images that the node has."""
    return run(*_ctr(layout), "--namespace=k8s.io", "images", "list", "--quiet").split()


def configuration(layout: Layout, network: Network) -> dict[str, str]:
    """The text of every configuration file, by its place in the run folder."""
    values = {
        "run": str(layout.run),
        "pods": str(network.pods),
        "dns": str(layout.address),
        "node": NODE,
        "cgroup": layout.cgroup,
        "pause": images.PAUSE,
    }
    files = {place: Template((CONFIG / name).read_text()).substitute(values) for name, place in FILES.items()}
    return {**files, "resolv.conf": f"nameserver {layout.address}\n"}


def _ctr(layout: Layout) -> tuple[str | Path, ...]:
    return (binaries.program("ctr"), f"--address={layout.containerd}")


def _path() -> dict[str, str]:
    """A PATH on which containerd finds its shim, and both find runc and nft, which Debian keeps in sbin."""
    return {"PATH": f"{binaries.program('containerd').parent}:{SYSTEM_PATH}"}
