"""Writes the verdict on the platform team's objects: the status of ModelRuntimes and RolloutPolicies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

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

    async def reconcile(self, key: Key) -> Done:
        """Say what is thought of one of them.

        Raises Conflict or Unavailable: come back later.
        """
        kind = MODEL_RUNTIME if key.kind == MODEL_RUNTIME.name else ROLLOUT_POLICY
        obj = self._cache.get(kind, key.namespace, key.name)
        if obj is None:
            return Done(gone=True)
        before = obj.get("status") or {}
        status = self._runtime(obj) if kind is MODEL_RUNTIME else self._policy(obj)
        if status != before:
            try:
                change = self._cache.put(await self._client.update_status(obj, status))
            except Missing:
                return Done(gone=True)  # deleted, which the watch has still to tell
            if change is not None:
                self._learnt(change)
        return Done()

    def _runtime(self, obj: Json) -> Json:
        catalogue = {one.name: one for one in map(runtime, self._cache.all(MODEL_RUNTIME))}
        before = parse(ModelRuntimeStatus, obj, "status")
        return runtime_status(runtime(obj), catalogue=catalogue, before=before, now=self._clock()).dump()

    def _policy(self, obj: Json) -> Json:
        before = parse(RolloutPolicyStatus, obj, "status")
        generation = obj["metadata"]["generation"]
        return policy_status(policy(obj), generation=generation, before=before, now=self._clock()).dump()
