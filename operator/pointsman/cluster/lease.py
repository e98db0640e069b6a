"""Leader election by a coordination.k8s.io Lease: one operator works, the others wait.

Time is this process's own monotonic clock: another's lease counts as expired when *we* have not seen it change for its
duration. Every write names the resourceVersion it saw, so two contenders cannot both win. The writes of a leader that does
not know yet that it lost are guarded the same way, so an overlap is harmless.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import LEASE
from pointsman.errors import Conflict, Retryable, Terminal


class LeaseLost(Terminal):
    """Somebody else leads, or nobody knows whether we do: this process has to end."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a lease is held; seconds."""

    duration: float = 15.0  # others wait this long after the last renewal that they saw
    renew: float = 5.0  # a renewal is due this long after the last
    deadline: float = 10.0  # without a renewal for this long we stop: before anybody else may start
    retry: float = 2.0  # between two looks at somebody else's lease, or two tries to renew


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

    async def release(self) -> None:
        """Give the lease back, so that the next leader need not wait for it to expire."""
        if self._holder() != self._identity:
            return
        try:
            await self._write(holder="")
        except (Retryable, Terminal):
            return  # it expires by itself

    async def _try(self) -> bool:
        try:
            if not await self._look():
                return False
            asked_at = self._clock()
            await self._write(holder=self._identity)
        except Retryable:
            return False
        self._renewed_at = asked_at
        return True

    async def _look(self) -> bool:
        """Whether the lease is free: not there, given back or expired."""
        try:
            lease = await self._client.get(LEASE, self._namespace, self._name)
        except Missing:
            self._lease = None
            return True
        if self._lease is None or _version(lease) != _version(self._lease):
            self._lease, self._changed_at = lease, self._clock()
        duration = float(lease["spec"].get("leaseDurationSeconds") or self._terms.duration)
        return not self._holder() or self._clock() - self._changed_at > duration

    async def _renew(self) -> None:
        while True:
            asked_at = self._clock()
            left = self._renewed_at + self._terms.deadline - asked_at
            try:
                async with asyncio.timeout(max(left, 0.001)):
                    await self._write(holder=self._identity)
            except Conflict:
                await self._check()
            except (Retryable, TimeoutError) as failure:
                if self._clock() - self._renewed_at >= self._terms.deadline:
                    raise LeaseLost(f"the lease {self._name} could not be renewed in time: {failure}") from failure
                await asyncio.sleep(min(self._terms.retry, max(left, 0.0)))
            else:
                self._renewed_at = asked_at
                return

    async def _check(self) -> None:
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
            "leaseDurationSeconds": int(self._terms.duration) if holder else 1,
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
