"""Decisions of several workers: what Prometheus has said becomes evidence for all of them at once, which takes a fraction of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from pointsman.rollout.draft import Draft
from pointsman.rollout.observed import Observed
from pointsman.rollout.plan import Plan


class Decision(Protocol):
    """The pure core, in three parts."""

    def begin(self, observed: Observed, now: datetime) -> Draft:
        """A decision up to what Prometheus has said since the last one."""

    def fold(self, drafts: Sequence[Draft]) -> None:
        """What Prometheus has said becomes evidence: of many decisions at once."""

    def end(self, draft: Draft) -> Plan:
        """A decision from the verdicts on."""

    def pods_wanted(self, observed: Observed) -> frozenset[str]:
        """The revisions whose pods the decision needs to see."""


class _Case(NamedTuple):
    draft: Draft
    folded: asyncio.Future[None]


class Deciding:
    """Decides for everybody who asks now. Who has nothing to fold waits for nobody."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self._cases: list[_Case] = []
        self.pods_wanted = decision.pods_wanted

    async def decide(self, observed: Observed, now: datetime) -> Plan:
        """What is to be done."""
        draft = self._decision.begin(observed, now)
        if observed.reading is not None:
            loop = asyncio.get_running_loop()
            case = _Case(draft, loop.create_future())
            self._cases.append(case)
            if len(self._cases) == 1:
                loop.call_soon(self._gather, 1)
            await case.folded
        return self._decision.end(draft)

    def _gather(self, seen: int) -> None:
        """Wait a turn of the loop more as long as each brings somebody: a worker that goes on rouses the next."""
        if len(self._cases) > seen:
            asyncio.get_running_loop().call_soon(self._gather, len(self._cases))
            return
        cases, self._cases = [case for case in self._cases if not case.folded.done()], []
        try:
            self._decision.fold([case.draft for case in cases])
        except Exception:  # noqa: BLE001  one of them is at fault: each alone, so that the others are decided
            for case in cases:
                self._fold_alone(case)
        else:
            for case in cases:
                case.folded.set_result(None)

    def _fold_alone(self, case: _Case) -> None:
        try:
            self._decision.fold([case.draft])
        except Exception as fault:  # noqa: BLE001  the worker's, who knows what to do with it
            case.folded.set_exception(fault)
        else:
            case.folded.set_result(None)
