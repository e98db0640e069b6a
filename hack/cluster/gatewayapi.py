"""Installs the Gateway API's standard channel, in the version that Envoy Gateway was built with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hack.cluster import binaries, controlplane
from hack.cluster.console import step

if TYPE_CHECKING:
    from hack.cluster.layout import Layout

MODULE = "sigs.k8s.io/gateway-api"
CHANNEL = "config/crd/standard"


def fetch() -> None:
    """Download what `install` applies."""
    binaries.sources(binaries.GATEWAY, MODULE, CHANNEL)


def install(layout: Layout) -> None:
    """Apply the CRDs and wait until they are served."""
    with step("Gateway API"):
        folder = binaries.sources(binaries.GATEWAY, MODULE, CHANNEL)
        controlplane.kubectl(layout, "apply", "--server-side", "-f", folder)
        controlplane.kubectl(layout, "wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
