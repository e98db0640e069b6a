"""Decisions of several workers at once: what they gather in the same moment is decided together, which takes a fraction of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from pointsman.rollout.observed import Observed
from pointsman.rollout.plan import Plan


class Decision(Protocol):
    """The pure core."""

    def decide_all(self, cases: Sequence[tuple[Observed, datetime]]) -> list[Plan]:
        """What is to be done about each."""

    def pods_wanted(self, observed: Observed) -> frozenset[str]:
        """The revisions whose pods the decision needs to see."""


class _Case(NamedTuple):
    observed: Observed
    now: datetime
    plan: asyncio.Future[Plan]


class Deciding:
    """Asks the core for everybody who wants a decision now."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self._cases: list[_Case] = []
        self.pods_wanted = decision.pods_wanted

    async def decide(self, observed: Observed, now: datetime) -> Plan:
        """What is to be done, as soon as nobody else is about to ask."""
        loop = asyncio.get_running_loop()
        case = _Case(observed, now, loop.create_future())
        self._cases.append(case)
        if len(self._cases) == 1:
            loop.call_soon(self._gather, 1)
        return await case.plan

    def _gather(self, seen: int) -> None:
        """Wait one turn of the loop more as long as each brings somebody: a worker that goes on rouses the next."""
        if len(self._cases) > seen:
            asyncio.get_running_loop().call_soon(self._gather, len(self._cases))
            return
        cases, self._cases = [case for case in self._cases if not case.plan.done()], []
        try:
            plans = self._decision.decide_all([(case.observed, case.now) for case in cases])
        except Exception:  # noqa: BLE001  one of them is at fault: each alone, so that the others are decided
            for case in cases:
                self._alone(case)
        else:
            for case, plan in zip(cases, plans, strict=True):
                case.plan.set_result(plan)

    def _alone(self, case: _Case) -> None:
        try:
            (plan,) = self._decision.decide_all([(case.observed, case.now)])
        except Exception as fault:  # noqa: BLE001  the worker's, who knows what to do with it
            case.plan.set_exception(fault)
        else:
            case.plan.set_result(plan)
