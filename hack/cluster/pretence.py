"""Starts kwok and its pretended nodes, on which pods become Ready, or fail to, without being run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hack.cluster import binaries, controlplane
from hack.cluster.clients import apply
from hack.cluster.console import step, wait_for
from hack.cluster.processes import start

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hack.cluster.layout import Layout

COMPONENTS = ("kwok",)
NODES = 3
LABEL = {"type": "kwok"}  # by which kwok knows its nodes, so that it never pretends for a real one
PODS = "10.234.0.0/16"
WAITING = (
    "pretend.pointsman.dev/waiting"  # the annotation of pods that shall not become Ready: manifests/pod-waiting.yaml
)
MODULE = "sigs.k8s.io/kwok"
STAGES = "kustomize/stage"
STAGE_FILES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
    "pod/fast/pod-ready.yaml",
)
OUR_STAGE = Path(__file__).with_name("manifests") / "pod-waiting.yaml"


def fetch() -> None:
    """Download the life of a pretended node and pod."""
    binaries.sources(binaries.KWOK, MODULE, STAGES)


def launch(layout: Layout) -> None:
    """Start kwok and wait until its nodes are Ready."""
    with step(f"{NODES} pretended nodes"):
        config = layout.run / "kwok.yaml"
        folder = binaries.sources(binaries.KWOK, MODULE, STAGES)
        config.write_text(yaml.safe_dump_all(stages(folder / name for name in STAGE_FILES)))
        start(
            layout,
            "kwok",
            binaries.program("kwok"),
            f"--kubeconfig={layout.kubeconfig}",
            f"--config={config}",
            f"--manage-nodes-with-label-selector={','.join(f'{key}={value}' for key, value in LABEL.items())}",
            f"--server-address={layout.address}:{layout.ports.kwok}",
            f"--cidr={PODS}",
            "--node-lease-duration-seconds=40",
            "--v=WARN",
        )
        nodes = [_node(f"pretended-{number}") for number in range(1, NODES + 1)]
        apply(layout.kubeconfig, json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
        wait_for("kwok", lambda: controlplane.nodes_ready(layout) >= NODES, seconds=60, logs=layout.logs)


def stages(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Kwok's own stages and ours; kwok's `pod-ready` leaves alone the pods that ours is for."""
    found: list[dict[str, Any]] = [yaml.safe_load(file.read_text()) for file in (*files, OUR_STAGE)]
    ready = next(stage for stage in found if stage["metadata"]["name"] == "pod-ready")
    ready["spec"]["selector"]["matchExpressions"].append(
        {"key": f'.metadata.annotations["{WAITING}"]', "operator": "DoesNotExist"}
    )
    return found


def _node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**LABEL, "kubernetes.io/hostname": name},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
    }
