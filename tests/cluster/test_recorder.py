from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pointsman.cluster import recorder as module
from pointsman.cluster.answers import Missing, Refused
from pointsman.cluster.kinds import Kind
from pointsman.cluster.recorder import Recorder, occurrence
from pointsman.errors import Conflict, Unavailable
from tests.cluster.objects import model


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class LostError(Exception):
    """It was done, and nobody was told."""


class Api:
    """Keeps what is posted; raises what it is told to, once each: instead of doing it, or after it."""

    def __init__(self, *faults: Exception) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.faults = list(faults)
        self.calls = 0

    async def post(self, event: dict[str, Any]) -> dict[str, Any]:
        with self._fail():
            name = event["metadata"]["name"]
            if name in self.events:
                raise Conflict("it exists")
            self.events[name] = event
            return event

    async def merge(self, _kind: Kind, _namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        with self._fail():
            if name not in self.events:
                raise Missing(name)
            self.events[name] |= patch
            return self.events[name]

    @contextmanager
    def _fail(self) -> Iterator[None]:
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            yield
        elif isinstance(fault, LostError):
            yield
            raise Unavailable("no answer")
        else:
            raise fault

    def counts(self) -> list[tuple[str, int]]:
        return [(event["note"], event.get("series", {}).get("count", 1)) for event in self.events.values()]


def what(note: str = "v2 serves") -> module.Occurrence:
    return occurrence(model("churn"), type_="Normal", reason="Promoted", action="Promote", note=note)


def recorder(api: Api, clock: Clock) -> Recorder:
    return Recorder(api, instance="me", clock=clock)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return slept


async def test_an_event_is_posted_with_all_that_the_api_demands() -> None:
    api = Api()
    posting = recorder(api, Clock())
    posting.record(what())
    await posting.flush()
    (event,) = api.events.values()
    assert event["regarding"]["uid"] == "uid-churn"
    assert event["metadata"]["namespace"] == event["regarding"]["namespace"] == "ml"
    assert {"eventTime", "reportingController", "reportingInstance", "action", "reason", "type"} <= event.keys()


# When the same thing happens (seconds), and the events there are in the end with their counts.
REPEATS = [
    ([0], [1]),
    ([0, 0, 0], [3]),
    ([0, 10, 200], [3]),
    ([0, 400], [1, 1]),
    ([0, 300, 600], [3]),
]


@pytest.mark.parametrize(("times", "counts"), REPEATS)
async def test_repeats_become_a_series(times: list[float], counts: list[int]) -> None:
    api, clock = Api(), Clock()
    posting = recorder(api, clock)
    begin = clock.now
    for at in dict.fromkeys(times):
        clock.now = begin + at
        for _ in range(times.count(at)):
            posting.record(what())
        await posting.flush()
    assert [count for _, count in api.counts()] == counts


async def test_another_note_is_another_event() -> None:
    api = Api()
    posting = recorder(api, Clock())
    for note in ("step 1", "step 2", "step 1"):
        posting.record(what(note))
    await posting.flush()
    assert sorted(api.counts()) == [("step 1", 2), ("step 2", 1)]


async def test_a_series_whose_event_was_deleted_begins_anew() -> None:
    api = Api()
    posting = recorder(api, Clock())
    posting.record(what())
    await posting.flush()
    api.events.clear()
    posting.record(what())
    await posting.flush()
    assert api.counts() == [("v2 serves", 1)]


@pytest.mark.parametrize(
    ("faults", "posted"),
    [
        pytest.param([Unavailable("down")], 1, id="tried again"),
        pytest.param([Unavailable("down")] * module._TRIES, 0, id="given up"),
        pytest.param([Refused("the namespace is going")], 0, id="refused: not worth a second try"),
    ],
)
async def test_faults(faults: list[Exception], posted: int) -> None:
    api = Api(*faults)
    dropped: list[int] = []
    posting = Recorder(api, instance="me", dropped=lambda: dropped.append(1), clock=Clock())  # type: ignore[arg-type]
    posting.record(what())
    await posting.flush()
    assert len(api.events) == posted
    assert len(dropped) == 1 - posted


@pytest.mark.parametrize("faults", [[LostError()], [LostError(), LostError()], [Unavailable("down"), LostError()]])
@pytest.mark.parametrize("times", [1, 3])
async def test_an_event_whose_answer_was_lost_is_not_posted_again(faults: list[Exception], times: int) -> None:
    api = Api(*faults)
    posting = recorder(api, Clock())
    for _ in range(times):
        posting.record(what())
    await posting.flush()
    assert api.counts() == [("v2 serves", times)]


async def test_a_flood_is_dropped_and_paced(no_waiting: list[float]) -> None:
    api = Api()
    dropped: list[int] = []
    posting = Recorder(api, instance="me", dropped=lambda: dropped.append(1), clock=Clock())  # type: ignore[arg-type]
    for number in range(module._WAITING + 7):
        posting.record(what(f"step {number}"))
    assert len(dropped) == 7
    await posting.flush()
    assert len(api.events) == module._WAITING
    assert len(no_waiting) == module._WAITING - module._BURST


async def test_a_long_note_is_cut_where_a_character_ends() -> None:
    note = what("ü" * 1000).note
    assert len(note.encode()) == 1024
    assert set(note) == {"ü"}
