"""Hundreds to thousands of ModelDeployments: created at once, left alone, and met again after a restart, beside a bare client that does the same."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.lab import bare, models, programs, workloads
from bench.lab.figures import Figure
from bench.lab.options import Options
from bench.lab.own import own
from bench.lab.place import Place, place
from bench.lab.programs import ROOT, Program
from bench.lab.recorder import Request, recording

NAME = "scale"
PACE = models.Pace(hold="5m", interval="10s", warmup="30s")
_MB = 1_000_000
_LONGEST = 1800.0  # seconds until we stop waiting
_SETTLED = 7.0  # seconds: statuses that are no news are written by then
_TARGETS = {1_000: 240.0, 5_000: 650.0}  # MB
_LINEAR = 1.05  # the exponent of what is linear, as well as one can measure


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured with so many ModelDeployments; seconds, bytes, and requests a second."""

    count: int
    bare_writes: float
    created: float
    created_cpu: float
    idle_requests: float
    idle_writes: int
    idle_cpu: float
    memory: int
    most: int
    bare_list: float
    restarted: float
    restart_writes: int


async def run(options: Options) -> list[Figure]:
    """Measure each size on control planes of its own."""
    counts = options.of(quick=(20, 100), full=(100, 1_000, 5_000))
    measured = [await _measured(count, options) for count in counts]
    return [figure for one in measured for figure in _figures(one)] + _growth(measured[0], measured[-1])


async def _measured(count: int, options: Options) -> Measured:
    names = [f"model-{number:05}" for number in range(count)]
    bare_writes = await _bare_writes(names)
    async with _alone() as here:
        async with _operator(here) as operator:
            created, used = await _created(here, operator, names)
            await here.quiet(_SETTLED)
            await _at_rest(operator)
            rest = options.of(quick=6.0, full=60.0)
            before, cpu = await _requests(operator), operator.cpu()
            await asyncio.sleep(rest)
            after, cpu = await _requests(operator), operator.cpu() - cpu
            memory = operator.memory()
        listed = await _bare(here, "list")
        begun = time.perf_counter()
        async with _operator(here) as operator:
            await _decided(operator, count)
            restarted = time.perf_counter() - begun
            await here.quiet(_SETTLED)
            written = _writes(await _requests(operator))
    idle = {key: value - before.get(key, 0) for key, value in after.items()}
    return Measured(
        count=count,
        bare_writes=bare_writes,
        created=created,
        created_cpu=used,
        idle_requests=sum(idle.values()) / rest,
        idle_writes=_writes(idle),
        idle_cpu=cpu / rest,
        memory=memory["VmRSS"],
        most=memory["VmHWM"],
        bare_list=listed,
        restarted=restarted,
        restart_writes=written,
    )


@asynccontextmanager
async def _alone() -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(own())
        here = await stack.enter_async_context(place(PACE, cluster))
        await stack.enter_async_context(workloads.obeying(here.api, here.workloads, here.namespace))
        yield here


@asynccontextmanager
async def _operator(here: Place) -> AsyncIterator[Program]:
    """Prometheus is not asked for anything while nothing is rolled out."""
    async with programs.operator(here.kubeconfig, here.namespace, prometheus="http://127.0.0.1:9", log=NAME) as it:
        yield it


async def _created(here: Place, operator: Program, names: Sequence[str]) -> tuple[float, float]:
    """Seconds until all of them serve, and those of the operator's CPU."""
    begun, cpu = time.perf_counter(), operator.cpu()
    await here.serve(list(names), seconds=_LONGEST)
    return time.perf_counter() - begun, operator.cpu() - cpu


async def _bare_writes(names: Sequence[str]) -> float:
    """Seconds that a bare client needs for the same writes: those that the operator makes for one, recorded."""
    one = "model-xxxxx"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-scale-")))
        here = await stack.enter_async_context(_alone())
        writes = await _recorded(here, one, folder)
        file = folder / "script.json"
        file.write_text(bare.script(here.deployment(one), names, writes), encoding="utf-8")
        return await _bare(here, "write", str(file))


async def _recorded(here: Place, name: str, folder: Path) -> list[Request]:
    async with recording(here.credentials, folder, here.namespace) as recorder:
        async with programs.operator(recorder.kubeconfig, here.namespace, prometheus="http://127.0.0.1:9", log=NAME):
            await here.serve([name])
            await here.quiet(_SETTLED)
        return [one for one in recorder.writes() if name in one.path or name in one.body.decode()]


async def _bare(here: Place, what: str, *further: str) -> float:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.lab.bare", what, str(here.kubeconfig), *further),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    if process.stdout is not None:
        await process.stdout.readline()
    said, _ = await process.communicate(b"go\n")
    if process.returncode:
        raise RuntimeError(f"the bare client has failed to {what}")
    found = json.loads(said)
    return float(found["seconds" if what == "write" else "in_all"])


async def _decided(operator: Program, count: int) -> None:
    """Wait until the operator has decided on each of so many, a runtime and a policy."""
    async with asyncio.timeout(_LONGEST):
        while (await operator.metrics()).get(("pointsman_reconciles_total", "ok"), 0) < count + 2:  # noqa: ASYNC110  another process's
            await asyncio.sleep(0.05)


async def _at_rest(operator: Program) -> None:
    """Wait until it writes nothing any more: Events are posted a few a second, long after what they tell of."""
    before, latest = -1, time.perf_counter()
    async with asyncio.timeout(_LONGEST):
        while time.perf_counter() - latest < _SETTLED:
            if (now := _writes(await _requests(operator))) != before:
                before, latest = now, time.perf_counter()
            await asyncio.sleep(1.0)


async def _requests(operator: Program) -> dict[tuple[str, ...], float]:
    """Its requests so far: by code, kind and verb."""
    return {
        key[1:]: value for key, value in (await operator.metrics()).items() if key[0] == "pointsman_api_requests_total"
    }


def _writes(requests: dict[tuple[str, ...], float]) -> int:
    return int(sum(n for (_, kind, verb), n in requests.items() if kind != "Lease" and verb not in ("get", "list")))


def _figures(it: Measured) -> list[Figure]:
    n = f"{it.count} ModelDeployments"
    return [
        Figure(
            figure=f"{n} created at once -> all of the operator's objects and status written",
            value=it.created / it.bare_writes,
            unit="x a bare client",
            target=1.3,
        ),
        Figure(figure=f"{n} created at once", value=it.created, unit="s"),
        Figure(figure=f"{n} created at once: CPU of the operator", value=it.created_cpu, unit="s"),
        Figure(figure=f"idle with {n}: API requests", value=it.idle_requests, unit="a second", target=0.5),
        Figure(figure=f"idle with {n}: writes but the lease's", value=it.idle_writes, unit="writes", target=0),
        Figure(figure=f"idle with {n}: CPU", value=it.idle_cpu * 100, unit="% of a core", target=1),
        Figure(figure=f"memory with {n}", value=it.memory / _MB, unit="MB", target=_TARGETS.get(it.count)),
        Figure(figure=f"memory with {n}: the most it ever held", value=it.most / _MB, unit="MB"),
        Figure(
            figure=f"restart with {n} -> every object seen and decided once",
            value=it.restarted / it.bare_list,
            unit="x a bare client's lists",
            target=2,
        ),
        Figure(figure=f"restart with {n}", value=it.restarted, unit="s"),
        Figure(figure=f"restart with {n}: writes", value=it.restart_writes, unit="writes", target=0),
    ]


def _growth(few: Measured, many: Measured) -> list[Figure]:
    """How each figure grows with the number of objects: 1 is linear."""
    figures = {
        "creating": (few.created, many.created),
        "idle CPU": (few.idle_cpu, many.idle_cpu),
        "memory": (few.memory, many.memory),
        "restart": (few.restarted, many.restarted),
    }
    apart = math.log(many.count / few.count)
    return [
        Figure(
            figure=f"growth from {few.count} to {many.count}: {what}",
            value=math.log(max(after, 1e-3) / max(before, 1e-3)) / apart,
            unit="exponent",
            target=_LINEAR,
        )
        for what, (before, after) in figures.items()
    ]
