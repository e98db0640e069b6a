"""Decisions of several workers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from pointsman.controller.deciding import Deciding

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Core:
    """Decides that what was observed is the plan, and remembers what it folded together; `faults` cannot be folded."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        self.folded: list[list[str]] = []
        self.ended: list[str] = []

    def begin(self, observed: Any, _now: datetime) -> Any:
        return observed

    def fold(self, drafts: Sequence[Any]) -> None:
        self.folded.append([draft.name for draft in drafts])
        for draft in drafts:
            if draft.name in self.faults:
                raise LookupError(draft.name)

    def end(self, draft: Any) -> Any:
        self.ended.append(draft.name)
        return draft.name

    def pods_wanted(self, _observed: Any) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True)
class Seen:
    name: str
    reading: str | None = "a look"


def ask(deciding: Deciding, name: str, reading: str | None = "a look") -> Coroutine[Any, Any, Any]:
    return deciding.decide(Seen(name, reading), NOW)  # type: ignore[arg-type]


async def test_who_asks_in_the_same_moment_is_folded_together() -> None:
    core = Core()
    deciding = Deciding(core)
    plans = await asyncio.gather(*(ask(deciding, name) for name in "abc"))
    assert (plans, core.folded) == (["a", "b", "c"], [["a", "b", "c"]])
    assert await ask(deciding, "d") == "d"
    assert core.folded[1:] == [["d"]]


async def test_who_has_nothing_to_fold_waits_for_nobody() -> None:
    core = Core()
    deciding = Deciding(core)
    waiting = [asyncio.create_task(ask(deciding, name)) for name in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(StopIteration):
        ask(deciding, "abort", None).send(None)
    assert (core.ended, core.folded) == (["abort"], [])
    await asyncio.gather(*waiting)


async def test_a_worker_that_rouses_the_next_is_waited_for() -> None:
    core = Core()
    deciding, tasks = Deciding(core), list[asyncio.Task[None]]()

    async def worker(names: str) -> None:
        if names[1:]:
            tasks.append(asyncio.create_task(worker(names[1:])))
        await ask(deciding, names[0])

    await worker("abcd")
    await asyncio.gather(*tasks)
    assert core.folded == [["a", "b", "c", "d"]]


async def test_who_goes_on_comes_back_to_be_folded_with_the_others() -> None:
    """Eight workers with forty to decide about: as long as nobody writes, eight at a time."""
    core = Core()
    deciding, left = Deciding(core), [str(number) for number in range(40)]

    async def worker() -> None:
        while left:
            await ask(deciding, left.pop(0))

    await asyncio.gather(*(worker() for _ in range(8)))
    assert [len(names) for names in core.folded] == [8] * 5


async def test_a_fault_is_that_of_one() -> None:
    deciding = Deciding(Core("b"))
    first, fault, third = await asyncio.gather(*(ask(deciding, name) for name in "abc"), return_exceptions=True)
    assert (first, repr(fault), third) == ("a", "LookupError('b')", "c")


async def test_who_was_cancelled_meanwhile_is_not_folded() -> None:
    core = Core()
    deciding = Deciding(core)
    gone, stays = (asyncio.create_task(ask(deciding, name)) for name in "ab")
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "b"
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert core.folded == [["b"]]
