"""How much memory the operator holds with many ModelDeployments."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from bench.lab import models, programs
from bench.lab.figures import Figure
from bench.lab.options import Options
from bench.lab.place import place

NAME = "memory"
PACE = models.Pace(hold="5m", interval="10s", warmup="30s")
_RATE = 200
_MB = 1_000_000


async def run(options: Options) -> list[Figure]:
    """Serve many ModelDeployments, let the operator come to rest, and read what the kernel counts as its memory."""
    count = options.of(quick=20, full=100)
    rest = options.of(quick=5.0, full=60.0)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(place(PACE))
        exporter = await stack.enter_async_context(programs.exporter(seed=options.seed, rate=_RATE, log=NAME))
        prometheus = await stack.enter_async_context(
            programs.prometheus(here.kubeconfig, here.namespace, exporter=exporter, scrape="10s", log=NAME)
        )
        operator = await stack.enter_async_context(
            programs.operator(here.kubeconfig, here.namespace, prometheus=prometheus.url, log=NAME)
        )
        empty = operator.memory()["VmRSS"]
        begun = time.perf_counter()
        await here.serve([f"model-{number:03}" for number in range(count)], seconds=300)
        served = time.perf_counter() - begun
        await here.quiet(2.0)
        used = operator.cpu()
        await asyncio.sleep(rest)
        used = operator.cpu() - used
        memory = operator.memory()
    return [
        Figure(figure=f"memory with {count} ModelDeployments", value=memory["VmRSS"] / _MB, unit="MB", target=130),
        Figure(figure="the most it ever held", value=memory["VmHWM"] / _MB, unit="MB"),
        Figure(figure="memory without any", value=empty / _MB, unit="MB"),
        Figure(figure="CPU while nothing changes", value=used / rest * 100, unit="% of a core"),
        Figure(figure=f"{count} ModelDeployments created at once -> all serve", value=served, unit="s"),
    ]
