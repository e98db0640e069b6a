"""Plays the story: applies each version, shows what the operator does, and notes how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from hack.demo import report, sight
from hack.demo.chapters import Chapter
from hack.demo.load import Generator, Traffic
from hack.demo.report import Moment, Row
from hack.demo.sight import End, State
from hack.demo.stage import ABORT, Stage
from hack.demo.view import Scene, View

LOOK = 0.5  # seconds between two looks at the cluster
COUNT = 2.0  # seconds between two looks at the gateway's counters
ALONE = 20.0  # seconds of traffic before the first rollout: what is normal has to be seen first
SERVED = 50  # requests that a version has had before it is aborted
SETTLE = 90.0  # seconds until the cluster is as it was after a version ended


class Disappointed(Exception):  # noqa: N818 - it is one
    """The demo cannot go on; its text says what it waited for and what it saw instead."""


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as failure:
        raise Disappointed(f"the API server does not answer: {str(failure) or type(failure).__name__}") from failure


@dataclass
class Play:
    """A running demo: what was last seen, and what was counted."""

    stage: Stage
    users: Generator
    view: View
    deployment: sight.Json = field(default_factory=dict)
    state: State = field(default_factory=State)
    counts: dict[str, int] = field(default_factory=dict)  # requests by revision: the largest number seen
    revisions: dict[str, str] = field(default_factory=dict)  # version -> revision
    course: list[Moment] = field(default_factory=list)  # of the version that is played
    drifted: str = ""  # what the operator said last of what has drifted
    _counted_at: float = 0.0
    _scene: tuple[Chapter, float, Traffic] | None = None
    _load: asyncio.Task[None] | None = None

    async def first(self, chapter: Chapter) -> Row:
        """The version that serves from the start; ends after some traffic of its own."""
        begun = await self._apply(chapter)
        await self._until(chapter, lambda: self.state.ready and self._stable_is(chapter.version))
        seconds = time.monotonic() - begun
        self._load = asyncio.create_task(self.users.run())
        await self._wait(lambda: False, ALONE)
        return await self._row(chapter, End("Serving", "", "", self.state.message), seconds, Traffic())

    async def rollout(self, chapter: Chapter) -> Row:
        """A version that is tried, and promoted or taken back by the operator alone."""
        before = self.users.traffic
        begun = await self._apply(chapter)
        end = await self._until_end(chapter)
        row = await self._row(chapter, end, time.monotonic() - begun, before)
        await self._settle(chapter)
        return row

    async def drift(self, chapter: Chapter, bodies: Sequence[bytes]) -> None:
        """Let users ask for something else, until the operator says that inputs drifted."""
        self._scene = (chapter, time.monotonic(), self.users.traffic)
        self.view.say("From now on another scanner measures the cells: it finds more texture.")
        begun = time.monotonic()
        self.users.ask_for(bodies)
        await self._until(chapter, lambda: chapter.drifts in self.state.drifted)
        self.drifted = self.state.drifted
        self.view.say(f"After {time.monotonic() - begun:.0f} s the operator says: {self.drifted}")

    async def abort(self, chapter: Chapter) -> Row:
        """A version that a person stops while there is no Prometheus."""
        before = self.users.traffic
        await self._apply(chapter)
        await self._until(chapter, lambda: self._requests(chapter) >= SERVED)
        self.view.say(f"{chapter.version} has had {self._requests(chapter)} requests. Stopping Prometheus.")
        try:
            await self.stage.stop_prometheus()
            await self._until(chapter, lambda: bool(self.state.blind) or not self.state.candidate)
            self.view.say(f"Prometheus is gone. The operator says: {self.state.blind}")
            candidate = self.state.candidate
            if candidate is None:
                raise Disappointed(
                    f"{chapter.version} was decided upon before Prometheus was stopped: there is nothing to abort."
                )
            value = f"{candidate.revision}/{self.state.attempt}"
            self.view.say(f"kubectl annotate modeldeployment/cells {ABORT}={value}")
            begun = time.monotonic()
            await self.stage.annotate(ABORT, value)
            end = await self._until_end(chapter)
            row = await self._row(chapter, end, time.monotonic() - begun, before)
        finally:
            await self.stage.start_prometheus()
        await self._settle(chapter)
        return row

    async def close(self) -> None:
        """Send the users home."""
        if self._load:
            self._load.cancel()
            await asyncio.gather(self._load, return_exceptions=True)

    async def _apply(self, chapter: Chapter) -> float:
        self._scene = (chapter, time.monotonic(), self.users.traffic)
        self.course = []
        await self.stage.apply_version(chapter.version, chapter.policy)
        return self._scene[1]

    async def _until_end(self, chapter: Chapter) -> End:
        await self._until(chapter, lambda: sight.end(self.deployment, chapter.version) is not None)
        found = sight.end(self.deployment, chapter.version)
        assert found is not None  # noqa: S101 - the line above waited for it
        return found

    async def _settle(self, chapter: Chapter) -> None:
        """Until one version serves with all its pods: the next chapter begins with a clean table."""

        def settled() -> bool:
            stable = self.state.stable
            return (
                not self.state.candidate
                and not self.state.phase
                and stable is not None
                and stable.ready == stable.replicas
            )

        if not await self._wait(settled, SETTLE):
            raise Disappointed(
                f"after {chapter.version} had ended, the cluster did not come to rest within {SETTLE:.0f} s: {self.state}"
            )

    async def _until(self, chapter: Chapter, holds: Callable[[], bool]) -> None:
        if not await self._wait(holds, chapter.patience):
            raise Disappointed(report.never_ended(chapter, seconds=chapter.patience, message=self.state.message))

    async def _wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Look, show and count until something holds; False if it does not in time."""
        deadline = time.monotonic() + seconds
        while True:
            await self._look()
            if holds():
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK)

    def _requests(self, chapter: Chapter) -> int:
        """How many requests the gateway has sent to the version."""
        return self.counts.get(self.revisions.get(chapter.version, ""), 0)

    def _stable_is(self, version: str) -> bool:
        return self.state.stable is not None and self.state.stable.version == version

    async def _look(self) -> None:
        if self._load and self._load.done():
            self._load.result()  # raises what ended it
        with _answered():
            self.deployment = await self.stage.deployment()
            candidate = sight.state(self.deployment, None).candidate
            revision = await self.stage.revision(candidate.revision) if candidate else None
        if time.monotonic() - self._counted_at > COUNT:
            await self._count()
        self.state = sight.state(self.deployment, revision)
        self.revisions |= {arm.version: arm.revision for arm in (self.state.stable, self.state.candidate) if arm}
        if self._scene:
            chapter, begun, before = self._scene
            traffic = self.users.traffic.since(before)
            elapsed = time.monotonic() - begun
            self._note(elapsed)
            self.view.show(Scene(chapter, self.state, elapsed, traffic, self.users.median, self.users.rate))

    def _note(self, elapsed: float) -> None:
        """Keep the moments at which a share changes."""
        shares = (self.state.percent, self.state.mirrored)
        if not self.course or self.course[-1].shares != shares:
            self.course.append(Moment(round(elapsed, 1), *shares))

    async def _count(self) -> None:
        """Keep the largest counts: the gateway forgets those of a Service that no route names any more."""
        with _answered():
            seen = await self.stage.gateway_requests()
        for service, count in seen.items():
            self.counts[service] = max(count, self.counts.get(service, 0))
        self._counted_at = time.monotonic()

    async def _row(self, chapter: Chapter, end: End, seconds: float, before: Traffic) -> Row:
        await self._count()
        return report.row(
            chapter,
            end,
            seconds=seconds,
            candidate_requests=self._requests(chapter),
            failed_requests=self.users.traffic.since(before).failed,
            course=tuple(self.course),
            drifted=self.drifted if chapter.drifts else "",
        )
