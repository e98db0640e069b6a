"""Writes the verdict on the platform team's objects: the status of ModelRuntimes and RolloutPolicies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pointsman.api.modelruntime import ModelRuntimeStatus
from pointsman.api.rolloutpolicy import RolloutPolicyStatus
from pointsman.cluster.answers import Missing
from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import MODEL_RUNTIME, ROLLOUT_POLICY, Json
from pointsman.controller.gather import parse, policy, runtime
from pointsman.controller.keys import Key
from pointsman.controller.workers import Done
from pointsman.rollout.catalogue import policy_status, runtime_status

_FIRST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class _Said:
    """The status that was written last, its times aside, how often it was, and when."""

    status: Json
    times: int
    at: datetime

    def until(self, status: Json) -> datetime:
        """Before when the same is not said again: an operator of another version may say otherwise, as quickly as we do."""
        if status != self.status:
            return self.at
        return self.at + min(_LONGEST, _FIRST * 2.0 ** min(self.times - 1, 10))


class Catalogue:
    """Reconciles ModelRuntimes and RolloutPolicies: one status each, written when it changes."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        learnt: Callable[[Change], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._cache = cache
        self._learnt = learnt
        self._clock = clock
        self._said: dict[Key, _Said] = {}

    async def reconcile(self, key: Key) -> Done:
        """Say what is thought of one of them.

        Raises Conflict or Unavailable: come back later.
        """
        kind = MODEL_RUNTIME if key.kind == MODEL_RUNTIME.name else ROLLOUT_POLICY
        obj = self._cache.get(kind, key.namespace, key.name)
        if obj is None:
            self._said.pop(key, None)
            return Done(gone=True)
        before = obj.get("status") or {}
        status = self._runtime(obj) if kind is MODEL_RUNTIME else self._policy(obj)
        if status == before:
            return Done()
        left = self._left(key, status)
        if left > timedelta():
            return Done(wake_at=asyncio.get_running_loop().time() + left.total_seconds())
        try:
            change = self._cache.put(await self._client.update_status(obj, status))
        except Missing:
            return Done(gone=True)  # deleted, which the watch has still to tell
        self._note(key, status)
        if change is not None:
            self._learnt(change)
        return Done()

    def _left(self, key: Key, status: Json) -> timedelta:
        """How long to wait before this is said."""
        said = self._said.get(key)
        return timedelta() if said is None else said.until(_timeless(status)) - self._clock()

    def _note(self, key: Key, status: Json) -> None:
        before, now = self._said.get(key), self._clock()
        again = before is not None and before.status == _timeless(status) and now - before.at <= 2 * _LONGEST
        times = before.times + 1 if before is not None and again else 1
        self._said[key] = _Said(status=_timeless(status), times=times, at=now)

    def _runtime(self, obj: Json) -> Json:
        catalogue = {one.name: one for one in map(runtime, self._cache.all(MODEL_RUNTIME))}
        before = parse(ModelRuntimeStatus, obj, "status")
        return runtime_status(runtime(obj), catalogue=catalogue, before=before, now=self._clock()).dump()

    def _policy(self, obj: Json) -> Json:
        before = parse(RolloutPolicyStatus, obj, "status")
        generation = obj["metadata"]["generation"]
        return policy_status(policy(obj), generation=generation, before=before, now=self._clock()).dump()


def _timeless(status: Json) -> Json:
    conditions = [
        {name: value for name, value in condition.items() if name != "lastTransitionTime"}
        for condition in status.get("conditions", ())
    ]
    return {**status, "conditions": conditions}
