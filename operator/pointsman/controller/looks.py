"""The look loop: one batched read of Prometheus for all rollouts that are due, and each one's share of the answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from pointsman.controller.keys import Key
from pointsman.signals import counts, queries
from pointsman.signals.queries import Labels, Query, RangeQuery
from pointsman.signals.reading import Reading, Watch
from pointsman.signals.samples import Answer, Failed, RangeAnswer

_log = structlog.get_logger(__name__)


class Reader(Protocol):
    """What reads Prometheus; never raises for Prometheus' faults and never takes much longer than its time limit."""

    async def read(self, queries: Iterable[Query], at: datetime) -> dict[Query, Answer]:
        """An answer for every query, all at one evaluation time."""

    async def read_ranges(self, queries: Iterable[RangeQuery], at: datetime) -> dict[RangeQuery, RangeAnswer]:
        """An answer for every query of the time before."""


class Deliver(Protocol):
    """What takes readings to the decisions."""

    def __call__(self, key: Key, reading: Reading, *, awaited: bool) -> None:
        """A rollout's reading; it is awaited where the rollout cannot begin without one."""


class Gauge(Protocol):
    """What counts looks."""

    def looked(self, rollouts: int, failed: int, seconds: float) -> None:
        """A look at so many rollouts, with so many failed queries."""


class NoReader:
    """Stands for the Prometheus that nobody told us about."""

    async def read(self, queries: Iterable[Query], at: datetime) -> dict[Query, Answer]:  # noqa: ARG002  Reader's
        """Every query fails, and says what to do."""
        return dict.fromkeys(queries, _NOBODY)

    async def read_ranges(self, queries: Iterable[RangeQuery], at: datetime) -> dict[RangeQuery, RangeAnswer]:  # noqa: ARG002  Reader's
        """Likewise."""
        return dict.fromkeys(queries, _NOBODY)


_NOBODY = Failed("the operator has no Prometheus: set `prometheus.url` in the Helm chart (--prometheus-url)")


@dataclass(frozen=True, kw_only=True)
class _Rollout:
    watch: Watch
    interval: timedelta
    due: datetime
    failures: float = math.inf  # of the candidate, at the last look

    @property
    def awaited(self) -> bool:
        """Whether the rollout cannot begin before it has been looked at."""
        return self.watch.calibrate is not None or self.interval < self.watch.interval


_CALIBRATIONS = 100
"""Rollouts whose last hour is read in one look, thousands of points each; the others that begin are looked at again soon."""

_TOGETHER = 16
"""So many rollouts are read at a time: what comes at once is decided together, and the first do not wait for the last."""


def _calibrating_some(watches: Mapping[Key, Watch]) -> dict[Key, Watch]:
    """The watches, the past left out of all but the first so many that ask for it."""
    asking = [key for key, watch in watches.items() if watch.calibrate is not None]
    later = frozenset(asking[_CALIBRATIONS:])
    return {key: replace(watch, calibrate=None) if key in later else watch for key, watch in watches.items()}


def _read(look: counts.Look, watches: Iterable[Watch]) -> list[Reading]:
    return [look.read(watch) for watch in watches]


def _failures(answers: Mapping[Query, Answer] | Mapping[RangeQuery, RangeAnswer]) -> dict[str, str]:
    return {query.about: answer.reason for query, answer in answers.items() if isinstance(answer, Failed)}


def aligned(now: datetime, interval: timedelta) -> datetime:
    """The next multiple of the interval since the epoch: rollouts with one interval are looked at together."""
    step = interval.total_seconds()
    return datetime.fromtimestamp((math.floor(now.timestamp() / step) + 1) * step, UTC)


class Looks:
    """Which rollouts are looked at, and when."""

    def __init__(
        self,
        reader: Reader,
        deliver: Deliver,
        *,
        labels: Labels,
        gauge: Gauge,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reader = reader
        self._deliver = deliver
        self._labels = labels
        self._gauge = gauge
        self._clock = clock
        self._rollouts: dict[Key, _Rollout] = {}
        self._changed = asyncio.Event()
        self._failing: dict[str, str] = {}  # what was asked about -> why it was not answered

    def watch(self, key: Key, watch: Watch | None, interval: timedelta | None) -> None:
        """Look at a rollout every `interval` from now on; None: no more."""
        if watch is None or interval is None:
            self._rollouts.pop(key, None)
            return
        known = self._rollouts.get(key)
        if known is not None and known.interval == interval:
            self._rollouts[key] = replace(known, watch=watch)
            return
        self._rollouts[key] = _Rollout(watch=watch, interval=interval, due=aligned(self._clock(), interval))
        self._changed.set()

    async def run(self) -> None:
        """Look until cancelled; a look that takes long delays the next one, and nothing else."""
        while True:
            await self._until_due()
            try:
                await self.look(self._clock())
            except Exception:  # noqa: BLE001  a bug met in one look must not end all of them; what is due was moved on
                _log.exception("look crashed")
                self._gauge.looked(0, 1, 0.0)

    async def look(self, now: datetime) -> None:
        """Look at all rollouts that are due, once."""
        due = {key: rollout for key, rollout in self._rollouts.items() if rollout.due <= now}
        if not due:
            return
        for key, rollout in due.items():
            self._rollouts[key] = replace(rollout, due=aligned(now, rollout.interval))
        asked = _calibrating_some({key: rollout.watch for key, rollout in due.items()})
        plan = queries.plan(asked.values(), self._labels)
        answers, ranges = await asyncio.gather(
            self._reader.read(plan.queries, now), self._reader.read_ranges(plan.ranges, now)
        )
        look = await asyncio.to_thread(counts.look, plan, answers, now, ranges=ranges)
        ordered = self._by_failures(due, look)
        for begin in range(0, len(ordered), _TOGETHER):
            some = [(key, rollout) for key, rollout in ordered[begin : begin + _TOGETHER] if self._still(key, rollout)]
            # Nobody waits for a look, not a millisecond.
            readings = await asyncio.to_thread(_read, look, [asked[key] for key, _ in some])
            for (key, rollout), reading in zip(some, readings, strict=True):
                if self._still(key, rollout):
                    self._deliver(key, reading, awaited=rollout.awaited)
        failed = _failures(answers) | _failures(ranges)
        self._tell(failed)
        self._gauge.looked(len(due), len(failed), (self._clock() - now).total_seconds())

    def _by_failures(self, due: Mapping[Key, _Rollout], look: counts.Look) -> list[tuple[Key, _Rollout]]:
        """Those whose candidates failed most since their last look first: harm does not wait for hundreds of others."""
        grown: dict[Key, float] = {}
        for key, rollout in due.items():
            failures = look.failures(rollout.watch)
            grown[key] = failures - rollout.failures
            if self._still(key, rollout):
                self._rollouts[key] = replace(self._rollouts[key], failures=failures)
        return sorted(due.items(), key=lambda one: grown[one[0]], reverse=True)

    def _still(self, key: Key, rollout: _Rollout) -> bool:
        """Whether the rollout has not ended, or become another one, meanwhile."""
        current = self._rollouts.get(key)
        return current is not None and current.watch == rollout.watch

    def _tell(self, failed: dict[str, str]) -> None:
        """Log what fails when it begins and when it ends, not at every look."""
        for about, reason in failed.items():
            if self._failing.get(about) != reason:
                _log.warning("query fails", about=about, reason=reason)
        for about in self._failing.keys() - failed.keys():
            _log.info("query answered again, or no longer asked", about=about)
        self._failing = failed

    def _follow_the_clock(self) -> None:
        """Nothing is due later than at the next turn, unless the clock was set back."""
        now = self._clock()
        for key, rollout in self._rollouts.items():
            if rollout.due - now > rollout.interval:
                self._rollouts[key] = replace(rollout, due=aligned(now, rollout.interval))

    async def _until_due(self) -> None:
        while True:
            self._changed.clear()
            self._follow_the_clock()
            first = min((rollout.due for rollout in self._rollouts.values()), default=None)
            left = None if first is None else (first - self._clock()).total_seconds()
            if left is not None and left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return
