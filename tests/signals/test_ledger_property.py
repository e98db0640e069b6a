"""Whatever the history of samples: never more increments than requests, and without gaps exactly as many."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pointsman.signals.ledger import Increments, Ledger, fold
from pointsman.signals.reading import ArmCounts, Counts, Faulty, PodCount
from tests.sizes import examples

EPOCH = 1_772_000_000.0
STEP_BACK = 240.0  # seconds; a store that is further behind than Prometheus' lookback of 5 minutes shows nothing at all


@dataclass
class Process:
    """What really happened in one pod."""

    started: float
    says_start: bool
    failed: int = 0
    total: int = 0

    def shown(self) -> PodCount:
        return PodCount(self.started if self.says_start else None, (self.failed, self.total))


@dataclass(frozen=True)
class Scrape:
    """What a pod's process showed at a time."""

    at: float
    process: Process
    shown: PodCount


@dataclass(frozen=True)
class Books:
    """What the operator keeps: the ledger and the sums of all increments so far. The other arm is empty: arms share nothing."""

    ledger: Ledger = field(default_factory=Ledger)
    failed: int = 0
    total: int = 0

    def look(self, pods: dict[str, PodCount], *, at: float, warmup: int = 0) -> Books:
        when = datetime.fromtimestamp(at, tz=UTC)
        counts = Counts((), stable=ArmCounts(pods, newest=when), candidate=ArmCounts({}, newest=when))
        ledger, found = fold(self.ledger, counts, at=when, warmup=warmup)
        assert isinstance(found, Increments)
        assert 0 <= found.stable.failed <= found.stable.requests
        return Books(ledger, self.failed + found.stable.failed, self.total + found.stable.requests)

    def reloaded(self) -> Books:
        return replace(self, ledger=Ledger.load(json.loads(json.dumps(self.ledger.dump(), allow_nan=False))))


PODS = 2
numbers = st.integers(0, PODS - 1)
requests = st.integers(0, 30)


class NeverMore(RuleBasedStateMachine):
    """Requests, restarts, pods and scrapes as they come; looks that see any recent scrape of each pod, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.now = EPOCH
        self.pods: dict[int, Process] = {}
        self.scrapes: dict[int, list[Scrape]] = defaultdict(list)
        self.failed = self.total = 0  # made since the first look
        self.books = self.saved = Books()
        self.warmup = 0
        self.says_start = True

    @initialize(warmup=st.sampled_from([0, 0, 5]), says_start=st.booleans())
    def begin(self, warmup: int, says_start: bool) -> None:  # noqa: FBT001  drawn
        """Two pods have served before the first look, which sees only one of them."""
        self.warmup = warmup
        self.says_start = says_start
        for number in (0, 1):
            self.start(number)
            self.serve(number, ok=20, failed=5)
        self.books = self.saved = Books().look({"pod-0": self.pods[0].shown()}, at=self.now, warmup=warmup)
        self.failed = self.total = 0

    @rule(number=numbers)
    def start(self, number: int) -> None:
        """A pod comes, or the process of one starts anew."""
        self.now += 20  # a process lives for longer than the wobble of its start
        self.pods[number] = Process(self.now, self.says_start)

    @rule(number=numbers, ok=requests, failed=requests)
    def serve(self, number: int, ok: int, failed: int) -> None:
        """Requests, and a scrape; how late and in which order scrapes are seen is the looks' business."""
        self.now += 5
        process = self.pods.setdefault(number, Process(self.now, self.says_start))
        process.failed += failed
        process.total += ok + failed
        self.failed += failed
        self.total += ok + failed
        self.scrapes[number].append(Scrape(self.now, process, process.shown()))

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        """A pod goes; a store may show it for a while, and one of its name may come again."""
        self.now += 20
        self.pods.pop(number, None)

    @rule(seconds=st.sampled_from([10.0, 30.0, 400.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(backs=st.tuples(*[st.integers(-1, 2)] * PODS))
    def look(self, backs: tuple[int, ...]) -> None:
        """Each pod shows its last scrape, one of those before it (deduplicating stores), or nothing (late, missed)."""
        self.now += 5
        seen: dict[str, PodCount] = {}
        for number, back in enumerate(backs):
            recent = [scrape for scrape in self.scrapes[number] if scrape.at >= self.now - STEP_BACK]
            if 0 <= back < len(recent):
                scrape = recent[-1 - back]
                seen[f"pod-{number}"] = scrape.shown
                if not self.says_start:  # then nobody can tell an old process's sample from a new one's
                    self.scrapes[number] = [one for one in recent if one.process.started >= scrape.process.started]
        self.books = self.books.look(seen, at=self.now, warmup=self.warmup)

    @rule(backs=st.tuples(*[st.integers(-1, 2)] * PODS))
    def look_again(self, backs: tuple[int, ...]) -> None:
        """A second rule, so that looks are as frequent as what happens between them."""
        self.look(backs)

    @rule()
    def look_twice(self) -> None:
        """Two looks at one scrape of every pod, at one time: the second counts nothing."""
        self.look((0,) * PODS)
        before, self.now = self.books, self.now - 5
        self.look((0,) * PODS)
        assert (self.books.failed, self.books.total) == (before.failed, before.total)

    @rule(saved=st.booleans())
    def kill_operator(self, saved: bool) -> None:  # noqa: FBT001  drawn
        """What it did not save is gone, evidence and ledger alike."""
        if saved:
            self.saved = self.books.reloaded()
        self.books = self.saved

    @invariant()
    def no_request_counts_twice(self) -> None:
        assert self.books.failed <= self.failed
        assert self.books.total <= self.total
        assert self.books.total - self.books.failed <= self.total - self.failed


NeverMore.TestCase.settings = settings(max_examples=examples(300), stateful_step_count=50)
TestNeverMore = NeverMore.TestCase


@dataclass(frozen=True)
class Serve:
    pod: int
    ok: int
    failed: int


@dataclass(frozen=True)
class New:
    pod: int


@dataclass(frozen=True)
class Restart:
    pod: int


@dataclass(frozen=True)
class Leave:
    pod: int


@dataclass(frozen=True)
class Resume:
    pass


@dataclass(frozen=True)
class Twice:
    pass


pod_numbers = st.integers(0, 2)
happenings = st.lists(
    st.one_of(
        st.builds(Serve, pod_numbers, requests, requests),
        st.builds(New, pod_numbers),
        st.builds(Restart, pod_numbers),
        st.builds(Leave, pod_numbers),
        st.just(Resume()),
        st.just(Twice()),
    ),
    max_size=40,
)


@given(happenings)
@settings(max_examples=examples(300))
def test_without_gaps_every_request_counts(
    history: list[Serve | New | Restart | Leave | Resume | Twice],
) -> None:
    """A look after everything that happens, each with a scrape of all pods: nothing dies between a request and its look."""
    now, pods, books = EPOCH, {0: Process(EPOCH - 99, says_start=True, failed=3, total=70)}, Books()
    made = [0, 0]
    books = look(books, pods, now)
    for happening in history:
        now += 20
        match happening:
            case Serve(pod, ok, failed) if pod in pods:
                pods[pod].failed += failed
                pods[pod].total += ok + failed
                made = [made[0] + failed, made[1] + ok + failed]
            case New(pod) if pod not in pods:
                pods[pod] = Process(now, says_start=True)
            case Restart(pod) if pod in pods:
                pods[pod] = Process(now, says_start=True)
            case Leave(pod):
                pods.pop(pod, None)
            case Resume():
                books = books.reloaded()
            case Twice():
                books = look(books, pods, now)
        books = look(books, pods, now)
        assert [books.failed, books.total] == made


def look(books: Books, pods: dict[int, Process], now: float) -> Books:
    shown = {f"pod-{number}": process.shown() for number, process in pods.items()}
    return books.look(shown, at=now)


EDGES = (0.1, 0.2, 0.5, math.inf)
QUIET = ((0,) * len(EDGES), (0,) * len(EDGES))


@dataclass(frozen=True)
class Between:
    """Requests of two pods by bucket, before a look that sees them on some of the edges; `anew`: none, the first starts anew."""

    served: tuple[tuple[int, ...], tuple[int, ...]]
    kept: frozenset[float]
    anew: bool


by_bucket = st.tuples(*[st.integers(0, 9)] * len(EDGES))
edge_sets = st.sampled_from([frozenset(EDGES)] * 6 + [frozenset(EDGES) - {edge} for edge in EDGES[:-1]])


@given(st.lists(st.builds(Between, st.tuples(by_bucket, by_bucket), edge_sets, st.sampled_from([False] * 5 + [True]))))
@settings(max_examples=examples(300))
def test_every_request_counts_in_its_bucket_on_whatever_edges_are_left(history: list[Between]) -> None:
    """A scrape with the edge lost loses it for good; what is counted on the others is exact, restarts between looks included."""
    now, ledger = EPOCH, Ledger()
    pods = [[EPOCH - 99.0, *(5 * n for n in range(1, len(EDGES) + 1))] for _ in range(2)]
    left, made = set(EDGES), [0] * len(EDGES)
    counted = dict.fromkeys(EDGES, 0)
    for happening in [Between(QUIET, frozenset(EDGES), anew=False), *history]:
        now += 20
        if (
            happening.anew
        ):  # a look sees it before it has served: one that overtook its old counters would count the excess
            pods[0] = [now, *[0] * len(EDGES)]
        for pod, served in zip(pods, QUIET if happening.anew else happening.served, strict=True):
            pod[1:] = [cell + more for cell, more in zip(pod[1:], accumulate(served), strict=True)]
            made = [cell + more for cell, more in zip(made, accumulate(served), strict=True)]
        edges = tuple(edge for edge in EDGES if edge in happening.kept)
        shown = {
            f"pod-{number}": PodCount(
                pod[0], tuple(int(cell) for edge, cell in zip(EDGES, pod[1:], strict=True) if edge in edges)
            )
            for number, pod in enumerate(pods)
        }
        when = datetime.fromtimestamp(now, tz=UTC)
        counts = Counts(edges, stable=ArmCounts(shown, newest=when), candidate=ArmCounts({}, newest=when))
        left &= happening.kept
        ledger, found = fold(ledger, counts, at=when, warmup=0)
        if left == {math.inf}:  # refused while the arms have nothing to be compared on
            assert isinstance(found, Faulty)
            return
        assert isinstance(found, Increments)
        assert set(found.edges) == left
        for edge, cell in zip(found.edges, found.stable.cells, strict=True):
            counted[edge] += cell
        assert [counted[edge] for edge in EDGES if edge in left] == [
            cell for edge, cell in zip(EDGES, made, strict=True) if edge in left
        ]
