"""Users of the models: they send requests by the weights of the routes, and every pod counts its own for Prometheus to scrape."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.lab import gateway, programs
from bench.lab.api import Json
from bench.lab.exporter import EDGES, FAILING, shares
from bench.lab.models import LATENCY, REQUESTS

RATE = 4000.0
"""Requests a second that every pod of a revision gets while all of the traffic is the revision's."""
SCRAPE = "1s"
LABEL = "failing"
"""Of a pod template: the percentage of requests that fail there."""

_BELOW = shares().cumsum()[:-1]


@dataclass(frozen=True, kw_only=True)
class Scrape:
    """What a pod said, and when; Unix seconds."""

    at: float
    requests: int
    bad: int


@dataclass(kw_only=True)
class Pod:
    """A pod's counters, and all that it ever said."""

    revision: str
    failing: float
    started: float
    advanced: float
    served: float = 0.0
    said: list[Scrape] = field(default_factory=list)

    def advance(self, now: float, rate: float) -> None:
        """Serve what users have sent since the last time."""
        self.served += max(now - self.advanced, 0.0) * rate
        self.advanced = now

    def text(self) -> str:
        """Its counters in Prometheus' text format; what it says is remembered."""
        total = int(self.served)
        bad = int(total * self.failing)
        self.said.append(Scrape(at=self.advanced, requests=total, bad=bad))
        lines = [
            f"# TYPE {REQUESTS} counter",
            f'{REQUESTS}{{code="200"}} {total - bad}',
            f'{REQUESTS}{{code="500"}} {bad}',
            f"# TYPE {LATENCY} histogram",
            *(
                f'{LATENCY}_bucket{{le="{edge}"}} {math.floor(total * part)}'
                for edge, part in zip(EDGES, _BELOW, strict=True)
            ),
            f'{LATENCY}_bucket{{le="+Inf"}} {total}',
            f"{LATENCY}_sum {total * 0.05:.3f}",
            f"{LATENCY}_count {total}",
            "# TYPE process_start_time_seconds gauge",
            f"process_start_time_seconds {self.started:.3f}",
        ]
        return "\n".join(lines) + "\n"


class Users:
    """All users, and all pods that were ever scraped."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}  # by namespace/name
        self._shares: dict[str, float] = defaultdict(float)  # by namespace/revision
        self._first: dict[tuple[str, float], float] = {}  # when a revision had a share first

    def follow(self, route: Json) -> None:
        """Send requests as this route says from now on."""
        namespace, weights = route["metadata"]["namespace"], gateway.weights(route)
        now, total = time.time(), max(sum(weights.values()), 1)
        for revision, weight in weights.items():
            key = f"{namespace}/{revision}"
            for pod in self._pods.values():
                if pod.revision == key:
                    pod.advance(now, RATE * self._shares[key])
            self._shares[key] = weight / total
            self._first.setdefault((key, self._shares[key]), now)

    def scrape(self, name: str, revision: str, failing: float) -> str:
        """What a pod says now; it starts when it is asked first."""
        now = time.time()
        if name not in self._pods:
            self._pods[name] = Pod(revision=revision, failing=failing, started=now, advanced=now)
        pod = self._pods[name]
        pod.advance(now, RATE * self._shares[revision])
        return pod.text()

    def pods(self, namespace: str, revision: str) -> list[list[Scrape]]:
        """All that the pods of a revision ever said."""
        return [pod.said for pod in self._pods.values() if pod.revision == f"{namespace}/{revision}"]

    def since(self, namespace: str, revision: str, share: float) -> float:
        """When a revision had this share first."""
        return self._first[f"{namespace}/{revision}", share]


@asynccontextmanager
async def metrics(users: Users) -> AsyncIterator[int]:
    """Serve the pods' metrics; the port."""

    async def page(request: web.Request) -> web.Response:
        failing = float(request.query.get("failing") or 0) / 100 or FAILING
        return web.Response(text=users.scrape(request.match_info["name"], request.query["revision"], failing))

    application = web.Application()
    application.router.add_get("/pods/{name:.+}", page)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def scraping(kubeconfig: Path, namespaces: list[str], port: int) -> Mapping[str, Any]:
    """Prometheus' configuration: as the benchmarks', for several namespaces, and every pod says whose it is."""
    configuration = programs.scraping(kubeconfig, namespaces[0], exporter=port, scrape=SCRAPE)
    (job,) = configuration["scrape_configs"]
    job["kubernetes_sd_configs"][0]["namespaces"]["names"] = namespaces
    revision = ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_label_pointsman_dev_revision"]
    job["relabel_configs"] += [
        {"source_labels": revision, "separator": "/", "target_label": "__param_revision"},
        {"source_labels": [f"__meta_kubernetes_pod_label_{LABEL}"], "target_label": "__param_failing"},
    ]
    return configuration
