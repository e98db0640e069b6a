"""Which key is worked on next: one worker at a time for a key, repeats merged, later times and back-off kept.

There are two lines. Who has changed something waits in the first; in the second wait those that come round by themselves,
hundreds at a time: looks, and everything after a restart. The first goes before, and never keeps the second from moving. Of the
second only so many are worked on at the same time: enough to be decided together, each of them takes the loop for milliseconds,
and few beside a change, which waits for the loop several times before it is written.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 30.0
_BESIDE_A_CHANGE = 2  # rounds: one that waits for the API server does not stop them


class Agenda(Generic[K]):
    """What is to be done and when; times are seconds of one monotonic clock, given by the caller."""

    def __init__(
        self, rounds_at_once: int, *, first_delay: float = _FIRST_DELAY, longest_delay: float = _LONGEST_DELAY
    ) -> None:
        self._rounds_at_once = rounds_at_once
        self._first = first_delay
        self._longest = longest_delay
        self._ready: deque[K] = deque()
        self._rounds: OrderedDict[K, None] = OrderedDict()
        self._queued: set[K] = set()  # in the first line
        self._active: set[K] = set()
        self._on_rounds: set[K] = set()  # active, from the second line
        self._again: set[K] = set()  # active, and asked for meanwhile
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []  # may hold times that `_due` has replaced
        self._tick = 0
        self._failures: dict[K, int] = {}
        self._held: set[K] = set()  # not before they are due
        self._since: dict[K, float] = {}  # when each of those that can be taken began to wait, in that order

    def __len__(self) -> int:
        return len(self._ready) + len(self._rounds) + len(self._again)

    def waited(self, now: float) -> float:
        """Seconds that the one which waits longest has waited."""
        return now - next(iter(self._since.values())) if self._since else 0.0

    def add(self, key: K, now: float) -> None:
        """Work on the key as soon as possible: again, if it is being worked on; one that is held, when it is due."""
        if key in self._held:
            return
        self._since.setdefault(key, now)
        if key in self._active:
            self._again.add(key)
        elif key not in self._queued:
            self._rounds.pop(key, None)
            self._queued.add(key)
            self._ready.append(key)

    def add_round(self, key: K, now: float) -> None:
        """Work on the key when its turn comes, after all that have changed; one that is held, when it is due."""
        if key in self._held:
            return
        self._since.setdefault(key, now)
        if key in self._active:
            self._again.add(key)
        elif key not in self._queued:
            self._rounds[key] = None

    def wake(self, key: K, at: float | None) -> None:
        """Work on the key at this time instead of the one set before; None: not by itself."""
        if at is None:
            self._due.pop(key, None)
            return
        self._due[key] = at
        self._tick += 1
        heapq.heappush(self._heap, (at, self._tick, key))

    def hold(self, key: K) -> None:
        """Not before it is due, whoever asks for it."""
        self._held.add(key)
        self._since.pop(key, None)

    def take(self, now: float) -> K | None:
        """The next key, which is active until `done`; None: nothing is due."""
        self._collect(now)
        key = self._next()
        if key is not None:
            self._active.add(key)
            self._since.pop(key, None)
        return key

    def _next(self) -> K | None:
        waiting = bool(self._rounds) and len(self._on_rounds) < self._most_rounds()
        if waiting and not (self._ready and self._on_rounds):  # one of them always moves
            key, _ = self._rounds.popitem(last=False)
            self._on_rounds.add(key)
            return key
        if not self._ready:
            return None
        key = self._ready.popleft()
        self._queued.discard(key)
        return key

    def _most_rounds(self) -> int:
        """How many rounds may be worked on now."""
        beside_a_change = len(self._active) > len(self._on_rounds)
        return min(_BESIDE_A_CHANGE, self._rounds_at_once) if beside_a_change else self._rounds_at_once

    def done(self, key: K, now: float) -> None:
        """The work on a key is over."""
        self._active.discard(key)
        self._on_rounds.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key, now)

    def failed(self, key: K, now: float, at_least: float = 0.0) -> float:
        """Try a key again after twice as long as the last time, its wake time notwithstanding; the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(at_least, min(self._longest, self._first * 2.0 ** min(failures, 32)))
        self.wake(key, now + delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget a key's failures."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """The object is gone."""
        self._failures.pop(key, None)
        self._due.pop(key, None)
        self._held.discard(key)

    def next_at(self) -> float | None:
        """When the next key is due, of those that are not ready yet."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _collect(self, now: float) -> None:
        while (at := self.next_at()) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._due[key]
            self._held.discard(key)
            self.add(key, now)
