"""A stage for stories: a namespace on the bare API server, with users, a gateway, Prometheus, and room for operators."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.lab import gateway, models, programs
from bench.lab.api import Api, Credentials, Json, Mirror
from tests.controller.operators import Running, spawn
from tests.faults.kills.users import Users, metrics, scraping

SHARES = (25, 50)  # of the steps, in percent
_KINDS = ("ModelDeployment", "ModelRevision", "Deployment", "Service", "HTTPRoute")


def policy(name: str, hold: str) -> Json:
    """A policy whose rollouts take seconds, or wait at the first step where `hold` is long."""
    made = models.policy(name, models.Pace(hold=hold, interval="1s", warmup="1s", keep="1s"))
    made["spec"]["steps"] = [{"canary": {"percent": share}, "hold": hold} for share in SHARES]
    made["spec"]["warmup"]["requests"] = 0
    made["spec"]["capacity"] = {"maxSurge": "100%"}
    made["spec"]["progressDeadline"] = "5m"
    return made


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all stages share: users and their Prometheus, a runtime, and a quick and a patient policy."""

    credentials: Credentials
    users: Users
    prometheus: str
    namespaces: tuple[str, ...]
    runtime: str
    quick: str
    patient: str


@asynccontextmanager
async def surroundings(kubeconfig: Path, stages: int) -> AsyncIterator[Surroundings]:
    """For so many stages."""
    credentials, run = Credentials.of(kubeconfig), f"faults-{uuid.uuid4().hex[:6]}"
    namespaces = [f"{run}-{number}" for number in range(stages)]
    users = Users()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api.open(credentials))
        for obj in (models.runtime(run), policy(f"{run}-quick", "1s"), policy(f"{run}-patient", "1h")):
            await api.apply(obj)
            stack.push_async_callback(api.delete, obj["kind"], None, obj["metadata"]["name"])
        for name in namespaces:
            await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            stack.push_async_callback(api.delete, "Namespace", None, name)
        port = await stack.enter_async_context(metrics(users))
        prometheus = await stack.enter_async_context(
            programs.configured_prometheus(scraping(kubeconfig, namespaces, port), log="faults")
        )
        yield Surroundings(
            credentials=credentials,
            users=users,
            prometheus=prometheus.url,
            namespaces=tuple(namespaces),
            runtime=run,
            quick=f"{run}-quick",
            patient=f"{run}-patient",
        )


@dataclass(kw_only=True)
class Stage:
    """One namespace; `operators` are all that ever ran there."""

    around: Surroundings
    namespace: str
    api: Api
    mirrors: dict[str, Mirror]
    operators: list[Running] = field(default_factory=list)

    def seen(self, kind: str) -> dict[str, Json]:
        """All objects of a kind, by name."""
        return self.mirrors[kind].objects

    def model(self, name: str, *, policy: str) -> Json:
        """A ModelDeployment at version 1."""
        return models.deployment(name, self.namespace, runtime=self.around.runtime, policy=policy)

    async def start(self, kubeconfig: Path, *options: str) -> Running:
        """Start an operator; it may have to wait for the lease."""
        words = ("--probes-port=0", f"--namespaces={self.namespace}", f"--lease-namespace={self.namespace}")
        prometheus = f"--prometheus-url={self.around.prometheus}"
        running = await spawn(kubeconfig, "-m", "pointsman", "operator", *words, prometheus, *options)
        self.operators.append(running)
        return running

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing has changed for so long."""
        while True:
            last = max(mirror.heard for mirror in self.mirrors.values())
            if (left := last + seconds - time.perf_counter()) <= 0:
                return
            await asyncio.sleep(left)


@asynccontextmanager
async def stage(around: Surroundings, namespace: str) -> AsyncIterator[Stage]:
    """A stage on which no operator works yet."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api.open(around.credentials))
        await api.apply(gateway.gateway(namespace))
        mirrors = {kind: await stack.enter_async_context(Mirror.open(api, kind, namespace)) for kind in _KINDS}
        mirrors["HTTPRoute"].listen(lambda type_, route: None if type_ == "DELETED" else around.users.follow(route))
        await stack.enter_async_context(gateway.obeying(api, mirrors["HTTPRoute"], namespace))
        made = Stage(around=around, namespace=namespace, api=api, mirrors=mirrors)
        try:
            yield made
        finally:
            for running in made.operators:
                await running.end()
