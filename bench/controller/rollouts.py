"""Hundreds of rollouts at the same time: how soon they start, what looking at them costs, and how soon an edit, harm or an abort gets through."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp

from bench.lab import gateway, models, programs, unit
from bench.lab.api import Json
from bench.lab.figures import Figure, quantile
from bench.lab.options import Options
from bench.lab.place import Place, place
from bench.lab.programs import Program

NAME = "rollouts"
_INTERVAL = 10.0
PACE = models.Pace(hold="30m", interval=f"{_INTERVAL:g}s", warmup="10s")
_SCRAPE, _RATE = "5s", 20  # twice in each look
_GATES = (models.ERRORS, models.LATENCY_GATE, models.TAIL)
_LOOKS = "pointsman_look_duration_seconds_count"
_QUEUE = "pointsman_queue_length"
_LONG = 1800.0  # seconds until we stop waiting
_SPARE = 10  # models that are not rolled out beside the others
_PAUSE = 0.3  # seconds between two measurements, at most
_HARMED = 3
_SURELY = 50  # failed requests at once: more than any run of a healthy version's


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """What looking at the rollouts costs, over whole intervals."""

    looks: float  # of those that were due
    longest: float  # seconds from a round's begin until everything of it was decided
    cpu: float  # of a core
    queries: float  # a round
    writes: float  # a second


async def run(options: Options) -> list[Figure]:
    """Start some rollouts together, then all; leave them, edit, harm and abort."""
    count, together = options.of(quick=(12, 4), full=(500, 100))
    samples, rounds = options.of(quick=(5, 2), full=(100, 12))
    names = [f"model-{number:03}" for number in range(count)]
    spare = [f"spare-{number}" for number in range(_SPARE)]
    draw = random.Random(options.seed)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(place(PACE, gates=_GATES))
        exporter = await stack.enter_async_context(programs.exporter(seed=options.seed, rate=_RATE, log=NAME))
        asked = await stack.enter_async_context(AsyncExitStack())
        prometheus = await asked.enter_async_context(
            programs.prometheus(here.kubeconfig, here.namespace, exporter=exporter, scrape=_SCRAPE, log=NAME)
        )
        operator = await stack.enter_async_context(
            programs.operator(here.kubeconfig, here.namespace, prometheus=prometheus.url, log=NAME)
        )
        await here.serve([*names, *spare], seconds=_LONG)
        await _started(here, spare[:_HARMED])
        harmed = [await _harmed(here, name, exporter) for name in spare[:_HARMED]]
        late = await _started(here, names[:together])
        beside = [await _harmed(here, name, exporter) for name in names[:_HARMED]]
        await _started(here, [*names[:_HARMED], *names[together:]])
        cost = await _cost(operator, prometheus, count, rounds)
        applies = await unit.seconds(here.credentials, here.namespace, seed=options.seed, applies=samples)
        calm = itertools.cycle(spare[_HARMED:])
        edited = [await _edited(here, name, draw) for name in itertools.islice(calm, samples)]
        among = [await _harmed(here, name, exporter) for name in names[-_HARMED:]]
        await asked.aclose()  # Prometheus is gone
        aborted = [await _aborted(here, name, draw) for name in names[:samples]]
        applies += await unit.seconds(here.credentials, here.namespace, seed=options.seed + 1, applies=samples)
        memory = operator.memory()["VmHWM"]
    one = unit.median(applies)
    return [
        Figure(
            figure=f"{together} rollouts started together: the longest from a candidate that is ready and warm to its first weight",
            value=max(late),
            unit="s",
            target=5,
        ),
        *_costs(cost, count),
        Figure(
            figure=f"spec change -> candidate Deployment beside {count} rollouts, p99 of {len(edited)}",
            value=quantile(edited, 0.99) / one,
            unit="applies",
            target=40,
        ),
        Figure(
            figure="the sample that lets the evidence cross is in Prometheus -> route at 0 %: what comes on top of one look,"
            f" the longest of {len(harmed)}",
            value=max(harmed) * 1000,
            unit="ms",
            target=100,
        ),
        Figure(
            figure=f"abort annotation -> route at 0 %, Prometheus down and {count} rollouts, p99 of {len(aborted)}",
            value=quantile(aborted, 0.99) / one,
            unit="applies",
            target=40,
        ),
        *(
            Figure(figure=f"harm as above, beside {others} rollouts", value=max(found) * 1000, unit="ms")
            for others, found in ((together, beside), (count, among))
        ),
        Figure(figure="one server-side apply, p50", value=one * 1000, unit="ms"),
        Figure(figure="spec change -> candidate Deployment, p50", value=quantile(edited, 0.5) / one, unit="applies"),
        Figure(figure="abort annotation -> route at 0 %, p50", value=quantile(aborted, 0.5) / one, unit="applies"),
        Figure(figure="the most memory the operator held", value=memory / 1_000_000, unit="MB"),
    ]


def _costs(cost: _Cost, count: int) -> list[Figure]:
    return [
        Figure(figure=f"{count} rollouts: looks that were not done", value=1 - cost.looks, unit="of 1", target=0),
        Figure(figure=f"{count} rollouts: the longest round of looks", value=cost.longest, unit="s", target=_INTERVAL),
        Figure(figure=f"{count} rollouts: CPU", value=cost.cpu * 100, unit="% of a core", target=50),
        Figure(figure=f"{count} rollouts: PromQL queries a look", value=cost.queries, unit="queries", target=12),
        Figure(figure=f"{count} rollouts: API writes", value=cost.writes, unit="a second", target=20),
    ]


async def _started(here: Place, names: Sequence[str]) -> list[float]:
    """Start rollouts at once; seconds from each candidate that is ready and warm to its first share of the traffic."""
    before = frozenset(here.workloads.objects)
    warm: dict[str, float] = {}

    def seen(_type: str, workload: Json) -> None:
        if workload["metadata"]["name"] not in before and workload.get("status", {}).get("availableReplicas"):
            warm.setdefault(workload["metadata"]["labels"]["pointsman.dev/deployment"], time.perf_counter())

    here.workloads.listen(seen)
    await asyncio.gather(
        *(here.api.merge("ModelDeployment", here.namespace, name, patch=_next(here, name)) for name in names)
    )
    first = await here.routes.each(
        names, lambda route: _candidates(here, route), what="every candidate gets traffic", seconds=_LONG
    )
    return [first[name] - warm[name] for name in names]


def _next(here: Place, name: str) -> Json:
    return models.version(int(here.models.objects[name]["spec"]["model"]["version"]) + 1)


def _candidates(here: Place, route: Json) -> list[str]:
    """The Services of a route that get traffic and are not the stable one's."""
    name = route["metadata"]["name"]
    stable = here.models.objects[name].get("status", {}).get("stable", {}).get("revision")
    return [one for one, weight in gateway.weights(route).items() if weight and one != stable]


async def _cost(operator: Program, prometheus: Program, count: int, rounds: int) -> _Cost:
    """Watch whole intervals, from the end of one round to the end of another; what starting left behind is over by then."""
    await _round(operator, patience=_LONG)
    before, asked, cpu, begun = (
        await operator.metrics(),
        await _queries(prometheus),
        operator.cpu(),
        time.perf_counter(),
    )
    longest = max([await _round(operator) for _ in range(rounds)])
    seconds = time.perf_counter() - begun
    after, cpu, asked = await operator.metrics(), operator.cpu() - cpu, await _queries(prometheus) - asked
    return _Cost(
        looks=(_total(after, "pointsman_looks_total") - _total(before, "pointsman_looks_total")) / (count * rounds),
        longest=longest,
        cpu=cpu / seconds,
        queries=asked / rounds,
        writes=(_total(after, "pointsman_api_writes_total") - _total(before, "pointsman_api_writes_total")) / seconds,
    )


async def _round(operator: Program, patience: float = 3 * _INTERVAL) -> float:
    """Wait for the next round of looks and until all of it is decided; the seconds it took."""
    due = _INTERVAL - time.time() % _INTERVAL
    await asyncio.sleep(due)
    begun = time.perf_counter()
    looks = _total(await operator.metrics(_LOOKS), _LOOKS)
    async with asyncio.timeout(patience):
        while True:
            now = await operator.metrics(_LOOKS, _QUEUE)
            if _total(now, _LOOKS) > looks and not _total(now, _QUEUE):
                return time.perf_counter() - begun
            await asyncio.sleep(0.1)


async def _edited(here: Place, name: str, draw: random.Random) -> float:
    """Seconds from the answer to a spec change to the candidate's Deployment; takes it back afterwards."""
    await asyncio.sleep(draw.random() * _PAUSE)
    before = frozenset(here.workloads.objects)
    await here.api.merge("ModelDeployment", here.namespace, name, patch=_next(here, name))
    asked = time.perf_counter()
    created = await here.workloads.until(lambda seen: seen.keys() - before, what=f"{name} has a candidate")
    (candidate,) = here.workloads.objects.keys() - before
    await here.models.until(lambda seen: seen[name].get("status", {}).get("rollout"), what=f"{name} says so")
    attempt = here.models.objects[name]["status"]["rollout"]["attempt"]
    await here.api.merge("ModelDeployment", here.namespace, name, patch=models.abort(candidate, attempt))
    await here.workloads.until(lambda seen: candidate not in seen, what=f"{candidate} is gone")
    return created - asked


async def _harmed(here: Place, name: str, exporter: Program) -> float:
    """Seconds from the look whose samples let the evidence cross to the route without the candidate.

    The sample that lets it cross came after the look before: so this, and no more than one interval, is what harm goes on.
    """
    (candidate,) = _candidates(here, here.routes.objects[name])
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{exporter.url}/failing/{here.namespace}/{candidate}-") as answer,
    ):
        answer.raise_for_status()
    lowered = await here.routes.until(
        lambda seen: not gateway.weights(seen[name]).get(candidate), what=f"{candidate} is at 0 %", seconds=_LONG
    )
    return (lowered + time.time() - time.perf_counter()) % _INTERVAL


async def _aborted(here: Place, name: str, draw: random.Random) -> float:
    """Seconds from the answer to the annotation to the route without the candidate."""
    await asyncio.sleep(draw.random() * _PAUSE)
    (candidate,) = _candidates(here, here.routes.objects[name])
    attempt = here.models.objects[name]["status"]["rollout"]["attempt"]
    await here.api.merge("ModelDeployment", here.namespace, name, patch=models.abort(candidate, attempt))
    told = time.perf_counter()
    lowered = await here.routes.until(
        lambda seen: not gateway.weights(seen[name]).get(candidate), what=f"{candidate} is at 0 %"
    )
    return lowered - told


async def _queries(prometheus: Program) -> float:
    """How many instant and range queries it has answered, those of this benchmark included: it asks none meanwhile."""
    return sum(
        value
        for (name, *labels), value in (await prometheus.metrics()).items()
        if name == "prometheus_http_requests_total" and any(label.startswith("/api/v1/query") for label in labels)
    )


def _total(metrics: Mapping[tuple[str, ...], float], name: str) -> float:
    return sum(value for (named, *_), value in metrics.items() if named == name)
