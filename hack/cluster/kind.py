"""The same cluster in kind, for machines with Docker: same chart, same manifests, same images.

This module has not been run where the project is developed, which has no Docker: keep it thin. It needs Linux, `docker`
and `kind`, and Go for the images of Envoy Gateway and Prometheus, but no root.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from hack.cluster import addons, binaries, images
from hack.cluster.clients import kubectl
from hack.cluster.console import say, step
from hack.cluster.layout import runs
from hack.cluster.problem import SetupError
from hack.cluster.shell import run

if TYPE_CHECKING:
    from pathlib import Path

NAME = "pointsman"
NODE_PORTS = {"gateway": 30080, "prometheus": 30090}  # of the node, and of the host's loopback
BASE = "python:3.12-slim"


def kubeconfig() -> Path:
    """Credentials of the administrator."""
    return runs() / "kind.kubeconfig"


def up() -> None:
    """Create the cluster and install what the local one has; does nothing where it is there."""
    for program in ("docker", "kind"):
        if not shutil.which(program):
            raise SetupError(f"CLUSTER=kind needs the program {program!r}, which is not on this machine's PATH.")
    if NAME in run("kind", "get", "clusters").split():
        say(f"kind's cluster {NAME} is up already: export KUBECONFIG={kubeconfig()}")
        return
    binaries.build(binaries.ALL_TOOLS)
    addons.fetch_gateway_api()
    addons.fetch_chart()
    kubeconfig().parent.mkdir(parents=True, exist_ok=True)
    with step("kind"):
        run(
            "kind", "create", "cluster", f"--name={NAME}", f"--kubeconfig={kubeconfig()}", "--config=-", stdin=_config()
        )
    for image in images.node_images():
        load(images.build(image))
    for reference in (images.MLSERVER, images.STORAGE_INITIALIZER):
        load(build(reference, containerfile=images.context_of(reference) / "Containerfile"))
    addons.install_gateway_api(kubeconfig())
    addons.install_prometheus(kubeconfig())
    addons.install_gateway(kubeconfig())
    _open_ports()


def down() -> None:
    """Delete the cluster."""
    run("kind", "delete", "cluster", f"--name={NAME}", f"--kubeconfig={kubeconfig()}")
    kubeconfig().unlink(missing_ok=True)


def load(archive: Path) -> None:
    """Take an image archive into the node."""
    with step(f"loading {archive.name}"):
        run("kind", "load", "image-archive", archive, f"--name={NAME}")


def build(reference: str, *, containerfile: Path) -> Path:
    """Build an image with Docker, from a Containerfile and the folder it is in, and return its archive."""
    archive = runs() / "kind-images" / f"{reference.replace('/', '_').replace(':', '_')}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with step(f"image {reference}"):
        what = (f"--tag={reference}", f"--build-arg=BASE={BASE}", f"--file={containerfile}", containerfile.parent)
        run("docker", "build", "--quiet", *what)
        run("docker", "save", f"--output={archive}", reference)
    return archive


def addresses() -> dict[str, str]:
    """Where the gateway and Prometheus answer, from the host."""
    return {
        "GATEWAY_URL": f"http://127.0.0.1:{NODE_PORTS['gateway']}",
        "PROMETHEUS_URL": f"http://127.0.0.1:{NODE_PORTS['prometheus']}",
    }


def _config() -> str:
    ports = [
        {"containerPort": port, "hostPort": port, "listenAddress": "127.0.0.1", "protocol": "TCP"}
        for port in NODE_PORTS.values()
    ]
    config = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}
    return json.dumps({**config, "nodes": [{"role": "control-plane", "extraPortMappings": ports}]})


def _open_ports() -> None:
    """Docker's network does not lead the host to a cluster's services: let the node's ports do it."""

    def of(port: int, purpose: str) -> dict[str, object]:
        return {"spec": {"type": "NodePort", "ports": [{"port": port, "nodePort": NODE_PORTS[purpose]}]}}

    service = {
        "type": "NodePort",
        "name": "models-gateway",
        "patch": {"type": "StrategicMerge", "value": of(80, "gateway")},
    }
    gateway = {"spec": {"provider": {"kubernetes": {"envoyService": service}}}}
    for kind, name, namespace, strategy, patch in (
        ("envoyproxy", "local", addons.GATEWAY_NAMESPACE, "merge", gateway),
        ("service", "prometheus", addons.MONITORING_NAMESPACE, "strategic", of(9090, "prometheus")),
    ):
        how = (f"--namespace={namespace}", f"--type={strategy}", f"--patch={json.dumps(patch)}")
        kubectl(kubeconfig(), "patch", kind, name, *how)
