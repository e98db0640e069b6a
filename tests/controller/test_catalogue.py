"""Statuses of the platform team's objects: written when they change, and never as fast as somebody else who says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pointsman.api.names import MANAGER
from pointsman.api.values import API_VERSION
from pointsman.cluster.cache import Cache
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import ROLLOUT_POLICY
from pointsman.controller.catalogue import Catalogue
from pointsman.controller.keys import Key
from tests.controller.fake import FakeApi

POLICY = {
    "apiVersion": API_VERSION,
    "kind": "RolloutPolicy",
    "metadata": {"name": "careful", "namespace": "", "uid": "1", "managedFields": [{"manager": MANAGER}]},
    "spec": {"steps": [{"canary": {"percent": 5}}], "gates": []},
}
ELDER = {"type": "Accepted", "status": "Unknown", "reason": "Elder", "message": "", "observedGeneration": 1}
OTHERWISE = {"observedGeneration": 1, "conditions": [{**ELDER, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
CAREFUL = Key(ROLLOUT_POLICY.name, "", "careful")


class Place:
    """A cluster with one policy, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.api, self.cache = FakeApi(POLICY), Cache()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.catalogue = Catalogue(cast("Client", self.api), self.cache, lambda _: None, clock=lambda: self.now)
        self.cache.put(self.stored)

    @property
    def stored(self) -> dict[str, Any]:
        return self.api.objects["RolloutPolicy", "", "careful"]

    def somebody_says(self, status: dict[str, Any]) -> None:
        self.cache.put(self.api.store({**self.stored, "status": status}))

    async def writes(self) -> int:
        """How many there are of one reconcile."""
        before = len(self.api.writes)
        await self.catalogue.reconcile(CAREFUL)
        return len(self.api.writes) - before


async def test_a_status_is_written_once() -> None:
    place = Place()
    assert [await place.writes() for _ in range(3)] == [1, 0, 0]
    assert place.stored["status"]["conditions"][0]["status"] == "True"


async def test_who_says_otherwise_is_answered_later_every_time() -> None:
    """Two operators of different versions, each for namespaces of its own, must not write as fast as they can for ever."""
    place = Place()
    answered = []
    begun = place.now
    assert await place.writes() == 1
    while place.now < begun + timedelta(minutes=10):
        place.somebody_says(OTHERWISE)
        while not await place.writes():
            place.now += timedelta(seconds=1)
        answered.append((place.now - begun).total_seconds())
    assert answered[:7] == [1, 3, 7, 15, 31, 63, 123]
    assert answered[7] - answered[6] == 60


@pytest.mark.parametrize("seconds", [0, 5])
async def test_a_status_that_was_lost_is_written_again(seconds: float) -> None:
    place = Place()
    await place.writes()
    place.now += timedelta(hours=1)
    place.somebody_says({})
    assert await place.writes() == 1
    place.somebody_says({})
    place.now += timedelta(seconds=seconds)
    assert await place.writes() == (1 if seconds else 0)


async def test_another_spec_is_answered_at_once() -> None:
    place = Place()
    await place.writes()
    place.cache.put(place.api.store({**place.stored, "metadata": {**place.stored["metadata"], "generation": 2}}))
    assert await place.writes() == 1
