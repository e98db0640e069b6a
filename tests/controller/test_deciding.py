"""Decisions of several workers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pointsman.controller.deciding import Deciding

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Core:
    """Decides that what was observed is the plan, and remembers what it was asked together; `faults` cannot be decided."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        self.asked: list[list[str]] = []

    def decide_all(self, cases: Sequence[tuple[Any, datetime]]) -> list[Any]:
        self.asked.append([observed for observed, _ in cases])
        for observed, _ in cases:
            if observed in self.faults:
                raise LookupError(observed)
        return [observed for observed, _ in cases]

    def pods_wanted(self, observed: Any) -> frozenset[str]:
        return frozenset(observed)


def test_who_asks_in_the_same_moment_is_answered_together() -> None:
    async def run() -> None:
        core = Core()
        deciding = Deciding(core)
        plans = await asyncio.gather(*(deciding.decide(name, NOW) for name in "abc"))  # type: ignore[arg-type]
        assert (plans, core.asked) == (["a", "b", "c"], [["a", "b", "c"]])
        assert [await deciding.decide("d", NOW)] == ["d"]  # type: ignore[arg-type,comparison-overlap]
        assert core.asked[1:] == [["d"]]

    asyncio.run(run())


def test_a_worker_that_rouses_the_next_is_waited_for() -> None:
    async def run() -> None:
        core = Core()
        deciding, tasks = Deciding(core), []

        async def worker(names: str) -> None:
            if names[1:]:
                tasks.append(asyncio.create_task(worker(names[1:])))
            await deciding.decide(names[0], NOW)  # type: ignore[arg-type]

        await worker("abcd")
        await asyncio.gather(*tasks)
        assert core.asked == [["a", "b", "c", "d"]]

    asyncio.run(run())


def test_a_fault_is_that_of_one() -> None:
    async def run() -> None:
        deciding = Deciding(Core("b"))
        asked = (deciding.decide(name, NOW) for name in "abc")  # type: ignore[arg-type]
        first, fault, third = await asyncio.gather(*asked, return_exceptions=True)
        assert (first, repr(fault), third) == ("a", "LookupError('b')", "c")

    asyncio.run(run())


def test_who_was_cancelled_meanwhile_is_not_decided() -> None:
    async def run() -> None:
        core = Core()
        deciding = Deciding(core)
        gone, stays = (asyncio.create_task(deciding.decide(name, NOW)) for name in "ab")  # type: ignore[arg-type]
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == "b"  # type: ignore[comparison-overlap]
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert core.asked == [["b"]]

    asyncio.run(run())
