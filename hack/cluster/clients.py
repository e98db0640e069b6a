"""Runs kubectl and helm as administrator of a cluster, which is named by its kubeconfig."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hack.cluster import binaries
from hack.cluster.shell import run

if TYPE_CHECKING:
    from pathlib import Path

DIRECT = {"NO_PROXY": "*", "no_proxy": "*"}  # the cluster is on this machine: no proxy knows the way to it


def kubectl(kubeconfig: Path, *words: str | Path, stdin: str | None = None) -> str:
    """Run kubectl and return what it prints.

    Raises:
        SetupError: it ended with another code than 0; carries what it said.
    """
    # Beside the kubeconfig, so that nothing is left in the home of the person at the keyboard.
    cache = f"--cache-dir={kubeconfig.parent}/kubectl"
    return run(binaries.program("kubectl"), f"--kubeconfig={kubeconfig}", cache, *words, env=DIRECT, stdin=stdin)


def apply(kubeconfig: Path, manifest: str) -> None:
    """Server-side apply of a manifest, YAML or JSON."""
    kubectl(kubeconfig, "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=manifest)


def helm(kubeconfig: Path, *words: str | Path, stdin: str | None = None) -> str:
    """Run helm and return what it prints.

    Raises:
        SetupError: it ended with another code than 0; carries what it said.
    """
    homes = {f"HELM_{kind}_HOME": f"{kubeconfig.parent}/helm/{kind.lower()}" for kind in ("CACHE", "CONFIG", "DATA")}
    return run(binaries.program("helm"), f"--kubeconfig={kubeconfig}", *words, env={**DIRECT, **homes}, stdin=stdin)
