"""A namespace in which everything is real but the pods and the gateway, and where every part can be made to fail."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.lab import gateway, models
from bench.lab.api import Api, Credentials, Json
from bench.lab.programs import ROOT
from tests.faults.chronicle import PATIENCE, Chronicle, chronicle, version_of
from tests.faults.proxy import Proxy, proxy
from tests.faults.scraped import Prometheus, Scraped, Skewed

REPLICAS, SURGE = 2, 1
POLICY: Json = {
    "steps": [{"canary": {"percent": 20}, "hold": "2s"}, {"canary": {"percent": 50}, "hold": "2s"}],
    "gates": [{"name": "errors", "signal": "Errors", "tolerance": {"ratio": "2", "points": "1"}}],
    "interval": "1s",
    "warmup": {"duration": "1s", "requests": 0},
    "capacity": {"maxSurge": SURGE, "maxUnavailable": 0},
    "confidence": {"falseRollback": "5", "falsePromotion": "20"},
    "progressDeadline": "5m",
    "keepPrevious": "0s",
}
"""A rollout of seconds."""
HOLDING: Json = POLICY | {"steps": [{"canary": {"percent": 20}, "hold": "10m"}]}
"""One that stays at 20 % for longer than any test takes."""

_RESTART_SECONDS = 0.5


@dataclass
class Operator:
    """The operator's process, started again whenever it ends, as a kubelet does."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    lines: list[Json] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None

    def said(self, event: str) -> list[Json]:
        """The log lines with this event."""
        return [line for line in self.lines if line["event"] == event]

    async def keep(self) -> None:
        """Run it until cancelled."""
        while True:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), **self.environment},
                stderr=asyncio.subprocess.PIPE,
                limit=2**20,
            )
            assert self._process.stderr is not None
            async for line in self._process.stderr:
                self.lines.append(json.loads(line))
            self.ended.append(await self._process.wait())
            await asyncio.sleep(_RESTART_SECONDS)

    def crashes(self) -> list[Json]:
        """What it said about bugs of its own."""
        return [line for line in self.lines if "crash" in line["event"] or "exception" in line]

    async def kill(self) -> None:
        """End it without a word."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


@dataclass(kw_only=True)
class World:
    """One namespace, and all that can be done to it."""

    api: Api
    namespace: str
    chronicle: Chronicle
    proxy: Proxy
    prometheus: Prometheus
    clock: Skewed
    operator: Operator

    # -- what people do

    async def apply(self, name: str, version: str, policy: Json = POLICY, **spec: Any) -> None:
        """`kubectl apply` of a ModelDeployment with this version; one with `bad` in it harms."""
        made = models.deployment(name, self.namespace, runtime=self.namespace, policy="none", version=version)
        del made["spec"]["runtime"]
        made["spec"] |= {
            "replicas": REPLICAS,
            "template": template(),
            "port": "http",
            "metrics": METRICS,
            "rollout": policy,
        }
        made["spec"] |= spec
        await self.api.apply(made)

    async def abort(self, name: str) -> int:
        """`kubectl pointsman abort`: the version of the object that asks for it."""
        rollout = self.status(name)["rollout"]
        patch = models.abort(self.candidate(name), rollout["attempt"])
        return version_of(await self.api.merge("ModelDeployment", self.namespace, name, patch=patch))

    async def delete(self, name: str) -> None:
        """`kubectl delete` of a ModelDeployment."""
        await self.api.delete("ModelDeployment", self.namespace, name)

    # -- what is there

    def status(self, name: str) -> Json:
        """A ModelDeployment's status."""
        status: Json = self.chronicle.objects["ModelDeployment"].get(name, {}).get("status") or {}
        return status

    def candidate(self, name: str) -> str:
        """The candidate's revision."""
        revision: str = self.status(name)["candidate"]["revision"]
        return revision

    def stable(self, name: str) -> str:
        """The stable revision."""
        revision: str = self.status(name)["stable"]["revision"]
        return revision

    def share(self, name: str, revision: str) -> float:
        """The percentage of users' requests that a revision gets."""
        return gateway.percent(self.chronicle.objects["HTTPRoute"].get(name) or {"spec": {}}, revision)

    def condition(self, name: str, kind: str) -> Json:
        """A condition of a ModelDeployment, of whatever generation."""
        found: Json = next((one for one in self.status(name).get("conditions", ()) if one["type"] == kind), {})
        return found

    def outcomes(self, name: str) -> list[tuple[str, str]]:
        """Version and outcome of every attempt that ended, the newest first."""
        return [(one["version"], one["outcome"]) for one in self.status(name).get("history", ())]

    def outcome(self, name: str) -> Json:
        """How the newest attempt ended."""
        found: Json = self.status(name)["history"][0]
        return found

    def revisions(self, name: str) -> list[str]:
        """All revisions of a ModelDeployment."""
        return sorted(one for one in self.chronicle.objects["ModelRevision"] if one.startswith(f"{name}-"))

    # -- what is waited for

    async def until_led(self) -> None:
        """Until the operator leads."""
        await self.chronicle.until(lambda: self.operator.said("leading"), "the operator leads")

    async def until_serves(self, name: str, version: str, seconds: float = PATIENCE) -> None:
        """Until this version takes all traffic, and nothing else is going on."""

        def holds() -> bool:
            obj = self.chronicle.objects["ModelDeployment"].get(name)
            if obj is None or not models.settled(obj) or "rollout" in obj["status"]:
                return False
            return bool(obj["status"]["stable"]["version"] == version)

        await self.chronicle.until(holds, f"{name} serves version {version}", seconds)

    async def until_share(self, name: str, percent: float, seconds: float = PATIENCE) -> str:
        """Until the candidate has this share, decided and on the route; the candidate."""

        def holds() -> bool:
            status = self.status(name)
            decided = (status.get("rollout") or {}).get("percent") == percent
            return decided and "candidate" in status and self.share(name, self.candidate(name)) == percent

        await self.chronicle.until(holds, f"{name}'s candidate has {percent:g} %", seconds)
        return self.candidate(name)

    async def until_at_zero(self, name: str, candidate: str, seconds: float = PATIENCE) -> None:
        """Until a revision gets no users' requests any more."""
        await self.chronicle.until(
            lambda: name in self.chronicle.objects["HTTPRoute"] and not self.share(name, candidate),
            f"{candidate} is at 0 %",
            seconds,
        )

    async def until_outcome(self, name: str, version: str, outcome: str, seconds: float = PATIENCE) -> None:
        """Until an attempt has ended so, and nothing runs any more."""
        await self.chronicle.until(
            lambda: "rollout" not in self.status(name) and self.outcomes(name)[:1] == [(version, outcome)],
            f"version {version} of {name} is {outcome}",
            seconds,
        )

    async def until_said(
        self, name: str, kind: str, *words: str, status: str = "False", seconds: float = PATIENCE
    ) -> str:
        """Until a condition has this status and says these words; its message."""

        def holds() -> bool:
            said = self.condition(name, kind)
            return said.get("status") == status and all(word in said.get("message", "") for word in words)

        await self.chronicle.until(holds, f"{kind} of {name} is {status} and says {words}", seconds)
        message: str = self.condition(name, kind)["message"]
        return message

    async def looks(self, more: int) -> None:
        """Until Prometheus could have been asked so many times more: for what must *not* happen meanwhile."""
        await asyncio.sleep(more * 1.0)


METRICS: Json = {"port": "http", "requests": {"counter": models.REQUESTS, "failed": {"code": "5.."}}}


def template() -> Json:
    """A pod of a model server that is only pretended."""
    container = {
        "name": "model",
        "image": "example.invalid/model:1",
        "ports": [{"name": "http", "containerPort": models.PORT}],
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
    }
    return {"spec": {"containers": [container]}}


def is_bad(pods: dict[str, Json], name: str) -> bool:
    """Whether a pod runs a version that harms."""
    containers = (pods.get(name) or {"spec": {"containers": ()}})["spec"]["containers"]
    return any("bad" in env.get("value", "") for one in containers for env in one.get("env", ()))


_POD = {"POD_NAME": "pointsman-0"}  # what is started again is the same pod's
Seat = Callable[[Proxy], tuple[list[str], dict[str, str]]]
"""Where the operator sits: the words and the environment by which it finds the API server behind a proxy."""


def at_a_desk(proxy: Proxy) -> tuple[list[str], dict[str, str]]:
    """With a kubeconfig."""
    return ["-m", "pointsman", "operator", f"--kubeconfig={proxy.kubeconfig}"], _POD


def in_a_pod(account: Path) -> Seat:
    """With a pod's service account, whose folder is this one here."""
    start = (
        "from pathlib import Path; from pointsman.cluster import connection;"
        f" connection.SERVICE_ACCOUNT = Path({str(account)!r}); from pointsman.cli import main; main()"
    )

    def sits(proxy: Proxy) -> tuple[list[str], dict[str, str]]:
        where = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(proxy.port), "KUBECONFIG": ""}
        return ["-c", start, "operator"], _POD | where

    return sits


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a world is: on which API server, in which namespace, seen by which Prometheus."""

    kubeconfig: Path
    folder: Path
    namespace: str
    sight: Scraped


def namespaces(count: int) -> list[str]:
    """Names that nobody has."""
    return [f"faults-{uuid.uuid4().hex[:8]}" for _ in range(count)]


@asynccontextmanager
async def world(
    site: Site, *options: str, seat: Seat = at_a_desk, tls: ssl.SSLContext | None = None
) -> AsyncIterator[World]:
    """A world until the end of the block; `options` are the operator's, `tls` is what the way to the API server serves with."""
    credentials, namespace = Credentials.of(site.kubeconfig), site.namespace
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api.open(credentials))
        await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        stack.push_async_callback(api.delete, "Namespace", None, namespace)
        await api.apply(gateway.gateway(namespace))
        seen = await stack.enter_async_context(chronicle(api, namespace))
        site.sight.harms[namespace] = lambda name: is_bad(seen.objects["Pod"], name)
        clock = await stack.enter_async_context(site.sight.way())
        way = await stack.enter_async_context(proxy(credentials, site.folder, tls))
        words, environment = seat(way)
        common = (f"--namespaces={namespace}", f"--lease-namespace={namespace}", "--probes-port=0")
        command = [sys.executable, *words, *common, f"--prometheus-url={clock.url}", *options]
        operator = Operator(command, environment)
        keeping = asyncio.create_task(operator.keep())
        stack.push_async_callback(operator.kill)
        stack.callback(keeping.cancel)
        here = World(
            api=api,
            namespace=namespace,
            chronicle=seen,
            proxy=way,
            prometheus=site.sight.prometheus,
            clock=clock,
            operator=operator,
        )
        yield here
