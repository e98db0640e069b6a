"""Two operators for one lease: who leads, what each one asked the API server for, and a trap that holds one of their writes."""

from __future__ import annotations

import asyncio
import enum
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.lab.recorder import Recorder, Request, recording
from tests.controller.operators import Running, until
from tests.faults.kills.stage import Stage

_PATIENCE = 60.0


class Held(enum.Enum):
    """Where a write is held."""

    BEFORE = "before it landed"
    AFTER = "before its answer"


class Trap:
    """A tap that holds one write of an operator, the lease's excepted, until it is let go."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._left = 0
        self._where = Held.AFTER
        self.sprung = asyncio.Event()
        self._open = asyncio.Event()
        self.passed: asyncio.Future[Request] | None = None
        self._held: Request | None = None

    def set(self, number: int, where: Held) -> None:
        """Hold the write of this number, counted from 1 and from now on."""
        self._left, self._where, self._held = number, where, None
        self.sprung.clear()
        self._open.clear()
        self.passed = asyncio.get_running_loop().create_future()

    async def let_go(self) -> Request:
        """Let the write go on; as it was answered."""
        assert self.passed is not None
        self._open.set()
        return await asyncio.wait_for(self.passed, _PATIENCE)

    async def asked(self, request: Request) -> None:
        """Count it, and hold it where it is the one."""
        if self._left and self._counts(request):
            self._left -= 1
            if not self._left:
                self._held = request
                if self._where is Held.BEFORE:
                    await self._hold()

    async def answered(self, request: Request) -> None:
        """Hold the answer of the one."""
        held = self._held
        if held is None or (held.at, held.path) != (request.at, request.path):
            return
        self._held = None
        if self._where is Held.AFTER:
            await self._hold()
        if self.passed is not None and not self.passed.done():
            self.passed.set_result(request)

    async def _hold(self) -> None:
        self.sprung.set()
        await self._open.wait()

    def _counts(self, request: Request) -> bool:
        return request.writes and self._namespace in request.path.split("/") and request.resource != "leases"


@dataclass(kw_only=True)
class Contender:
    """One that wants to lead."""

    stage: Stage
    recorder: Recorder
    trap: Trap
    options: Sequence[str]
    running: Running = field(init=False)

    async def start(self) -> None:
        """Start its process."""
        self.running = await self.stage.start(self.recorder.kubeconfig, *self.options)

    @property
    def leads(self) -> bool:
        """Whether it does, as far as it knows."""
        return self.running.process.returncode is None and bool(self.running.said("leading"))

    def send(self, number: signal.Signals) -> None:
        """A signal to its process."""
        self.running.process.send_signal(number)

    async def ended(self) -> int:
        """Its exit status, when it has ended."""
        return await asyncio.wait_for(self.running.process.wait(), _PATIENCE)

    async def keep(self) -> None:
        """Start it again whenever it has ended, as a kubelet does, until cancelled."""
        while True:
            await self.running.process.wait()
            await self.start()

    def wrote(self, since: float) -> list[Request]:
        """What it asked the API server to write since; by `time.perf_counter`."""
        return self.recorder.writes(since)


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Two contenders on one stage."""

    stage: Stage
    contenders: tuple[Contender, Contender]

    async def leader(self) -> Contender:
        """The one that leads, as soon as one does."""
        await until(lambda: any(one.leads for one in self.contenders), _PATIENCE)
        return next(one for one in self.contenders if one.leads)

    async def springs(self, contender: Contender, number: int, where: Held, playing: asyncio.Task[Any]) -> bool:
        """Hold a write of a contender; False where the story was over before, or the contender: a slow machine loses leases."""
        contender.trap.set(number, where)
        springing = asyncio.create_task(contender.trap.sprung.wait())
        ending = asyncio.create_task(contender.running.process.wait())
        await asyncio.wait([springing, ending, playing], return_when=asyncio.FIRST_COMPLETED)
        sprung = springing.done() and not ending.done()
        springing.cancel()
        ending.cancel()
        return sprung

    def other(self, contender: Contender) -> Contender:
        """The one that is not this one."""
        return next(one for one in self.contenders if one is not contender)


@asynccontextmanager
async def duel(stage: Stage, folder: Path, *options: str) -> AsyncIterator[Duel]:
    """Two operators with these options; one leads."""
    credentials, namespace = stage.around.credentials, stage.namespace
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "other"):
            home = folder / namespace / name
            home.mkdir(parents=True)
            trap = Trap(namespace)
            recorder = await stack.enter_async_context(recording(credentials, home, namespace, trap))
            made.append(Contender(stage=stage, recorder=recorder, trap=trap, options=options))
            await made[-1].start()
        both = Duel(stage=stage, contenders=(made[0], made[1]))
        await both.leader()
        try:
            yield both
        finally:
            for one in made:
                if one.running.process.returncode is None:
                    one.send(signal.SIGKILL)


def now() -> float:
    """The recorder's clock."""
    return time.perf_counter()
