"""Operators as processes of their own, each in a namespace of its own, against the bare API server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from pointsman.cluster.client import Client
from pointsman.cluster.connection import connect
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_RUNTIME, ROLLOUT_POLICY, Kind

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

_OTHERS = ("Lease", MODEL_RUNTIME.name, ROLLOUT_POLICY.name)
ROOT = Path(__file__).parents[2]
POD = {
    "spec": {"containers": [{"name": "model", "image": "model:1", "ports": [{"name": "http", "containerPort": 8080}]}]}
}
METRICS = {
    "port": "http",
    "requests": {"counter": "requests_total", "failed": {"code": "5.."}},
    "latency": {"histogram": "request_seconds"},
}


@dataclass
class Running:
    """An operator's process."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    listening: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.lines.append(json.loads(line))
            except ValueError:  # a traceback; or half a line of one that was killed
                self.lines.append({"event": line.decode()})

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def crashes(self) -> list[dict[str, Any]]:
        """What it said about bugs of its own."""
        return [line for line in self.lines if "crashed" in line["event"] or "Traceback" in line["event"]]

    def last_words(self) -> str:
        """Whether it runs, and what it said last."""
        return f"{'it runs' if self.process.returncode is None else self.process.returncode}: {self.lines[-3:]}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.said('waiting for the lease')[0]['port']}"

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as http:
            return await http.get(self.url + path)

    async def writes(self) -> dict[str, float]:
        """API writes by kind; not the lease's, nor those on cluster-scoped objects, which other tests come and go with."""
        text = (await self.get("/metrics")).text
        found = re.findall(r'^pointsman_api_writes_total\{kind="(\w+)",verb="(\w+)"\} (\S+)$', text, re.MULTILINE)
        return {f"{verb} {kind}": float(count) for kind, verb, count in found if kind not in _OTHERS}

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)

    async def end(self) -> None:
        await self.stop(signal.SIGKILL)
        self.listening.cancel()


async def spawn(kubeconfig: Path, *words: str) -> Running:
    """Python with these words, warnings being errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", *words,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(kubeconfig)},
        stderr=asyncio.subprocess.PIPE, limit=2**20,
    )  # fmt: skip
    return Running(process)


@dataclass(frozen=True)
class Place:
    """A namespace of its own, with operators that serve only it."""

    client: Client
    namespace: str
    cluster: Cluster
    folder: Path
    stack: AsyncExitStack

    def _with(self, token: str) -> Path:
        said = yaml.safe_load(self.cluster.kubeconfig.read_text())
        said["users"][0]["user"] = {"token": token}
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(said))
        return path

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *words)

    async def operator(self, *options: str) -> Running:
        words = ("operator", "--probes-port", "0", "--namespaces", self.namespace, "--lease-namespace", self.namespace)
        return await self.run("-m", "pointsman", *words, *options)

    async def run(self, *words: str, token: str | None = None) -> Running:
        """Python with these words; with a token it is whose that is, else an administrator."""
        running = await spawn(self.cluster.kubeconfig if token is None else self._with(token), *words)
        self.stack.push_async_callback(running.end)
        await until(lambda: running.said("waiting for the lease") or running.process.returncode)
        return running

    async def leading(self) -> Running:
        running = await self.operator()
        await until(lambda: running.said("leading"))
        return running

    async def apply(self, kind: Kind, name: str, **spec: Any) -> dict[str, Any]:
        meta = {"name": name, "namespace": self.namespace}
        obj = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec}
        return await self.client.create(obj)

    async def model(self, name: str, version: str = "1", **spec: Any) -> dict[str, Any]:
        model = {"version": version}
        return await self.apply(MODEL_DEPLOYMENT, name, model=model, template=POD, port="http", metrics=METRICS, **spec)

    async def get(self, kind: Kind, name: str) -> dict[str, Any]:
        return await self.client.get(kind, self.namespace, name)

    async def names(self, kind: Kind) -> list[str]:
        return [item["metadata"]["name"] for item in (await self.client.list(kind, self.namespace)).items]

    async def condition(self, name: str, type_: str) -> dict[str, Any]:
        status = (await self.get(MODEL_DEPLOYMENT, name)).get("status", {})
        return next((c for c in status.get("conditions", ()) if c["type"] == type_), {})

    async def is_(self, name: str, **conditions: str) -> bool:
        return all([(await self.condition(name, type_)).get("status") == said for type_, said in conditions.items()])


async def until(holds: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def namespace(cluster: Cluster) -> AsyncIterator[str]:
    name = f"operator-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
async def place(crds: Cluster, tmp_path: Path) -> AsyncIterator[Place]:
    async with namespace(crds) as name, AsyncExitStack() as stack:
        client = Client(await connect(str(crds.kubeconfig)))
        stack.push_async_callback(client.close)
        yield Place(client, name, crds, tmp_path, stack)
