"""An API server of the test's own, which can be killed, and whose etcd can be made to forget."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import httpx

from bench.lab.programs import ROOT
from hack.cluster import clients, controlplane, layout, lifecycle, processes

_BESIDE = 60  # its ports are so many above those of the bare cluster that tests share


class OwnCluster:
    """A bare cluster beside the one that tests share."""

    def __init__(self, it: layout.Layout) -> None:
        self._layout = it

    @property
    def kubeconfig(self) -> Path:
        """Credentials of an administrator."""
        return self._layout.kubeconfig

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """The API server is killed, and started again at the end of the block."""
        processes.kill([processes.components(self._layout)["kube-apiserver"]])
        yield
        await asyncio.to_thread(controlplane.start_api_server, self._layout)

    def forget(self, resource: str, namespace: str, name: str) -> None:
        """Delete an object behind the API server's back; `resource` as in etcd's keys."""
        key = base64.b64encode(f"/registry/{resource}/{namespace}/{name}".encode()).decode()
        assert self._etcd("deleterange", {"key": key})["deleted"] == "1", (resource, namespace, name)

    def compact(self) -> None:
        """Let etcd keep nothing of what was before: a watch cannot go on where it was, and is told of no deletion."""
        revision = self._etcd("range", {"key": base64.b64encode(b"none").decode()})["header"]["revision"]  # type: ignore[index]
        self._etcd("compaction", {"revision": revision, "physical": True})

    def _etcd(self, call: str, body: dict[str, object]) -> dict[str, object]:
        answer = httpx.post(f"http://127.0.0.1:{self._layout.ports.etcd}/v3/kv/{call}", json=body)
        assert answer.is_success, answer.text
        said: dict[str, object] = answer.json()
        return said


@contextmanager
def own_cluster(folder: Path) -> Iterator[OwnCluster]:
    """One with our CRDs, until the end of the block."""
    base = int(os.environ.get("POINTSMAN_BARE_PORT", "27440")) + _BESIDE
    services = IPv4Network("10.235.0.0/16")
    it = replace(layout.bare(), run=folder / "bare", ports=layout.Ports.from_base(base), services=services)
    lifecycle.up(it)
    try:
        crds = ROOT / "crds"
        clients.kubectl(it.kubeconfig, "apply", "--server-side", "-f", crds)
        clients.kubectl(it.kubeconfig, "wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
        yield OwnCluster(it)
    finally:
        lifecycle.down(it)
