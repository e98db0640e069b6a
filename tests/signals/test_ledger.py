from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pointsman.signals.ledger import Increments, Ledger, Tally, fold
from pointsman.signals.reading import ArmCounts, Cells, Counts, Faulty, PodCount

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = START.timestamp() - 86_400  # a process that runs since yesterday
INF = math.inf

Pods = Mapping[str, PodCount]
Look = tuple[float, Pods]
"""Seconds since the first look, and what the stable arm's pods show then."""


def pod(total: int, failed: int = 0, *, started: float | None = OLD) -> PodCount:
    return PodCount(started, (failed, total))


def begun(seconds: float) -> float:
    """The start of a process, in seconds after the attempt's first look."""
    return START.timestamp() + seconds


def counts(stable: Pods, candidate: Pods | None = None, edges: tuple[float, ...] = ()) -> Counts:
    idle = {"c": PodCount(OLD, (0,) * (len(edges) or 2))}
    return Counts(
        edges=edges,
        stable=ArmCounts(stable, newest=START),
        candidate=ArmCounts(idle if candidate is None else candidate, newest=START),
    )


def increments(looks: Sequence[Look], *, warmup: int = 0) -> list[Tally]:
    """The stable arm's tally of every look."""
    ledger, tallies = Ledger(), []
    for seconds, pods in looks:
        ledger, found = fold(ledger, counts(pods), at=START + timedelta(seconds=seconds), warmup=warmup)
        assert isinstance(found, Increments)
        tallies.append(found.stable)
        assert Ledger.load(json.loads(json.dumps(ledger.dump(), allow_nan=False))) == ledger
    return tallies


def test_what_was_counted_before_the_first_look_is_no_evidence() -> None:
    ledger, found = fold(Ledger(), counts({"a": pod(100, 2), "b": pod(50, 1)}), at=START, warmup=0)
    assert found == Increments(edges=(), stable=Tally((0, 0), 0), candidate=Tally((0, 0), 0))
    assert ledger.at == START


@pytest.mark.parametrize(
    ("looks", "cells"),
    [
        pytest.param(
            [(0, {"a": pod(100, 2)}), (10, {"a": pod(130, 3)}), (20, {"a": pod(140, 3)})],
            [(0, 0), (1, 30), (0, 10)],
            id="growth since the last look",
        ),
        pytest.param(
            [(0, {"a": pod(100)}), (10, {"a": pod(130)}), (10, {"a": pod(130)})],
            [(0, 0), (0, 30), (0, 0)],
            id="the same scrape twice counts once",
        ),
        pytest.param(
            [(0, {"a": pod(100)}), (300, {"a": pod(900)})],
            [(0, 0), (0, 800)],
            id="missed looks lose nothing",
        ),
        pytest.param(
            [(0, {"a": pod(9), "b": pod(9)}), (10, {"a": pod(10)}), (20, {"a": pod(10), "b": pod(30)})],
            [(0, 0), (0, 1), (0, 21)],
            id="a pod that was not scraped for a look is counted when it is back",
        ),
        pytest.param(
            [(0, {"a": pod(9), "b": pod(9)}), (10, {"a": pod(10)}), (20, {"a": pod(14)})],
            [(0, 0), (0, 1), (0, 4)],
            id="a pod that is gone for good",
        ),
        pytest.param(
            [(0, {"a": pod(9)}), (10, {"a": pod(9), "n": pod(7, 1, started=begun(4))})],
            [(0, 0), (1, 7)],
            id="a pod that started since counts from zero",
        ),
        pytest.param(
            [(0, {"a": pod(9)}), (10, {"a": pod(9), "n": pod(7000, 1)}), (20, {"a": pod(9), "n": pod(7005, 1)})],
            [(0, 0), (0, 0), (0, 5)],
            id="a pod that was only scraped late is a baseline",
        ),
        pytest.param(
            [(0, {"a": pod(9)}), (10, {"a": pod(9), "n": pod(7, started=None)}), (20, {"n": pod(9, started=None)})],
            [(0, 0), (0, 0), (0, 2)],
            id="so is a new pod that does not say when it started",
        ),
        pytest.param(
            [
                (0, {"a": pod(100, 9)}),
                (10, {"a": pod(5, 1, started=begun(3))}),
                (20, {"a": pod(6, 1, started=begun(3))}),
            ],
            [(0, 0), (1, 5), (0, 1)],
            id="a restarted process counts from zero",
        ),
        pytest.param(
            [(0, {"a": pod(3)}), (10, {"a": pod(8, started=begun(3))}), (20, {"a": pod(9, started=begun(3))})],
            [(0, 0), (0, 5), (0, 1)],
            id="one that has already passed the old counter counts what is beyond doubt",
        ),
        pytest.param(
            [(0, {"a": pod(100)}), (10, {"a": pod(110)}), (20, {"a": pod(104)}), (30, {"a": pod(115)})],
            [(0, 0), (0, 10), (0, 0), (0, 5)],
            id="a store that steps back counts nothing until the old maximum is passed",
        ),
        pytest.param(
            [(0, {"a": pod(100, 5)}), (10, {"a": pod(90, 9)}), (20, {"a": pod(120, 7)})],
            [(0, 0), (0, 0), (2, 20)],
            id="one counter that steps back holds all of the pod's",
        ),
        pytest.param(
            [(0, {"a": pod(100, 5)}), (10, {"a": pod(102, 9)}), (20, {"a": pod(120, 9)})],
            [(0, 0), (0, 0), (4, 20)],
            id="more new failures than new requests are two scrapes mixed",
        ),
        pytest.param(
            [
                (0, {"a": pod(100, started=begun(-60))}),
                (10, {"a": pod(7, started=begun(5))}),
                (20, {"a": pod(90, started=begun(-60))}),
                (30, {"a": pod(9, started=begun(5))}),
            ],
            [(0, 0), (0, 7), (0, 0), (0, 2)],
            id="samples of the process before are ignored",
        ),
        pytest.param(
            [(0, {"a": pod(100, started=None)})]
            + [(10.0 * look, {"a": pod(5 + look, started=None)}) for look in range(1, 34)],
            [(0, 0)] * 32 + [(0, 1)] * 2,
            id="lower for five minutes is a reset that nobody announced, and a baseline",
        ),
        pytest.param(
            [(0, {"a": pod(100)}), (10, {"a": pod(0, started=None)}), (20, {"a": pod(4, started=begun(8))})],
            [(0, 0), (0, 0), (0, 4)],
            id="series that are missing after a restart",
        ),
        pytest.param(
            [(0, {"a": pod(0, started=None)}), (10, {"a": pod(4, started=OLD)}), (20, {"a": pod(6, started=OLD)})],
            [(0, 0), (0, 4), (0, 2)],
            id="a start that becomes known is no restart",
        ),
        pytest.param(
            [(0, {"a": pod(50)}), (10, {"a": pod(60, started=OLD + 6)}), (20, {"a": pod(55, started=OLD - 6)})],
            [(0, 0), (0, 10), (0, 0)],
            id="a start taken from an uptime wobbles",
        ),
    ],
)
def test_every_request_counts_once_or_not_at_all(looks: list[Look], cells: list[Cells]) -> None:
    assert [tally.cells for tally in increments(looks)] == cells


@pytest.mark.parametrize(
    ("looks", "requests", "pods"),
    [
        pytest.param(
            [(0, {"a": pod(1000)}), (10, {"a": pod(1010)})],
            [0, 10],
            [0, 1],
            id="a pod that has served enough is warm from the start",
        ),
        pytest.param(
            [(0, {"a": pod(30)}), (10, {"a": pod(49)}), (20, {"a": pod(70)}), (30, {"a": pod(75)})],
            [0, 0, 0, 5],
            [0, 0, 0, 1],
            id="a pod counts from the look after it is warm",
        ),
        pytest.param(
            [
                (0, {"a": pod(90)}),
                (10, {"a": pod(95), "n": pod(60, started=begun(2))}),
                (20, {"a": pod(95), "n": pod(66, started=begun(2))}),
            ],
            [0, 5, 6],
            [0, 1, 2],
            id="a new pod too",
        ),
        pytest.param(
            [
                (0, {"a": pod(90)}),
                (10, {"a": pod(55, started=begun(5))}),
                (20, {"a": pod(57, started=begun(5))}),
            ],
            [0, 0, 2],
            [0, 0, 1],
            id="a restarted process is cold again",
        ),
    ],
)
def test_the_first_requests_of_a_process_are_not_evidence(
    looks: list[Look], requests: list[int], pods: list[int]
) -> None:
    tallies = increments(looks, warmup=50)
    assert [tally.requests for tally in tallies] == requests
    assert [tally.pods for tally in tallies] == pods


def test_a_ledger_from_before_a_crash_of_the_operator_merges_the_looks_since() -> None:
    saved, _ = fold(Ledger(), counts({"a": pod(100, 1)}), at=START, warmup=0)
    _, lost = fold(saved, counts({"a": pod(120, 2)}), at=START + timedelta(seconds=10), warmup=0)
    resumed = Ledger.load(json.loads(json.dumps(saved.dump())))
    _, merged = fold(resumed, counts({"a": pod(150, 2)}), at=START + timedelta(seconds=60), warmup=0)
    assert isinstance(lost, Increments)
    assert isinstance(merged, Increments)
    assert lost.stable.cells == (1, 20)
    assert merged.stable.cells == (1, 50)


def test_a_pod_that_comes_back_after_it_was_forgotten_is_no_new_pod() -> None:
    away = {"a": pod(0)}
    new = pod(40, started=begun(5))
    looks = [(0.0, away), (10.0, {**away, "n": new}), (4000.0, away), (4010.0, {**away, "n": new})]
    assert [tally.requests for tally in increments(looks)] == [0, 40, 0, 0]


def test_pods_that_are_gone_for_an_hour_leave_the_ledger() -> None:
    ledger, _ = fold(Ledger(), counts({"a": pod(1), "b": pod(1)}), at=START, warmup=0)
    ledger, _ = fold(ledger, counts({"a": pod(2)}), at=START + timedelta(minutes=61), warmup=0)
    assert set(ledger.stable) == {"a"}


@pytest.mark.parametrize("dumped", [{"at": 1}, {"at": "x", "since": 0}, {"stable": []}])
def test_what_is_no_ledger_is_refused(dumped: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="this is no ledger of Pointsman"):
        Ledger.load(dumped)


def test_nothing_is_dumped_before_the_first_look() -> None:
    assert Ledger().dump() == {}
    assert Ledger.load({}) == Ledger()


class TestLatency:
    def histogram(self, *looks: tuple[tuple[float, ...], Cells, Cells]) -> list[Increments | Faulty]:
        """Edges, the stable pod's and the candidate pod's cells of every look."""
        ledger, found = Ledger(), []
        for number, (edges, stable, candidate) in enumerate(looks):
            look = counts({"a": PodCount(OLD, stable)}, {"c": PodCount(OLD, candidate)}, edges)
            ledger, increment = fold(ledger, look, at=START + timedelta(seconds=10 * number), warmup=0)
            found.append(increment)
            assert Ledger.load(json.loads(json.dumps(ledger.dump(), allow_nan=False))) == ledger
        return found

    def test_increments_per_bucket(self) -> None:
        edges = (0.1, 0.5, INF)
        (_, found) = self.histogram((edges, (10, 20, 30), (0, 0, 0)), (edges, (14, 26, 36), (1, 1, 2)))
        assert isinstance(found, Increments)
        assert found.edges == edges
        assert found.stable == Tally(cells=(4, 6, 6), pods=1)
        assert found.stable.buckets == (4, 2, 0)
        assert found.candidate.buckets == (1, 0, 1)

    def test_edges_become_known_with_the_first_request(self) -> None:
        (first, found) = self.histogram(((INF,), (0,), (0,)), ((0.1, INF), (3, 4), (0, 0)))
        assert isinstance(first, Increments)
        assert isinstance(found, Increments)
        assert first.edges == (INF,)
        assert found.edges == (0.1, INF)
        assert found.stable.cells == (3, 4)

    def test_edges_that_the_candidate_lacks_are_dropped_when_it_shows_its_own(self) -> None:
        (_, found) = self.histogram(((0.1, 0.5, 1, INF), (1, 2, 3, 4), (0,) * 4), ((0.5, INF), (5, 9), (1, 2)))
        assert isinstance(found, Increments)
        assert found.edges == (0.5, INF)
        assert found.stable.cells == (3, 5)
        assert found.candidate.cells == (1, 2)

    def test_edges_do_not_come_back(self) -> None:
        wide, narrow = (0.1, 0.5, INF), (0.5, INF)
        (*_, found) = self.histogram(
            (wide, (1, 2, 4), (0, 0, 0)), (narrow, (5, 9), (1, 2)), (wide, (5, 6, 11), (1, 2, 3))
        )
        assert isinstance(found, Increments)
        assert found.edges == narrow
        assert found.stable.cells == (1, 2)

    def test_a_look_without_any_series_keeps_the_edges(self) -> None:
        (_, _, found) = self.histogram(((0.1, INF), (0, 0), (0, 0)), ((INF,), (0,), (0,)), ((0.1, INF), (3, 4), (0, 0)))
        assert isinstance(found, Increments)
        assert found.stable.cells == (3, 4)

    def test_versions_without_a_common_bucket_cannot_be_compared(self) -> None:
        (found, again) = self.histogram(((INF,), (4,), (2,)), ((INF,), (5,), (3,)))
        assert isinstance(found, Faulty)
        assert found == again
        assert "share no bucket edge" in found.reason
