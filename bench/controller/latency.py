"""How soon a spec change makes the candidate's Deployment, and an abort puts the route at 0 %, in units of one server-side apply."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.lab import gateway, models, programs, unit
from bench.lab.api import Objects
from bench.lab.figures import Figure, quantile
from bench.lab.options import Options
from bench.lab.place import Place, place

NAME = "latency"
PACE = models.Pace(hold="1h", interval="2s", warmup="1s")
_SCRAPE, _RATE = "1s", 200
_MODELS = 10
_QUIET = 0.3  # seconds without any change before a measurement


@dataclass(frozen=True, kw_only=True)
class _Sample:
    created: float  # seconds from the answer to the spec's PATCH to the candidate's Deployment
    aborted: float  # seconds from the answer to the annotation's PATCH to the route without the candidate


async def run(options: Options) -> list[Figure]:
    """Measure the unit, then cycles of a spec change and an abort, then the unit again."""
    cycles = options.of(quick=10, full=100)
    applies = options.of(quick=100, full=unit.APPLIES)
    async with place(PACE) as here:
        before = await unit.seconds(here.credentials, here.namespace, seed=options.seed, applies=applies)
        samples = await _cycles(here, cycles, options.seed)
        after = await unit.seconds(here.credentials, here.namespace, seed=options.seed + 1, applies=applies)
    return _figures(samples, before, after)


async def _cycles(here: Place, cycles: int, seed: int) -> list[_Sample]:
    names = [f"model-{number}" for number in range(min(_MODELS, cycles))]
    draw = random.Random(seed)
    async with AsyncExitStack() as stack:
        exporter = await stack.enter_async_context(programs.exporter(seed=seed, rate=_RATE, log=NAME))
        prometheus = await stack.enter_async_context(
            programs.prometheus(here.kubeconfig, here.namespace, exporter=exporter, scrape=_SCRAPE, log=NAME)
        )
        await stack.enter_async_context(
            programs.operator(here.kubeconfig, here.namespace, prometheus=prometheus.url, log=NAME)
        )
        await here.serve(names)
        # At any moment between two looks, so that every so often a look comes in between.
        return [await _cycle(here, names[number % len(names)], number, draw) for number in range(cycles)]


async def _cycle(here: Place, name: str, number: int, draw: random.Random) -> _Sample:
    await here.quiet(_QUIET + draw.random() * 2)
    before = frozenset(here.workloads.objects)
    await here.api.merge("ModelDeployment", here.namespace, name, patch=models.version(number + 2))
    asked = time.perf_counter()
    created = await here.workloads.until(lambda seen: _new(seen, before), what=f"{name} has a candidate")
    candidate = _new(here.workloads.objects, before)[0]
    await here.routes.until(lambda seen: _share(seen, name, candidate) > 0, what=f"{candidate} gets traffic")
    await here.quiet(_QUIET + draw.random() * 2)
    attempt = here.models.objects[name]["status"]["rollout"]["attempt"]
    patch = models.abort(candidate, attempt)
    await here.api.merge("ModelDeployment", here.namespace, name, patch=patch)
    told = time.perf_counter()
    lowered = await here.routes.until(lambda seen: not _share(seen, name, candidate), what=f"{candidate} is at 0 %")
    await here.workloads.until(lambda seen: candidate not in seen, what=f"{candidate} is gone")
    return _Sample(created=created - asked, aborted=lowered - told)


def _new(seen: Objects, before: frozenset[str]) -> Sequence[str]:
    return [name for name in seen if name not in before]


def _share(seen: Objects, name: str, candidate: str) -> int:
    return gateway.weights(seen[name]).get(candidate, 0)


def _figures(samples: list[_Sample], before: list[float], after: list[float]) -> list[Figure]:
    one = unit.median(before + after)
    created, aborted = [sample.created for sample in samples], [sample.aborted for sample in samples]
    rows = (
        ("spec change -> candidate Deployment", created, 0.5, 4),
        ("spec change -> candidate Deployment", created, 0.99, 10),
        ("abort annotation -> route at 0 %", aborted, 0.5, 3),
        ("abort annotation -> route at 0 %", aborted, 0.99, 8),
    )
    ratios = [
        Figure(
            figure=f"{what}, p{level * 100:g} of {len(taken)}",
            value=quantile(taken, level) / one,
            unit="applies",
            target=target,
        )
        for what, taken, level, target in rows
    ]
    plain = [
        Figure(figure=f"{what}, p{level * 100:g}", value=quantile(taken, level) * 1000, unit="ms")
        for what, taken, level, _ in rows
    ]
    units = [
        Figure(figure=f"one server-side apply, p50 of {len(taken)}, {when}", value=unit.median(taken) * 1000, unit="ms")
        for when, taken in (("before", before), ("after", after))
    ]
    return [*ratios, *units, *plain]
