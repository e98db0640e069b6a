"""A model cluster whose HPAs count pods by what users ask for, as late and as slow to take pods away as Kubernetes' own."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.rollout.examples import MLSERVER, spec
from tests.rollout.world import World

SYNC = timedelta(seconds=15)
MEMORY = timedelta(minutes=5)
WINDOW = 30  # seconds over which a metric is averaged: it trails the traffic
TOLERANCE = 0.1


@dataclass(kw_only=True)
class Scaled(World):
    """A World with HPAs; each keeps the requests a second of a pod near `each`."""

    each: float = 25.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked: dict[str, deque[float]] = {}  # requests of the last seconds, by revision
        self.wanted: dict[str, list[tuple[datetime, int]]] = {}  # what an HPA has thought lately
        self.synced = self.now

    def tick(self, dt: timedelta) -> None:
        """A second, and every now and then a decision of the HPAs."""
        super().tick(dt)
        shares = self.shares()
        for name in self.found("Deployment"):
            seen = self.asked.setdefault(name, deque(maxlen=WINDOW))
            seen.append(self.rps * shares.get(name, 0.0))
        if self.now - self.synced >= SYNC:
            self.synced = self.now
            self.autoscale()

    def autoscale(self) -> None:
        """What the HPA controller does at every sync."""
        for name, hpa in list(self.found("HorizontalPodAutoscaler").items()):
            pods = self.count(name)
            if pods == 0:
                continue  # Kubernetes takes that for switched off
            load, bounds = sum(self.asked[name]) / len(self.asked[name]), hpa["spec"]
            now = pods if abs(load / self.each / pods - 1) <= TOLERANCE else math.ceil(load / self.each)
            lately = [*self.wanted.get(name, [(self.now, pods)]), (self.now, now)]
            self.wanted[name] = [(at, count) for at, count in lately if self.now - at <= MEMORY]
            calm = max(count for _, count in self.wanted[name])
            desired = max(bounds["minReplicas"], min(calm, bounds["maxReplicas"]))
            if desired != pods:
                self.scale(name, desired, who="hpa")

    def count(self, revision: str) -> int:
        """Pods that a revision's Deployment asks for."""
        obj = self.objects.get(("Deployment", revision))
        return 0 if obj is None else int(obj["spec"]["replicas"])

    def bounds(self, version: str) -> tuple[int, int] | None:
        """minReplicas and maxReplicas of a version's HPA."""
        hpa = self.objects.get(("HorizontalPodAutoscaler", self.revision(version)))
        return None if hpa is None else (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"])


def scaled_spec(fewest: int = 2, most: int = 12, **changes: Any) -> dict[str, Any]:
    """The example with `autoscaling` instead of `replicas`."""
    base = {key: value for key, value in spec(**changes).items() if key != "replicas"}
    return {**base, "autoscaling": {"minReplicas": fewest, "maxReplicas": most}}


def scaled(*, rps: float = 100.0, written: dict[str, Any] | None = None) -> Scaled:
    """A world whose first version serves, its HPA at rest."""
    world = Scaled(spec=scaled_spec() if written is None else written, runtimes={"mlserver": MLSERVER}, rps=rps)
    world.run(400)
    assert world.condition("UpToDate")[0] == "True"
    world.failed_requests = 0
    world.writes.clear()
    world.events.clear()
    return world
