"""One reconcile: gather, decide, carry out, until nothing is left to do; it decides nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

import structlog

from pointsman.api.conditions import Condition
from pointsman.api.modeldeployment import ModelDeploymentStatus, RolloutStatus
from pointsman.api.modeldeployment import Outcome as Attempted
from pointsman.api.names import INSTANCE, REVISION
from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, POD
from pointsman.cluster.recorder import Recorder, occurrence
from pointsman.controller.carry import Carrier, Outcome
from pointsman.controller.decisions import decided
from pointsman.controller.gather import Gatherer, falling
from pointsman.controller.keys import Key
from pointsman.controller.looks import Looks
from pointsman.controller.memory import Memories, Memory
from pointsman.controller.pods import pod
from pointsman.controller.workers import Done
from pointsman.errors import Conflict, Terminal
from pointsman.rollout.arms import is_inspector
from pointsman.rollout.observed import Observed, Pod
from pointsman.rollout.plan import Event, Notice, Plan
from pointsman.rollout.vigil import Vigil
from pointsman.rollout.weighing import Weighed

_log = structlog.get_logger(__name__)

_ROUNDS = 12  # decisions of one reconcile; then others get their turn


class Decider(Protocol):
    """Who decides, by the pure core."""

    async def decide(self, observed: Observed, now: datetime) -> Plan:
        """What is to be done."""

    def pods_wanted(self, observed: Observed) -> frozenset[str]:
        """The revisions whose pods the decision needs to see."""


class Post(Protocol):
    """What tells webhooks."""

    def owe(self, key: Key, notices: Iterable[Notice]) -> None:
        """All that they have still to be told of a ModelDeployment."""


class Gauge(Protocol):
    """What counts rollouts."""

    def rollout(self, key: Key, rollout: RolloutStatus | None, gates: tuple[Weighed, ...]) -> None:
        """Where a ModelDeployment's rollout stands; None: none runs."""

    def drift(self, key: Key, vigil: Vigil | None) -> None:
        """What is known of a version that serves alone; None: none is watched."""

    def conditions(self, key: Key, conditions: Sequence[Condition]) -> None:
        """What a ModelDeployment says; none: it is gone."""

    def ended(self, outcome: Attempted) -> None:
        """A rollout has ended."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What a reconcile works with."""

    client: Client
    cache: Cache
    memories: Memories
    gatherer: Gatherer
    recorder: Recorder
    looks: Looks
    gauge: Gauge
    post: Post
    learnt: Callable[[Change], None]


class Reconciler:
    """Reconciles ModelDeployments."""

    def __init__(
        self, world: World, decider: Decider, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._world = world
        self._decider = decider
        self._clock = clock

    async def reconcile(self, key: Key) -> Done:
        """Bring a ModelDeployment as far as it can be brought now.

        Raises Unavailable, Refused or Conflict: come back, later every time.
        """
        memory = self._world.memories.of(key)
        carrier = Carrier(
            self._world.client,
            self._world.cache,
            memory,
            namespace=key.namespace,
            learnt=self._world.learnt,
            tell=lambda event: self._tell(key, event),
        )
        outcome: Outcome | None = None
        for _ in range(_ROUNDS):
            now = self._clock()
            observed = self._observe(key, memory, now)
            if observed is None:
                return self._gone(key)
            plan = await self._decider.decide(observed, now)
            memory.fallen |= falling(observed, memory)
            wanted = self._decider.pods_wanted(observed) | memory.fallen
            lowered = Outcome.SETTLED
            if wanted:
                # What lowers does not wait for the list of pods. What is said about it is: the same decision, with pods.
                lowered = await self._carry(key, carrier.lower(plan, now))
                if lowered in (Outcome.OVERTAKEN, Outcome.REFUSED):
                    outcome = lowered
                    continue
                observed = replace(observed, pods=await self._pods(key, observed, wanted))
                plan = await self._decider.decide(observed, now)
            try:
                outcome = await self._carry(key, carrier.out(observed, plan, now))
            finally:
                if carrier.committed:  # what a status says has happened is not decided again, whatever comes after it
                    self._announce(key, observed.deployment.status, plan)
            if outcome in (Outcome.OVERTAKEN, Outcome.REFUSED):
                continue
            if outcome is Outcome.SETTLED:
                outcome = lowered
            self._conclude(key, memory, observed, plan)
            if outcome is Outcome.SETTLED:
                return Done(wake_at=self._loop_time(plan, memory))
        if outcome is Outcome.OVERTAKEN:
            raise Conflict("others write the same objects again and again")
        return Done(wake_at=asyncio.get_running_loop().time())

    def _gone(self, key: Key) -> Done:
        self._world.memories.forget(key)
        self._world.looks.watch(key, None, None)
        self._world.gauge.rollout(key, None, ())
        self._world.gauge.drift(key, None)
        self._world.gauge.conditions(key, ())
        self._world.post.owe(key, ())
        return Done(gone=True)

    def _observe(self, key: Key, memory: Memory, now: datetime) -> Observed | None:
        try:
            observed = self._world.gatherer.observe(key, memory, now)
        except Terminal as unreadable:
            self._world.looks.watch(key, None, None)  # a look would have us back here every time
            if memory.unreadable != str(unreadable):
                memory.unreadable = str(unreadable)
                self._event(key, "Warning", reason="Unreadable", message=str(unreadable), action="Reconcile")
            raise
        memory.unreadable = None
        return observed

    async def _carry(self, key: Key, carrying: Awaitable[Outcome]) -> Outcome:
        try:
            return await carrying
        except Terminal as refused:
            self._event(key, "Warning", reason="WriteRefused", message=str(refused), action="Reconcile")
            raise

    async def _pods(self, key: Key, observed: Observed, wanted: Iterable[str]) -> dict[str, tuple[Pod, ...]]:
        """The pods of revisions and of inspectors, by the names of their Deployments."""
        listed: dict[str, tuple[Pod, ...]] = {}
        for name in sorted(wanted):
            live = observed.workloads.get(name)
            label = INSTANCE if live is not None and is_inspector(live) else REVISION
            listing = await self._world.client.list(POD, key.namespace, labels=f"{label}={name}")
            listed[name] = tuple(pod(item) for item in listing.items)
        return listed

    def _announce(self, key: Key, before: ModelDeploymentStatus, plan: Plan) -> None:
        """Log every decision once, and post the Events; of an Event that says more than a decision its words are logged."""
        words = {event.reason: event.message for event in plan.events}
        for one in decided(before, plan.status or before):
            _log.info(
                "decided",
                key=str(key),
                what=one.what,
                reason=one.reason,
                **{"from": one.before, "to": one.after},
                revision=one.revision,
                message=words.pop(one.what, one.message),
            )
            if one.outcome is not None:
                self._world.gauge.ended(one.outcome)
        for event in plan.events:
            self._post(key, event)
            if event.reason in words:
                _log.info(event.reason, key=str(key), message=event.message)

    def _tell(self, key: Key, event: Event) -> None:
        self._post(key, event)
        _log.info(event.reason, key=str(key), message=event.message)

    def _post(self, key: Key, event: Event) -> None:
        self._event(key, event.type, reason=event.reason, message=event.message, action=event.action)

    def _conclude(self, key: Key, memory: Memory, observed: Observed, plan: Plan) -> None:
        memory.evidence, memory.vigil = plan.evidence, plan.vigil
        memory.fallen = frozenset()
        if memory.reading is observed.reading:  # else a newer one has come meanwhile
            memory.reading = None
        self._world.looks.watch(key, plan.watch, plan.interval)
        status = plan.status or observed.deployment.status
        self._world.post.owe(key, plan.notices)
        memory.forget_post(plan.notices, observed.deployment.status, status)
        self._world.gauge.rollout(key, status.rollout, plan.weighed)
        self._world.gauge.drift(key, plan.vigil)
        self._world.gauge.conditions(key, status.conditions)

    def _event(self, key: Key, type_: Literal["Normal", "Warning"], *, reason: str, message: str, action: str) -> None:
        obj = self._world.cache.get(MODEL_DEPLOYMENT, key.namespace, key.name)
        if obj is not None:
            self._world.recorder.record(occurrence(obj, type_=type_, reason=reason, action=action, note=message))

    def _loop_time(self, plan: Plan, memory: Memory) -> float | None:
        """When to come back by itself, on the loop's clock."""
        times = [at for at in (plan.wake_at, memory.wake_at()) if at is not None]
        if not times:
            return None
        left = (min(times) - self._clock()).total_seconds()
        return asyncio.get_running_loop().time() + max(left, 0.0)
