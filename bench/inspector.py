"""What the inspector carries on one core between trivial backends: compared requests a second, memory, and loss, counted exactly."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from bench.lab import figures, plain, programs
from bench.lab.figures import Figure
from bench.lab.options import Options

NAME: Final = "inspector"
_RATE: Final = 400  # compared requests a second
_FAST: Final = 800
_BUDGET: Final = 1000 / _RATE  # milliseconds of one core
_MEGABYTES: Final = 100
_CONNECTIONS: Final = 16  # of the gateway, all of its workers together
_MANY: Final = 256  # when it is too much
_FEATURES: Final = 30
_MEGABYTE: Final = 1_000_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the inspector had counted at a time; `cpu` in seconds."""

    at: float
    cpu: float
    received: int
    in_flight: int
    handled: dict[str, int]

    @property
    def compared(self) -> int:
        """Pairs of answers."""
        return self.handled["compared"]


def _bodies(seed: int) -> list[bytes]:
    """Requests of the Open Inference Protocol, made beforehand: the gateway should not be what is measured."""
    draw = random.Random(seed)
    rows = ([round(draw.gauss(0, 1), 4) for _ in range(_FEATURES)] for _ in range(1_000))
    inputs = ({"name": "x", "shape": [1, _FEATURES], "datatype": "FP64", "data": row} for row in rows)
    return [json.dumps({"inputs": [one]}).encode() for one in inputs]


class Place:
    """An inspector between two backends, and the gateway's connections to it."""

    def __init__(self, program: programs.Program, mirrors: list[plain.Mirror], seed: int) -> None:
        self.program = program
        self._mirrors = mirrors
        self._bodies = _bodies(seed)
        self.sent = 0

    async def send(self, mirror: plain.Mirror, *, large: bool = False) -> None:
        """Mirror one request of inputs of its own."""
        self.sent += 1
        body = plain.LARGE if large else self._bodies[self.sent % len(self._bodies)]
        path = "/large" if large else "/v2/models/churn/infer"
        await mirror.send(plain.request(path, body, number=self.sent))

    async def at_rate(self, rate: float, seconds: float) -> None:
        """So many a second, evenly."""
        begin = time.monotonic()

        async def send(number: int) -> None:
            for turn in range(number, int(rate * seconds), _CONNECTIONS):
                await asyncio.sleep(max(0.0, begin + turn / rate - time.monotonic()))
                await self.send(self._mirrors[number])

        await asyncio.gather(*map(send, range(_CONNECTIONS)))

    async def at_most(self, seconds: float) -> None:
        """As many as it accepts: on every connection the next one as soon as the last is answered."""
        until = time.monotonic() + seconds

        async def send(mirror: plain.Mirror) -> None:
            while time.monotonic() < until:
                await self.send(mirror)

        await asyncio.gather(*map(send, self._mirrors))

    async def large(self, each: int) -> None:
        """Large bodies, asked and answered, so many on every connection."""

        async def send(mirror: plain.Mirror) -> None:
            for _ in range(each):
                await self.send(mirror, large=True)

        await asyncio.gather(*map(send, self._mirrors[:_CONNECTIONS]))

    async def counted(self) -> Counted:
        """What it has counted by now."""
        at, found = time.monotonic(), await self.program.metrics()
        return Counted(
            at=at,
            cpu=self.program.cpu(),
            received=int(found["pointsman_inspector_received_total",]),
            in_flight=int(found["pointsman_inspector_in_flight",]),
            handled={key[1]: int(n) for key, n in found.items() if key[0] == "pointsman_inspector_handled_total"},
        )

    async def settled(self) -> Counted:
        """What it has counted when it has dealt with everything."""
        async with asyncio.timeout(120):
            while (counted := await self.counted()).in_flight:  # noqa: ASYNC110  another process counts
                await asyncio.sleep(0.1)
        return counted


@asynccontextmanager
async def place(seed: int, *, core: int) -> AsyncIterator[Place]:
    """The inspector has a core for itself; backends and gateway have the others."""
    others = os.sched_getaffinity(0) - {core}
    os.sched_setaffinity(0, others or {core})
    port = programs.free_port()
    async with (
        programs.backend(log=NAME, name="stable") as stable,
        programs.backend(log=NAME, name="candidate") as candidate,
    ):
        told = {
            "namespace": "ml", "deployment": "churn", "attempt": 1, "protocol": "OpenInference",
            "stable": {"revision": "s", "url": stable.url}, "candidate": {"revision": "c", "url": candidate.url},
            "features": [f"/inputs/0/data/{number}" for number in range(4)],
            "slices": {"header": "x-tenant"},
            "limits": {"requestsPerSecond": 100_000},
        }  # fmt: skip
        async with programs.inspector(json.dumps(told), port=port, core=core, log=NAME) as program:
            loop = asyncio.get_running_loop()
            mirrors = [(await loop.create_connection(plain.Mirror, "127.0.0.1", port))[1] for _ in range(_MANY)]
            yield Place(program, mirrors, seed)


async def run(options: Options) -> list[Figure]:
    """A steady load, one that is too much, and large bodies."""
    seconds = options.of(quick=2.0, full=30.0)
    async with place(options.seed, core=max(os.sched_getaffinity(0))) as here:
        await here.at_rate(_RATE, 1)
        before = await here.settled()
        await here.at_rate(_RATE, seconds)
        steady = await here.settled()
        await here.at_rate(_FAST, seconds)
        fast = await here.settled()
        rested = here.program.memory()["VmHWM"]
        await here.at_most(seconds)
        busy = await here.counted()
        after = await here.settled()
        full = here.program.memory()["VmHWM"]
        await here.large(options.of(quick=2, full=20))
        end = await here.settled()
        return [
            *_steady(_RATE, before, steady, target=0),
            *_steady(_FAST, steady, fast, target=None),
            *_overload(fast, busy, after),
            *_loss(here.sent, end),
            Figure(figure=f"memory at {_FAST} a second", value=rested / _MEGABYTE, unit="MB", target=_MEGABYTES),
            Figure(figure="memory under overload", value=full / _MEGABYTE, unit="MB", target=_MEGABYTES),
            Figure(
                figure=f"memory with bodies of {len(plain.LARGE) // 1000} kB", value=here.program.memory()["VmHWM"] / _MEGABYTE, unit="MB",
                target=_MEGABYTES,
            ),
            Figure(figure="large bodies compared", value=end.compared - after.compared, unit="requests"),
        ]  # fmt: skip


def _steady(rate: int, before: Counted, after: Counted, *, target: float | None) -> list[Figure]:
    asked, compared = after.received - before.received, after.compared - before.compared
    return [
        Figure(figure=f"{rate} a second: not compared", value=asked - compared, unit="requests", target=target),
        Figure(figure=f"{rate} a second: CPU for each compared", value=_cpu(before, after), unit="ms", target=_BUDGET),
    ]


def _overload(before: Counted, busy: Counted, after: Counted) -> list[Figure]:
    took, asked, compared = busy.at - before.at, busy.received - before.received, busy.compared - before.compared
    sampled = after.handled["sampled_out"] - before.handled["sampled_out"]
    shed = after.handled["shed"] - before.handled["shed"]
    return [
        Figure(figure="overload: offered a second", value=asked / took, unit="requests"),
        Figure(figure="overload: compared a second", value=compared / took, unit="requests"),
        Figure(figure="overload: CPU of the inspector", value=100 * (busy.cpu - before.cpu) / took, unit="% of a core"),
        Figure(figure="overload: CPU for each compared", value=_cpu(before, after), unit="ms", target=_BUDGET),
        Figure(figure="overload: sampled out", value=100 * sampled / (after.received - before.received), unit="%"),
        Figure(figure="overload: shed", value=100 * shed / (after.received - before.received), unit="%"),
    ]


def _cpu(before: Counted, after: Counted) -> float:
    """Milliseconds of CPU for each compared request, everything that was left out included."""
    return (after.cpu - before.cpu) / (after.compared - before.compared) * 1000


def _loss(sent: int, end: Counted) -> list[Figure]:
    return [
        Figure(figure="sent and not received", value=abs(sent - end.received), unit="requests", target=0),
        Figure(
            figure="received and without an outcome", value=abs(end.received - sum(end.handled.values())), unit="requests", target=0
        ),
        Figure(figure="crashed", value=end.handled["crashed"], unit="requests", target=0),
    ]  # fmt: skip


@app.command()
def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: that it runs, not what to quote.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 1,
) -> None:
    """Measure; the exit status is 1 where a figure misses its target."""
    options = Options(size="quick" if quick else "full", seed=seed)
    found = asyncio.run(run(options))
    raise typer.Exit(int(figures.report(NAME, f"{options.size}, seed {seed}", found)))


if __name__ == "__main__":
    app()
