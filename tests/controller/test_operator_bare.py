"""The operator's process against the real API server: it starts, works, keeps still, hands over and stops."""

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

from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Client
from pointsman.cluster.connection import connect
from pointsman.cluster.kinds import (
    EVENT,
    GATEWAY,
    LEASE,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    SERVICE,
    WORKLOAD,
    Kind,
)

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = pytest.mark.bare

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

    async def listen(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.said('waiting for the lease')[0]['port']}"

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as http:
            return await http.get(self.url + path)

    async def writes(self) -> dict[str, float]:
        """API writes by kind, the lease's own apart."""
        text = (await self.get("/metrics")).text
        found = re.findall(r'^pointsman_api_writes_total\{kind="(\w+)",verb="(\w+)"\} (\S+)$', text, re.MULTILINE)
        return {f"{verb} {kind}": float(count) for kind, verb, count in found if kind != "Lease"}

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)


@dataclass(frozen=True)
class Place:
    """A namespace of its own, with operators that serve only it."""

    client: Client
    namespace: str
    kubeconfig: Path
    stack: AsyncExitStack

    async def operator(self, *options: str) -> Running:
        words = ("operator", "--probes-port", "0", "--namespaces", self.namespace, "--lease-namespace", self.namespace)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-m", "pointsman", *words, *options,
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(self.kubeconfig)},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        running = Running(process)
        listening = asyncio.create_task(running.listen())
        self.stack.callback(listening.cancel)
        self.stack.push_async_callback(running.stop, signal.SIGKILL)
        await until(lambda: running.said("waiting for the lease") or process.returncode)
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
async def place(crds: Cluster) -> AsyncIterator[Place]:
    async with namespace(crds) as name, AsyncExitStack() as stack:
        client = Client(await connect(str(crds.kubeconfig)))
        stack.push_async_callback(client.close)
        yield Place(client, name, crds.kubeconfig, stack)


async def quiet(running: Running) -> dict[str, float]:
    """The writes so far, once there are no more for a second."""
    before: dict[str, float] = {}
    while (now := await running.writes()) != before:
        before = now
        await asyncio.sleep(1)
    return now


async def test_a_model_serves_and_then_nothing_is_written(place: Place) -> None:
    running = await place.leading()
    await place.model("churn", replicas=2)
    await until(lambda: place.is_("churn", Accepted="True", Ready="True", UpToDate="True"))
    (revision,) = await place.names(MODEL_REVISION)
    assert await place.names(WORKLOAD) == [revision]
    assert await place.names(SERVICE) == ["churn", revision]
    events = (await place.client.list(EVENT, place.namespace)).items
    assert [e["reason"] for e in events if e["regarding"]["kind"] == "ModelDeployment"] == ["FirstVersion"]
    before = await quiet(running)
    await asyncio.sleep(6)  # longer than a renewal of the lease: the only write there may be
    assert await running.writes() == before
    assert (await running.get("/healthz")).text == "ok\n"
    assert not [line for line in running.lines if line["level"] not in ("info", "debug")]


async def test_a_restart_writes_nothing(place: Place) -> None:
    first = await place.leading()
    await place.model("churn")
    await until(lambda: place.is_("churn", Ready="True", UpToDate="True"))
    await quiet(first)
    assert await first.stop() == 0
    second = await place.leading()
    await until(lambda: reconciled(second))
    assert await quiet(second) == {}


async def reconciled(running: Running) -> bool:
    return 'pointsman_reconciles_total{result="ok"}' in (await running.get("/metrics")).text


@pytest.mark.parametrize("kind", [WORKLOAD, SERVICE], ids=lambda kind: kind.name)
async def test_a_child_that_is_deleted_or_edited_by_hand_is_set_back(place: Place, kind: Kind) -> None:
    await place.leading()
    await place.model("churn")
    await until(lambda: place.is_("churn", Ready="True"))
    (revision,) = await place.names(MODEL_REVISION)
    before = await place.get(kind, revision)
    await place.client.delete(kind, place.namespace, revision, uid=before["metadata"]["uid"])

    async def is_back() -> bool:
        try:
            found = await place.get(kind, revision)
        except Missing:
            return False
        return bool(found["metadata"]["uid"] != before["metadata"]["uid"])

    await until(is_back)
    edited = {"spec": {"replicas": 7}} if kind is WORKLOAD else {"spec": {"selector": {"by": "hand"}}}
    await place.client.merge(kind, place.namespace, revision, edited)

    async def is_set_back() -> bool:
        spec = (await place.get(kind, revision))["spec"]
        return bool(spec["replicas"] == 1 if kind is WORKLOAD else "by" not in spec["selector"])

    await until(is_set_back)


async def test_who_waits_for_a_hostname_gets_it_when_its_holder_goes(place: Place) -> None:
    await place.leading()
    await place.apply(
        GATEWAY, "models", gatewayClassName="none", listeners=[{"name": "http", "port": 80, "protocol": "HTTP"}]
    )
    traffic = {"parentRefs": [{"name": "models"}], "hostnames": ["churn.example.com"]}
    older = await place.model("older", traffic=traffic)
    await until(lambda: place.is_("older", Accepted="True"))
    await asyncio.sleep(1.1)  # creationTimestamps have seconds
    await place.model("a-newer", traffic=traffic)
    await until(lambda: place.is_("a-newer", Accepted="False"))
    assert f"{place.namespace}/older" in (await place.condition("a-newer", "Accepted"))["message"]
    assert await place.is_("older", Accepted="True")
    await place.client.delete(MODEL_DEPLOYMENT, place.namespace, "older", uid=older["metadata"]["uid"])
    await until(lambda: place.is_("a-newer", Accepted="True"))


async def test_somebody_elses_object_is_not_taken(place: Place) -> None:
    meta = {"name": "churn", "namespace": place.namespace}
    spec = {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}
    await place.client.post({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    await place.leading()
    await place.model("churn")

    async def is_said() -> bool:
        status = (await place.get(MODEL_DEPLOYMENT, "churn")).get("status", {})
        return "conflict with" in json.dumps(status.get("conditions", []))

    await until(is_said)
    assert (await place.get(SERVICE, "churn"))["spec"]["selector"] == {"app": "theirs"}


async def test_a_standby_is_ready_and_takes_over_from_a_leader_that_stops(place: Place) -> None:
    first = await place.leading()
    second = await place.operator()
    await place.model("churn")
    await until(lambda: place.is_("churn", Ready="True"))
    assert (await second.get("/readyz")).status_code == 200
    assert "pointsman_leading 0.0" in (await second.get("/metrics")).text
    assert not await second.writes()
    assert await first.stop() == 0
    await until(lambda: second.said("leading"))
    lease = await place.client.get(LEASE, place.namespace, "pointsman")
    assert lease["spec"]["holderIdentity"] == second.said("leading")[0]["identity"]
    await place.model("fraud")
    await until(lambda: place.is_("fraud", Ready="True"))


async def test_who_loses_the_lease_ends(place: Place) -> None:
    running = await place.leading()
    lease = await place.client.get(LEASE, place.namespace, "pointsman")
    thief = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 3600}}
    await place.client.merge(LEASE, place.namespace, lease["metadata"]["name"], thief)
    assert await asyncio.wait_for(running.process.wait(), 30) == 1
    (ended,) = running.said("ended by itself")
    assert (ended["part"], ended["error"]) == ("lease", "the lease pointsman was taken by thief")
    lease = await place.client.get(LEASE, place.namespace, "pointsman")
    assert lease["spec"]["holderIdentity"] == "thief"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--prometheus-url", "prometheus"], "write one such as http://prometheus"),
        (["--gateway-metrics", "nginx"], "envoy-gateway"),
    ],
)
async def test_a_mistake_in_the_settings_is_a_sentence(place: Place, options: list[str], sentence: str) -> None:
    running = await place.operator(*options)
    assert await running.stop() == 1
    (ended,) = running.said("ended")
    assert sentence in ended["error"]
