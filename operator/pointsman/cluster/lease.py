"""Leader election by a coordination.k8s.io Lease: one operator works, the others wait.

Time is this process's own monotonic clock: another's lease counts as expired when *we* have not seen it change for its
duration. Every write names the resourceVersion it saw, so two contenders cannot both win. A leader asks `check` before every
write: one that was stopped for longer than its lease wakes up and writes nothing. What still overlaps (a write that was on its
way) names the resourceVersion that it saw, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import LEASE
from pointsman.errors import Conflict, Retryable, Terminal

_GIVING_BACK = 5.0  # seconds


class LeaseLost(Terminal):
    """Somebody else leads, or nobody knows whether we do: this process has to end."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a lease is held; seconds. Raises Terminal where they do not fit together."""

    duration: int = 15  # others wait this long after the last renewal that they saw; the API knows whole seconds only
    deadline: float = 10.0  # without a renewal for this long we stop: before anybody else may start
    retry: float = 2.0  # between two looks at somebody else's lease, or two tries to renew

    def __post_init__(self) -> None:
        if not 0 < self.retry <= self.deadline - self.renew:
            raise Terminal(
                f"--retry-period {self.retry:g}: write more than 0 and at most {self.deadline - self.renew:g}, which is"
                " --renew-deadline less a third of --lease-duration: else nothing is tried again in time"
            )
        if not self.deadline < self.duration:
            raise Terminal(
                f"--renew-deadline {self.deadline:g}: write less than --lease-duration ({self.duration}):"
                " a leader has to stop before another one may start"
            )

    @property
    def renew(self) -> float:
        """A renewal is due this long after the last."""
        return self.duration / 3


class Leadership:
    """One contender for one Lease."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        terms: Terms | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._terms = terms or Terms()
        self._clock = clock
        self._lease: dict[str, Any] | None = None  # as last seen
        self._changed_at = clock()  # when we first saw it so
        self._renewed_at = clock()
        self._leads = False

    async def acquire(self) -> None:
        """Return when this contender leads."""
        while True:
            if await self._try():
                return
            await asyncio.sleep(self._terms.retry)

    async def keep(self) -> None:
        """Renew until cancelled. Raises LeaseLost."""
        while True:
            await asyncio.sleep(self._terms.renew)
            await self._renew()

    def check(self) -> None:
        """Raises LeaseLost where somebody else may lead by now: whoever wants to write asks first."""
        if not self._leads:
            raise LeaseLost(f"the lease {self._name} is not ours")
        if self._left() <= 0:
            raise LeaseLost(f"the lease {self._name} was not renewed for {self._terms.deadline:g} s")

    async def release(self) -> None:
        """Give the lease back, so that the next leader need not wait for it to expire; call it when `keep` has ended."""
        self._leads = False
        with contextlib.suppress(Retryable, Terminal, TimeoutError):  # else it expires by itself
            async with asyncio.timeout(_GIVING_BACK):
                await self._give_back()

    async def _give_back(self) -> None:
        # Read anew: a write that was interrupted may have landed.
        self._lease = await self._client.get(LEASE, self._namespace, self._name)
        if self._holder() == self._identity:
            await self._write(holder="")

    def _left(self) -> float:
        return self._renewed_at + self._terms.deadline - self._clock()

    async def _try(self) -> bool:
        try:
            if not await self._look():
                return False
            asked_at = self._clock()
            await self._write(holder=self._identity)
        except Retryable:
            return False
        self._renewed_at, self._leads = asked_at, True
        return True

    async def _look(self) -> bool:
        """Whether the lease is free: not there, given back, expired, or ours by a write whose answer was lost."""
        try:
            lease = await self._client.get(LEASE, self._namespace, self._name)
        except Missing:
            self._lease = None
            return True
        if self._lease is None or _version(lease) != _version(self._lease):
            self._lease, self._changed_at = lease, self._clock()
        duration = float(lease["spec"].get("leaseDurationSeconds") or self._terms.duration)
        return self._holder() in {"", self._identity} or self._clock() - self._changed_at > duration

    async def _renew(self) -> None:
        failure: Exception | None = None
        while (left := self._left()) > 0:
            asked_at = self._clock()
            try:
                async with asyncio.timeout(left):
                    await self._write(holder=self._identity)
            except Conflict:
                await self._look_again()
            except (Retryable, TimeoutError) as failed:
                failure = failed
                await asyncio.sleep(min(self._terms.retry, max(self._left(), 0.0)))
            else:
                self._renewed_at = asked_at
                return
        why = "this process stood still" if failure is None else str(failure) or "no answer"
        raise LeaseLost(f"the lease {self._name} could not be renewed in time: {why}") from failure

    async def _look_again(self) -> None:
        """A renewal of ours may have landed without an answer; then the lease is still ours at another version."""
        try:
            self._lease = await self._client.get(LEASE, self._namespace, self._name)
        except Missing as missing:
            raise LeaseLost(f"the lease {self._name} was deleted") from missing
        except Retryable:
            return  # the next renewal finds out
        if self._holder() != self._identity:
            raise LeaseLost(f"the lease {self._name} was taken by {self._holder()}")

    async def _write(self, *, holder: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = self._lease["spec"] if self._lease else {}
        handed_over = before.get("holderIdentity") != holder
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": self._terms.duration if holder else 1,
            "renewTime": now,
            "acquireTime": now if handed_over else before.get("acquireTime"),
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + int(handed_over and bool(holder)),
        }
        meta: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        if self._lease is None:
            body = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": meta, "spec": spec}
            self._lease = await self._client.post(body)
        else:
            meta["resourceVersion"] = _version(self._lease)
            body = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": meta, "spec": spec}
            self._lease = await self._client.put(body)
        self._changed_at = self._clock()

    def _holder(self) -> str:
        return (self._lease or {}).get("spec", {}).get("holderIdentity") or ""


def _version(lease: dict[str, Any]) -> str:
    version: str = lease["metadata"]["resourceVersion"]
    return version
