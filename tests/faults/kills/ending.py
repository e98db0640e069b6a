"""How a story has ended: the objects of a model without times and counts, and whether what the record counted was really served."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from bench.lab.api import Json
from tests.faults.kills.stage import SHARES, Stage
from tests.faults.kills.stories import of
from tests.faults.kills.users import Scrape

_TIMES = re.compile(r"(At|Time|^at)$")
_OWN = re.compile(r"\b(tale-\d+|faults-\w+-\d+)\b")
_DROPPED = frozenset({"gates", "message", "pointsman.dev/applied", "clusterIP", "clusterIPs", "nodePort"})
_BEHIND = 3  # scrapes that a look may be late for
_LATE = 4.0  # seconds that what a look sees may be old
_LAST = SHARES[-1] / 100


def ending(stage: Stage, model: str) -> Json:
    """What is left of a story: the same for every run of it."""
    (deployment,) = of(stage.seen("ModelDeployment"), model)
    left = {
        "status": deployment.get("status"),
        "revisions": {obj["metadata"]["name"]: obj.get("status") for obj in of(stage.seen("ModelRevision"), model)},
        "routes": [_written(obj) for obj in of(stage.seen("HTTPRoute"), model)],
        "workloads": [_written(obj) for obj in of(stage.seen("Deployment"), model)],
        "services": [_written(obj) for obj in of(stage.seen("Service"), model)],
    }
    said: Json = json.loads(_OWN.sub("", json.dumps(_timeless(left))))
    return said


def _written(obj: Json) -> Json:
    annotations = obj["metadata"].get("annotations") or {}
    return {"name": obj["metadata"]["name"], "annotations": annotations, "spec": obj["spec"]}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in _DROPPED and _TIMES.search(key) is None}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Where two endings differ, a line each."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{where}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif before != after:
        yield f"{where.lstrip('.')}: {json.dumps(after)[:200]} instead of {json.dumps(before)[:200]}"


def miscounted(stage: Stage, model: str) -> Iterator[str]:
    """Where a record's counts are not what the pods had counted at one moment, or at one too early to be a proof."""
    users, namespace = stage.around.users, stage.namespace
    revisions = of(stage.seen("ModelRevision"), model)
    for revision in revisions:
        name = revision["metadata"]["name"]
        candidate = users.pods(namespace, name)
        stables = [users.pods(namespace, one["metadata"]["name"]) for one in revisions if one is not revision]
        for attempt in revision.get("status", {}).get("attempts", ()):
            for gate in attempt["gates"]:
                moments = _moments(candidate, gate)
                if not moments:
                    served = _served(candidate, math.inf)
                    yield f"{gate['name']}: {gate['candidateRequests']} requests fit no moment; {served} at the end"
                elif not any(_fits(stable, candidate, gate, attempt) for stable in stables):
                    yield f"{gate['name']}: stable's {gate['stableRequests']} requests are not what it served then"
                elif attempt.get("reason") == "Proven" and moments[-1] < users.since(namespace, name, _LAST):
                    yield f"{gate['name']}: promoted on counts of before its last step"


def _moments(candidate: Sequence[Sequence[Scrape]], gate: Json) -> list[float]:
    """When the candidate's pods together had counted so much."""
    wanted = gate["candidateRequests"], gate["candidateBad"]
    return [at for at in _times(candidate) if any(_same(sum_, wanted, gate) for sum_ in _sums(candidate, at))]


def _fits(stable: Sequence[Sequence[Scrape]], candidate: Sequence[Sequence[Scrape]], gate: Json, attempt: Json) -> bool:
    """Whether stable's pods counted so much, about from the attempt's first look to the candidate's moment.

    Not to the request, as the candidate: each of its pods begins to count at the first look that sees it, which is at
    the latest the one that brings the candidate's first requests.
    """
    moments = _moments(candidate, gate)
    begun = _seconds(attempt["startedAt"])
    traffic = min((one.at for pod in candidate for one in pod if one.requests), default=math.inf)
    most = _served(stable, moments[-1] + 1) - _served(stable, begun - _LATE)
    least = _served(stable, moments[0] - _LATE) - _served(stable, traffic + _LATE)
    counted: int = gate["stableRequests"]
    return least <= counted <= most


def _served(pods: Sequence[Sequence[Scrape]], at: float) -> int:
    return sum(max((one.requests for one in pod if one.at <= at), default=0) for pod in pods)


def _same(found: tuple[int, int], wanted: tuple[int, int], gate: Json) -> bool:
    return found == wanted if gate["signal"] == "Errors" else found[0] == wanted[0]


def _times(pods: Sequence[Sequence[Scrape]]) -> list[float]:
    return sorted(scrape.at for said in pods for scrape in said)


def _sums(pods: Sequence[Sequence[Scrape]], at: float) -> list[tuple[int, int]]:
    """What a look at this time may have seen: the last scrape of every pod, or one before where it was not stored yet."""
    seen = []
    for said in pods:
        known = [scrape for scrape in said if scrape.at <= at]
        seen.append([(one.requests, one.bad) for one in known[-_BEHIND:]] or [(0, 0)])
    return [(sum(one[0] for one in each), sum(one[1] for one in each)) for each in itertools.product(*seen)]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
