"""Where a benchmark happens: the bare API server with our CRDs, a namespace of its own, a runtime and a policy."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.lab import gateway, models
from bench.lab.api import Api, Credentials, Json, Mirror
from bench.lab.programs import ROOT
from hack.cluster import binaries, clients, layout, lifecycle

_KINDS = ("ModelDeployment", "Deployment", "HTTPRoute")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A namespace on the bare API server."""

    kubeconfig: Path
    credentials: Credentials
    api: Api
    namespace: str
    models: Mirror
    workloads: Mirror
    routes: Mirror

    def deployment(self, name: str) -> Json:
        """A complete ModelDeployment of this place's runtime and policy, at version 1."""
        return models.deployment(name, self.namespace, runtime=self.namespace, policy=self.namespace)

    async def serve(self, names: list[str], *, seconds: float = 120.0) -> None:
        """Create ModelDeployments and wait until their first version serves."""
        await asyncio.gather(*(self.api.apply(self.deployment(name)) for name in names))
        await self.models.each(
            names, models.settled, what=f"all of {len(names)} ModelDeployments serve", seconds=seconds
        )

    async def quiet(self, seconds: float) -> None:
        """Wait until no watched object has changed for so long."""
        while True:
            last = max(mirror.heard for mirror in (self.models, self.workloads, self.routes))
            left = last + seconds - time.perf_counter()
            if left <= 0:
                return
            await asyncio.sleep(left)


@asynccontextmanager
async def place(
    pace: models.Pace,
    bare: layout.Layout | None = None,
    gates: Sequence[Json] = (models.ERRORS, models.LATENCY_GATE),
) -> AsyncIterator[Place]:
    """A place with a policy of this pace, on this cluster or the common one, which is stopped again by who started it."""
    borrowed = bare is not None
    bare = bare or layout.bare()
    ran = borrowed or lifecycle.status(bare).whole
    if not ran:
        await asyncio.to_thread(lifecycle.up, bare)
    await asyncio.to_thread(_equip, bare)
    credentials, namespace = Credentials.of(bare.kubeconfig), f"bench-{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        if not ran:
            stack.callback(lifecycle.down, bare)
        api = await stack.enter_async_context(Api.open(credentials))
        cluster_scoped = (models.runtime(namespace), models.policy(namespace, pace, gates))
        await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        stack.push_async_callback(api.delete, "Namespace", None, namespace)
        for obj in cluster_scoped:
            await api.apply(obj)
            stack.push_async_callback(api.delete, obj["kind"], None, namespace)
        await api.apply(gateway.gateway(namespace))
        mirrors = [await stack.enter_async_context(Mirror.open(api, kind, namespace)) for kind in _KINDS]
        await stack.enter_async_context(gateway.obeying(api, mirrors[2], namespace))
        yield Place(
            kubeconfig=bare.kubeconfig,
            credentials=credentials,
            api=api,
            namespace=namespace,
            models=mirrors[0],
            workloads=mirrors[1],
            routes=mirrors[2],
        )


def _equip(bare: layout.Layout) -> None:
    """Bring what a bare cluster lacks; Prometheus is a program of the whole one, so it may have to be built."""
    binaries.build(tuple(tool for tool in binaries.NODE_TOOLS if tool.name == "prometheus"))
    crds = ROOT / "crds"
    clients.kubectl(bare.kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", crds)
    clients.kubectl(bare.kubeconfig, "wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
