from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pointsman.controller.keys import Key, deployment
from pointsman.controller.looks import Looks, NoReader, aligned
from pointsman.signals.matching import FAILED, PART
from pointsman.signals.profiles import Question, Shape
from pointsman.signals.queries import Labels, Query, RangeQuery
from pointsman.signals.reading import NoData, Reading, Watch
from pointsman.signals.samples import Answer, Failed, RangeAnswer, Sample
from tests.controller.fake import until

BEGIN = datetime(2026, 1, 1, 10, 0, 3, tzinfo=UTC)
TEN, FIFTEEN = timedelta(seconds=10), timedelta(seconds=15)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def watch(name: str) -> Watch:
    shape = Shape(
        source="Runtime", signal="Errors", metric="requests_total", match=(), failed=(("code", "5.."),), unit="s"
    )
    question = Question(gate="errors", stable=shape, candidate=shape)
    return Watch(namespace="ml", stable=f"{name}-1", candidate=f"{name}-2", questions=(question,))


class Scene:
    """Looks with a clock that is set by hand, and a Prometheus that fails every query."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.read_at: list[datetime] = []
        self.queries: list[int] = []
        self.ranges: list[tuple[int, datetime]] = []
        self.delivered: list[tuple[str, Reading]] = []
        self.counted: list[tuple[int, int]] = []
        self.hold: asyncio.Event | None = None
        self.failed: dict[str, int] = {}  # by candidate
        self.awaited: list[str] = []
        self.looks = Looks(self, self.deliver, labels=Labels(), gauge=self, clock=lambda: self.now)

    def deliver(self, key: Key, reading: Reading, *, awaited: bool) -> None:
        self.delivered.append((key.name, reading))
        if awaited:
            self.awaited.append(key.name)

    async def read(self, queries: Iterable[Query], at: datetime) -> dict[Query, Answer]:
        asked = list(queries)
        self.read_at.append(at)
        self.queries.append(len(asked))
        if self.hold is not None:
            await self.hold.wait()
        return dict.fromkeys(asked, self.samples() or Failed("no answer"))

    def samples(self) -> tuple[Sample, ...]:
        """What every query answers."""
        return tuple(
            Sample({"namespace": "ml", "pointsman_dev_revision": name, PART: FAILED}, float(count))
            for name, count in self.failed.items()
        )

    async def read_ranges(self, queries: Iterable[RangeQuery], at: datetime) -> dict[RangeQuery, RangeAnswer]:
        asked = list(queries)
        self.ranges.append((len(asked), at))
        return dict.fromkeys(asked, Failed("no answer"))

    def looked(self, rollouts: int, failed: int, seconds: float) -> None:
        assert seconds >= 0
        self.counted.append((rollouts, failed))

    def add(self, name: str, interval: timedelta | None = TEN) -> None:
        self.looks.watch(key(name), None if interval is None else watch(name), interval)

    async def at(self, seconds: float) -> list[str]:
        """Who was looked at."""
        self.now = at(seconds)
        before = len(self.delivered)
        await self.looks.look(self.now)
        return [name for name, _ in self.delivered[before:]]


def key(name: str) -> Key:
    return deployment(("ml", name))


@pytest.mark.parametrize(
    ("now", "interval", "expected"),
    [(0, TEN, 7), (7, TEN, 17), (6.999, TEN, 7), (0, FIFTEEN, 12), (0, timedelta(minutes=1), 57)],
)
def test_looks_are_at_multiples_of_the_interval(now: float, interval: timedelta, expected: float) -> None:
    assert aligned(at(now), interval) == at(expected)


async def test_all_that_are_due_are_read_together() -> None:
    scene = Scene()
    for name in ("a", "b"):
        scene.add(name)
    scene.add("slow", FIFTEEN)
    assert await scene.at(5) == []
    assert await scene.at(7) == ["a", "b"]
    assert await scene.at(12) == ["slow"]
    assert await scene.at(28) == ["a", "b", "slow"]  # what was missed is not made up for
    assert await scene.at(29) == []
    assert scene.read_at == [at(7), at(12), at(28)]
    assert len(set(scene.queries)) == 1  # as many for one rollout as for three


async def test_whose_candidate_has_failed_most_since_the_last_look_comes_first() -> None:
    scene = Scene()
    for name in ("a", "b", "c"):
        scene.add(name)
    scene.failed = {"a-2": 900, "b-2": 0, "c-2": 5}
    assert set(await scene.at(7)) == {"a", "b", "c"}
    scene.failed = {"a-2": 901, "b-2": 0, "c-2": 50}
    scene.add("a")  # a reconcile in between
    assert await scene.at(17) == ["c", "a", "b"]


async def test_who_cannot_begin_without_a_look_is_told_to_go_before_the_others() -> None:
    scene = Scene()
    scene.add("runs")
    scene.looks.watch(key("waits for data"), watch("waits for data"), timedelta(seconds=2))
    scene.looks.watch(key("begins"), replace(watch("begins"), calibrate=timedelta(hours=1)), TEN)
    assert set(await scene.at(7)) == {"runs", "waits for data", "begins"}
    assert set(scene.awaited) == {"waits for data", "begins"}


async def test_many_are_delivered_some_at_a_time_to_be_decided_together() -> None:
    scene, turns = Scene(), list[int]()
    for number in range(40):
        scene.add(f"model-{number:02}")

    async def count() -> None:
        while True:
            turns.append(len(scene.delivered))
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert len(await scene.at(7)) == 40
    counting.cancel()
    assert set(turns) <= {0, 16, 32, 40}, "in one turn of the loop each time"


async def test_every_rollout_gets_its_reading_with_the_time_of_evaluation() -> None:
    scene = Scene()
    scene.add("a")
    await scene.at(7)
    ((_, reading),) = scene.delivered
    assert reading.at == at(7)
    assert isinstance(reading.gates["errors"], NoData)
    assert scene.counted == [(1, 2)]


async def test_hundreds_that_begin_together_are_calibrated_a_part_at_each_look() -> None:
    scene = Scene()
    hour = timedelta(hours=1)
    for number in range(130):
        asking = replace(watch(str(number)), calibrate=hour)
        scene.looks.watch(key(str(number)), asking, TEN)
    assert len(await scene.at(7)) == 130
    known = [name for name, reading in scene.delivered if reading.past]
    assert len(known) == 100
    for name in known:
        scene.looks.watch(key(name), watch(name), TEN)
    await scene.at(17)
    assert len({name for name, reading in scene.delivered if reading.past}) == 130


async def test_a_reconcile_does_not_move_the_next_look() -> None:
    scene = Scene()
    scene.add("a")
    scene.now = at(6)
    scene.add("a")
    assert await scene.at(7) == ["a"]
    scene.add("a", FIFTEEN)  # another interval does
    assert await scene.at(10) == []
    assert await scene.at(12) == ["a"]


async def test_a_clock_that_is_set_back_delays_a_look_by_one_interval_at_most() -> None:
    scene = Scene()
    scene.add("a")
    scene.now = at(-3600)
    looking = asyncio.create_task(scene.looks.run())
    await asyncio.sleep(0)  # the loop has seen the time
    looking.cancel()
    assert await scene.at(-3600 + 10) == ["a"]


async def test_a_rollout_that_ended_or_changed_during_the_look_gets_no_reading() -> None:
    scene = Scene()
    for name in ("ended", "changed", "stays"):
        scene.add(name)
    scene.now, scene.hold = at(7), asyncio.Event()
    looking = asyncio.create_task(scene.looks.look(scene.now))
    await until(lambda: scene.read_at)
    scene.add("ended", None)
    scene.looks.watch(key("changed"), watch("other"), TEN)
    scene.hold.set()
    await looking
    assert [name for name, _ in scene.delivered] == ["stays"]


async def test_the_loop_waits_for_a_rollout_and_one_look_never_overlaps_another() -> None:
    scene = Scene()
    running = asyncio.create_task(scene.looks.run())
    await asyncio.sleep(0)
    assert scene.read_at == []
    scene.hold = asyncio.Event()
    scene.add("a")
    scene.now = at(7)
    scene.add("b", FIFTEEN)  # wakes the loop, which finds a due
    await until(lambda: scene.read_at)
    scene.now = at(40)
    for _ in range(20):
        await asyncio.sleep(0)
    assert scene.read_at == [at(7)]
    scene.hold.set()
    await until(lambda: len(scene.read_at) == 2)
    assert scene.read_at[1] == at(40)
    running.cancel()


async def test_a_bug_in_one_look_does_not_end_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.add("a")
    scene.now = at(7)
    fail = [ZeroDivisionError("bug")]

    async def read(queries: Iterable[Query], at: datetime) -> dict[Query, Answer]:
        if fail:
            scene.now += TEN
            raise fail.pop()
        return await Scene.read(scene, queries, at)

    monkeypatch.setattr(scene, "read", read)
    running = asyncio.create_task(scene.looks.run())
    await until(lambda: scene.delivered)
    running.cancel()
    assert scene.read_at == [at(17)]


async def test_the_past_is_read_together_with_the_look_that_asks_for_it() -> None:
    scene = Scene()
    scene.looks.watch(key("a"), replace(watch("a"), calibrate=timedelta(hours=1)), TEN)
    scene.looks.watch(key("b"), watch("b"), TEN)
    scene.now = at(10)
    await scene.looks.look(scene.now)
    assert (scene.queries, scene.ranges) == ([2], [(1, at(10))])
    a, b = (reading for _, reading in scene.delivered)
    assert (a.past, b.past) == ({"errors": NoData("no answer")}, {})


async def test_without_a_prometheus_every_answer_says_what_to_set() -> None:
    query = Query(text="up", about="freshness")
    answers = await NoReader().read([query], BEGIN)
    answer = answers[query]
    assert isinstance(answer, Failed)
    assert "--prometheus-url" in answer.reason
