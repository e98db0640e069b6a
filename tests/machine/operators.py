"""One operator of the model cluster: the real cache, gathering, deciding and carrying out, on a clock of the model's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.kinds import WATCHED, Kind
from pointsman.controller.carry import Carrier
from pointsman.controller.claims import Claims
from pointsman.controller.gather import Gatherer
from pointsman.controller.keys import deployment
from pointsman.controller.memory import Memories, Memory
from pointsman.controller.reconcile import Reconciler, World
from pointsman.controller.routing import concerned
from pointsman.errors import PointsmanError
from pointsman.rollout import decision
from pointsman.rollout.observed import Observed, Settings
from pointsman.rollout.plan import Plan
from pointsman.signals.reading import Reading, Watch
from tests.machine.apiserver import ApiServer

T = TypeVar("T")
KEY = deployment(("ml", "churn"))
SETTINGS = Settings(storage_initializer="initializer:1", inspector_image="pointsman:1")
RETRY = timedelta(seconds=1)


class Loop(asyncio.AbstractEventLoop):
    """Tells the model's time; nothing ever waits on it."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds

    def time(self) -> float:
        return self._seconds()

    def get_debug(self) -> bool:
        return False


@contextmanager
def running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Make it the running loop, as an event loop does itself."""
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(before)


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end what never waits; so one operator can act in the middle of another's write."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    work.close()
    raise AssertionError("the model's API server never lets anybody wait")


class Witness(Protocol):
    """Who looks at what an operator decides and leaves behind."""

    def decided(self, operator: Operator, observed: Observed, now: datetime, plan: Plan) -> None: ...

    def settled(self, operator: Operator) -> None: ...


class Cluster(Protocol):
    """What an operator needs of the world."""

    api: ApiServer
    loop: Loop
    now: datetime
    acting: list[Operator]
    witness: Witness

    def read(self, watch: Watch, at: datetime) -> Reading: ...


class Operator:
    """A process: what it remembers, how far its watches have come, and when it acts next.

    deaf  kinds whose watch is interrupted
    skew  how far its clock is off
    """

    def __init__(self, cluster: Cluster, skew: timedelta = timedelta()) -> None:
        self.cluster, self.skew = cluster, skew
        self.cache, self.memories, self.claims = Cache(), Memories(), Claims()
        self.deaf: set[str] = set()
        self.heard: dict[str, int] = {}
        self.due, self.wake = True, math.inf
        self.watched: tuple[Watch, timedelta] | None = None
        self.look_at = cluster.now
        self.plans: list[tuple[Observed, datetime, Plan]] = []
        self.asleep = False
        self.carried_out = False  # its last plan, to the end
        self.saw_all = False  # its last decision saw everything as it was
        self.gatherer = Gatherer(self.cache, self.claims, SETTINGS)
        self.reconciler = Reconciler(
            World(
                client=cluster.api,  # type: ignore[arg-type]  # the same methods
                cache=self.cache,
                memories=self.memories,
                gatherer=self.gatherer,
                recorder=self,  # type: ignore[arg-type]
                looks=self,  # type: ignore[arg-type]
                learnt=self.learn,
                gauge=self,
                post=self,
            ),
            self,
            self.clock,
        )
        for kind in WATCHED:
            self.relist(kind)

    def clock(self) -> datetime:
        """The time as this process knows it."""
        return self.cluster.now + self.skew

    @property
    def memory(self) -> Memory:
        return self.memories.of(KEY)

    # -- what it hears

    def learn(self, change: Change) -> None:
        if KEY in concerned(change, self.cache, self.claims):
            self.due = True

    def relist(self, kind: Kind) -> None:
        """A list of all there is, and a watch from there on."""
        listing = drive(self.cluster.api.list(kind))
        census = self.cache.census(kind)
        for change in [*census.page(listing.items), *census.end(listing.resource_version)]:
            self.learn(change)
        self.heard[kind.name] = len(self.cluster.api.news[kind.name])
        self.deaf.discard(kind.name)

    def hear(self) -> None:
        """The events since the last time, of every kind whose watch is alive."""
        for kind in WATCHED:
            if kind.name not in self.deaf:
                news = self.cluster.api.news[kind.name]
                for one in news[self.heard[kind.name] :]:
                    change = self.cache.deleted(one.obj) if one.type == "DELETED" else self.cache.put(one.obj)
                    if change is not None:
                        self.learn(change)
                self.heard[kind.name] = len(news)

    def hear_again(self, events: int) -> None:
        """The last events of every kind once more, the newest first."""
        for kind in WATCHED:
            for one in reversed(self.cluster.api.news[kind.name][: self.heard[kind.name]][-events:]):
                if one.type != "DELETED":
                    self.cache.put(one.obj)
        self.due = True

    @property
    def knows_all(self) -> bool:
        """Whether its cache is what the API server has."""
        return not self.deaf and all(self.heard[kind.name] == len(self.cluster.api.news[kind.name]) for kind in WATCHED)

    # -- what the controller around it does

    def watch(self, _key: object, watch: Watch | None, interval: timedelta | None) -> None:
        """`Looks.watch`."""
        self.watched = None if watch is None or interval is None else (watch, interval)

    def record(self, _what: object) -> None:
        """`Recorder.record`."""

    def rollout(self, *_standing: object) -> None:
        """`Gauge.rollout`."""

    def owe(self, _key: object, _notices: object) -> None:
        """`Post.owe`."""

    def drift(self, _key: object, _vigil: object) -> None:
        """`Gauge.drift`."""

    def conditions(self, *_said: object) -> None:
        """`Gauge.conditions`."""

    def ended(self, _outcome: object) -> None:
        """`Gauge.ended`."""

    def look(self) -> None:
        """A look, when one is due."""
        if self.watched is not None and self.cluster.now >= self.look_at:
            watch, interval = self.watched
            self.look_at = self.cluster.now + interval
            self.memory.reading = self.cluster.read(watch, self.clock())
            self.due = True

    async def decide(self, observed: Observed, now: datetime) -> Plan:
        """`Decision.decide`, seen by the witness."""
        plan = decision.decide(observed, now)
        self.plans = [*self.plans[-3:], (observed, now, plan)]
        self.cluster.witness.decided(self, observed, now, plan)
        return plan

    def pods_wanted(self, observed: Observed) -> frozenset[str]:
        """`Decision.pods_wanted`."""
        return decision.pods_wanted(observed)

    def act(self) -> None:
        """What a worker does: reconcile as long as something is due; what fails is tried again a moment later."""
        self.hear()
        self.look()
        if self.cluster.loop.time() >= self.wake - 1e-6:
            self.due = True
        rounds = 0
        while self.due:
            self.due, self.wake = False, math.inf
            rounds += 1
            assert rounds < 20, "it never comes to rest"
            if not self.reconcile():
                return
            self.hear()

    def reconcile(self) -> bool:
        """One reconcile; whether it came to its end."""
        self.cluster.acting.append(self)
        self.carried_out = False
        try:
            with running(self.cluster.loop):
                done = drive(self.reconciler.reconcile(KEY))
        except PointsmanError:
            self.wake = self.cluster.loop.time() + RETRY.total_seconds()
            return False
        finally:
            self.cluster.acting.pop()
        self.wake = math.inf if done.wake_at is None else done.wake_at
        self.carried_out = True
        self.cluster.witness.settled(self)
        return True

    def carry_out_again(self) -> None:
        """The last plan once more, if it was carried out."""
        if not self.plans or not self.carried_out:
            return
        observed, now, plan = self.plans[-1]
        carrier = Carrier(
            self.cluster.api, self.cache, self.memory, namespace="ml", learnt=self.learn, tell=lambda _event: None
        )  # type: ignore[arg-type]
        self.cluster.acting.append(self)
        try:
            drive(carrier.out(observed, plan, now))
        except PointsmanError:
            pass
        finally:
            self.cluster.acting.pop()
