"""Exact increments: what each pod's cumulative counters grew by since the last look, every request once or not at all.

Counters live as long as a process and scrapes may be late, missed, doubled or older than the one before, so a ledger keeps
the last counters of every pod and asks what can have happened since:

- The first look of an attempt is the baseline: what was counted before is not evidence.
- A process that started after the first look counts from zero; another pod seen for the first time is a baseline too.
  Of events (`newcomers`) every series is a counter of its own that begins at zero, so a new one counts whole.
- Counters that fall were reset only if the process started anew. Else an older sample was read (deduplicating stores step
  back), and nothing counts until all counters have passed their old maximum. A store is not behind itself for longer than
  Prometheus' own lookback of 5 minutes, so counters that stay lower for that long were reset without saying so: baseline.
- A process is warm after `warmup` requests; it counts from the look after that on. The failures among a look's requests
  cannot be told apart in time, so the look in which it becomes warm is left out whole.
- A pod that is not in a look keeps its entry: what it served meanwhile counts when it is seen again.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from pointsman.signals.reading import ArmCounts, Cells, Counts, Faulty, Newcomers, PodCount

SAME_START: Final = 10.0  # seconds; Envoy's start is its uptime taken from the scrape's time, which wobbles
SETTLED: Final = 300.0  # seconds; Prometheus' lookback
_FORGET: Final = 3600.0  # seconds without a sign of a pod


@dataclass(frozen=True, slots=True)
class Pod:
    """The highest counters seen of a pod's process; `seen` and `held` are Unix seconds, `held` since when they are lower."""

    started: float | None
    seen: float
    cells: Cells
    held: float | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one gate knows of both arms' counters since its attempt began; start with `Ledger()`.

    at     the last look folded in
    since  Unix seconds; a process that started later and is not known counts from zero
    edges  of the histogram's cells, () for Errors; it can lose edges, never gain any
    """

    at: datetime | None = None
    since: float = math.inf
    edges: tuple[float, ...] = ()
    stable: Mapping[str, Pod] = field(default_factory=dict)
    candidate: Mapping[str, Pod] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """JSON without infinities; `load` gives the same ledger back."""
        if self.at is None:
            return {}
        return {
            "at": self.at.timestamp(),
            "since": self.since,
            "edges": list(self.edges[:-1]) if self.edges else None,
            "stable": _dump_pods(self.stable),
            "candidate": _dump_pods(self.candidate),
        }

    @staticmethod
    def load(dumped: Mapping[str, Any]) -> Ledger:
        """The ledger that `dump` wrote.

        Raises:
            ValueError: it is not one of ours.
        """
        if not dumped:
            return Ledger()
        try:
            edges = dumped["edges"]
            return Ledger(
                at=datetime.fromtimestamp(dumped["at"], tz=UTC),
                since=float(dumped["since"]),
                edges=() if edges is None else (*(float(edge) for edge in edges), math.inf),
                stable=_load_pods(dumped["stable"]),
                candidate=_load_pods(dumped["candidate"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"this is no ledger of Pointsman: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Tally:
    """What one arm counted in one look: increments of its cells, and how many warm pods they come from."""

    cells: Cells
    pods: int

    @property
    def requests(self) -> int:
        """All requests."""
        return self.cells[-1]

    @property
    def failed(self) -> int:
        """Failed ones (Errors), or bad ones (Events)."""
        return self.cells[0]

    @property
    def buckets(self) -> tuple[int, ...]:
        """Requests per bucket, not cumulative (Latency)."""
        return tuple(upper - lower for lower, upper in pairwise((0, *self.cells)))


@dataclass(frozen=True, slots=True)
class Increments:
    """What both arms counted since the look before."""

    edges: tuple[float, ...]
    stable: Tally
    candidate: Tally


def fold(ledger: Ledger, counts: Counts, *, at: datetime, warmup: int) -> tuple[Ledger, Increments | Faulty]:
    """Fold one look in: the new ledger and what was counted since the last one.

    Args:
        ledger: the gate's ledger; `Ledger()` at the first look of an attempt, which then counts nothing.
        counts: the look.
        at: the look's time.
        warmup: requests that a process serves before it counts.

    Returns:
        `Faulty`, with the ledger as it was, where the histograms of the arms share no finite edge.
    """
    edges = _shared(ledger, counts)
    if edges == (math.inf,) and _requests(counts) > 0:
        return ledger, Faulty(
            "the latency histograms share no bucket edge, between pods or versions: give both the same buckets"
        )
    moment = _Moment(
        at=at.timestamp(),
        since=None if ledger.at is None else ledger.since,
        warmup=warmup,
        nothing=(0,) * (len(edges) or 2),
        newcomers=counts.newcomers,
    )
    stable, stable_tally = _fold_arm(
        _known(ledger.stable, ledger.edges, edges), _seen(counts.stable, counts.edges, edges), moment
    )
    candidate, candidate_tally = _fold_arm(
        _known(ledger.candidate, ledger.edges, edges), _seen(counts.candidate, counts.edges, edges), moment
    )
    first = ledger.at is None
    after = Ledger(
        at=at,
        since=moment.at if first else ledger.since,
        edges=edges,
        stable=stable,
        candidate=candidate,
    )
    if counts.newcomers == "Baseline":  # another one that was forgotten would count twice when it comes back
        after = _forget(after, moment.at)
    return after, Increments(edges=edges, stable=stable_tally, candidate=candidate_tally)


@dataclass(frozen=True, slots=True)
class _Moment:
    """What holds for all pods of a look; `since` is None at the first look of an attempt."""

    at: float
    since: float | None
    warmup: int
    nothing: Cells
    newcomers: Newcomers


def _fold_arm(known: Mapping[str, Pod], seen: Mapping[str, PodCount], moment: _Moment) -> tuple[dict[str, Pod], Tally]:
    pods = dict(known)
    growths: list[Cells] = []
    for name, count in seen.items():
        pods[name], growth = _advance(known.get(name), count, moment)
        if growth is not None:
            growths.append(growth)
    return pods, Tally(cells=_sum(moment.nothing, growths), pods=len(growths))


def _advance(known: Pod | None, count: PodCount, moment: _Moment) -> tuple[Pod, Cells | None]:
    """A pod's entry after a look, and what counts of it: None where nothing may."""
    latest = Pod(started=count.started, seen=moment.at, cells=count.cells)
    if known is None:
        if moment.since is None:
            return latest, None
        if moment.newcomers == "Baseline" and (count.started is None or count.started < moment.since):
            return latest, None
        known = replace(latest, cells=moment.nothing)
    restarted = False
    if known.started is not None:
        if count.started is None:
            latest = replace(latest, started=known.started)
        elif count.started < known.started - SAME_START:  # samples of a process that is gone
            return replace(known, seen=moment.at), None
        else:
            restarted = count.started > known.started + SAME_START
    growth = _difference(count.cells, known.cells)
    if not _may_be(growth):
        if not restarted:
            return _hold(known, latest), None
        known, growth = replace(known, cells=moment.nothing), count.cells
    if known.cells[-1] < moment.warmup:
        return latest, None
    return latest, growth


def _hold(known: Pod, latest: Pod) -> Pod:
    """An entry whose counters are lower than before although its process did not start anew."""
    held = latest.seen if known.held is None else known.held
    if latest.seen - held >= SETTLED:
        return latest
    return replace(known, seen=latest.seen, held=held)


def _may_be(growth: Cells) -> bool:
    """Whether one process may have counted so much: no counter is lower, and failures did not grow by more than requests."""
    return growth[0] >= 0 and all(map(operator.le, growth, growth[1:]))


def _difference(after: Cells, before: Cells) -> Cells:
    """Late minus early, cell by cell; both are of the same edges. A third of a look's time is spent in such lines."""
    return tuple(map(operator.sub, after, before))


def _sum(nothing: Cells, rows: Sequence[Cells]) -> Cells:
    return tuple(sum(column) for column in zip(nothing, *rows, strict=True))


def _forget(ledger: Ledger, at: float) -> Ledger:
    """Drop pods that are gone for good; should one come back, it is older than `since` and so a baseline, not a new pod."""
    last = at - _FORGET
    gone = [pod.seen for arm in (ledger.stable, ledger.candidate) for pod in arm.values() if pod.seen < last]
    if not gone:
        return ledger
    return replace(
        ledger,
        since=max(ledger.since, *gone),
        stable={name: pod for name, pod in ledger.stable.items() if pod.seen >= last},
        candidate={name: pod for name, pod in ledger.candidate.items() if pod.seen >= last},
    )


def _shared(ledger: Ledger, counts: Counts) -> tuple[float, ...]:
    """The edges to count on: those that the ledger and the look share."""
    unknown = (math.inf,)
    if ledger.at is None or ledger.edges == unknown:
        return counts.edges
    if counts.edges == unknown and _requests(counts) == 0:
        return ledger.edges
    return tuple(edge for edge in ledger.edges if edge in counts.edges)


def _requests(counts: Counts) -> int:
    return sum(pod.cells[-1] for arm in (counts.stable, counts.candidate) for pod in arm.pods.values())


def _known(pods: Mapping[str, Pod], had: tuple[float, ...], edges: tuple[float, ...]) -> Mapping[str, Pod]:
    if had == edges:
        return pods
    return {name: replace(pod, cells=_project(pod.cells, had, edges)) for name, pod in pods.items()}


def _seen(arm: ArmCounts, had: tuple[float, ...], edges: tuple[float, ...]) -> Mapping[str, PodCount]:
    if had == edges:
        return arm.pods
    return {name: replace(pod, cells=_project(pod.cells, had, edges)) for name, pod in arm.pods.items()}


def _project(cells: Cells, had: tuple[float, ...], edges: tuple[float, ...]) -> Cells:
    """Cells on other edges: a subset of them, or any where nothing is counted."""
    if had == edges:
        return cells
    if not any(cells):
        return (0,) * len(edges)
    count = dict(zip(had, cells, strict=True))
    return tuple(count[edge] for edge in edges)


def _dump_pods(pods: Mapping[str, Pod]) -> dict[str, list[Any]]:
    return {name: [pod.started, pod.seen, pod.held, *pod.cells] for name, pod in pods.items()}


def _load_pods(dumped: Mapping[str, Sequence[Any]]) -> dict[str, Pod]:
    return {
        name: Pod(started=started, seen=float(seen), held=held, cells=tuple(int(cell) for cell in cells))
        for name, (started, seen, held, *cells) in dumped.items()
    }
