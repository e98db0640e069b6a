from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pointsman.api import names
from pointsman.api.modeldeployment import ModelDeploymentStatus, RolloutStatus
from pointsman.cluster.answers import Refused
from pointsman.cluster.cache import Cache
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, POD, ROUTE, WORKLOAD
from pointsman.controller.claims import Claims
from pointsman.controller.gather import Gatherer
from pointsman.controller.keys import Key, deployment
from pointsman.controller.memory import Memories
from pointsman.controller.reconcile import Reconciler, World
from pointsman.errors import Conflict, Terminal, Unavailable
from pointsman.rollout.observed import Observed, Settings
from pointsman.rollout.plan import Apply, Event, Plan
from pointsman.rollout.record import Evidence
from pointsman.rollout.vigil import Vigil
from pointsman.rollout.weighing import Weighed
from pointsman.signals.reading import Reading, Watch
from tests.cluster.objects import model, obj, revision
from tests.controller.fake import FakeApi
from tests.controller.test_carry import child

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = deployment(("ml", "churn"))
LABELS = {"pointsman.dev/deployment": "churn"}


@dataclass
class Stub:
    """A decision that a test writes down; remembers what it was asked."""

    rule: Callable[[Observed], Plan]
    pods: Callable[[Observed], frozenset[str]] = lambda _: frozenset()
    seen: list[Observed] = field(default_factory=list)

    async def decide(self, observed: Observed, now: datetime) -> Plan:
        assert now == NOW
        self.seen.append(observed)
        return self.rule(observed)

    def pods_wanted(self, observed: Observed) -> frozenset[str]:
        return self.pods(observed)


@dataclass
class Scene:
    api: FakeApi
    cache: Cache = field(default_factory=Cache)
    memories: Memories = field(default_factory=Memories)
    watched: list[Any] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    standing: tuple[Any, ...] = ()
    vigil: Vigil | None = None
    outcomes: list[str] = field(default_factory=list)
    owed: dict[Key, list[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for stored in self.api.objects.values():
            self.cache.put(stored)

    def watch(self, key: Any, watch: Any, interval: Any) -> None:
        self.watched.append((key, watch, interval))

    def rollout(self, key: Key, rollout: RolloutStatus | None, gates: tuple[Weighed, ...]) -> None:
        self.standing = (key, rollout, gates)

    def drift(self, key: Key, vigil: Vigil | None) -> None:
        assert key == KEY
        self.vigil = vigil

    def conditions(self, *_said: object) -> None:
        """`Gauge.conditions`."""

    def ended(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def owe(self, key: Key, notices: Any) -> None:
        self.owed[key] = [(one.id, one.webhook) for one in notices]

    def record(self, what: Any) -> None:
        self.notes.append(what)

    def reconciler(self, decision: Stub) -> Reconciler:
        world = World(
            client=self.api,  # type: ignore[arg-type]
            cache=self.cache,
            memories=self.memories,
            gatherer=Gatherer(self.cache, Claims(), Settings(storage_initializer="x")),
            recorder=self,  # type: ignore[arg-type]
            looks=self,  # type: ignore[arg-type]
            gauge=self,
            post=self,
            learnt=lambda _: None,
        )
        return Reconciler(world, decision, clock=lambda: NOW)


def workload(name: str, ready: int) -> dict[str, Any]:
    return {**child(WORKLOAD, name, replicas=2), "status": {"readyReplicas": ready}}


def pod(name: str) -> dict[str, Any]:
    return obj(POD, name, status={"conditions": []})


async def test_what_cannot_be_read_is_said_where_its_owner_looks() -> None:
    scene = Scene(FakeApi({**model("churn"), "spec": {"model": 7}}))
    reconciler = scene.reconciler(Stub(lambda _: Plan()))
    for _ in ("said", "said before"):
        with pytest.raises(Terminal):
            await reconciler.reconcile(KEY)
    assert scene.watched[-1] == (KEY, None, None)
    (note,) = scene.notes
    assert (note.type, note.reason) == ("Warning", "Unreadable")
    assert "ModelDeployment ml/churn: spec.model: " in note.note


@pytest.fixture
def scene() -> Scene:
    return Scene(
        FakeApi(model("churn"), child(ROUTE, "churn", weight=50), workload("churn-1", 2), revision("churn-1", "churn"))
    )


def weight(observed: Observed) -> int:
    assert observed.route is not None
    weight: int = observed.route["spec"]["weight"]
    return weight


def shift(observed: Observed, to: int) -> Apply:
    assert observed.route is not None
    return Apply(
        object=child(ROUTE, "churn", weight=to), resource_version=observed.route["metadata"]["resourceVersion"]
    )


async def test_until_nothing_is_left_to_do(scene: Scene) -> None:
    """One step up a decision: our own writes are seen without waiting for their events."""
    decision = Stub(lambda o: Plan(after=(shift(o, weight(o) + 1),)) if weight(o) < 53 else Plan())
    done = await scene.reconciler(decision).reconcile(KEY)
    assert [weight(seen) for seen in decision.seen] == [50, 51, 52, 53]
    assert done.wake_at is None
    assert scene.api.reads == []


async def test_a_decision_that_never_settles_gives_others_their_turn(scene: Scene) -> None:
    decision = Stub(lambda o: Plan(after=(shift(o, weight(o) + 1),)))
    done = await scene.reconciler(decision).reconcile(KEY)
    assert len(decision.seen) == 12
    assert done.wake_at is not None
    assert done.wake_at <= asyncio.get_running_loop().time()


async def test_lowering_goes_on_at_once_until_it_lands(scene: Scene) -> None:
    """Somebody else writes the route just before each of our first three tries."""

    def touch() -> None:
        scene.api.edit(ROUTE, "churn", lambda route: route["spec"].update(by=len(scene.api.writes)))

    scene.api.faults = {1: touch, 2: touch, 3: touch}
    decision = Stub(lambda o: Plan(lower=(shift(o, 0),)) if weight(o) else Plan())
    await scene.reconciler(decision).reconcile(KEY)
    assert scene.api.writes == ["apply HTTPRoute churn"] * 4
    assert scene.api.objects["HTTPRoute", "ml", "churn"]["spec"]["weight"] == 0


async def test_who_is_always_overtaken_backs_off(scene: Scene) -> None:
    scene.api.refuse["apply HTTPRoute churn"] = Conflict("modified")
    with pytest.raises(Conflict, match="again and again"):
        await scene.reconciler(Stub(lambda o: Plan(lower=(shift(o, 0),)))).reconcile(KEY)


async def test_a_refusal_is_decided_on_at_once(scene: Scene) -> None:
    scene.api.refuse["create Deployment churn-2"] = Refused("spec.template: Required value")

    def rule(observed: Observed) -> Plan:
        return Plan() if observed.refusals else Plan(prepare=(Apply(object=child(WORKLOAD, "churn-2")),))

    decision = Stub(rule)
    done = await scene.reconciler(decision).reconcile(KEY)
    assert decision.seen[-1].refusals == {"churn-2": "Deployment churn-2: spec.template: Required value"}
    assert done.wake_at is not None  # to try again when the refusal is no longer believed
    assert 59 < done.wake_at - asyncio.get_running_loop().time() <= 60


async def test_the_pods_are_listed_where_the_decision_needs_them(scene: Scene) -> None:
    scene.api.store(pod("churn-1-a"))
    decision = Stub(lambda _: Plan(), pods=lambda _: frozenset({"churn-1"}))
    await scene.reconciler(decision).reconcile(KEY)
    assert scene.api.reads == ["list Pod pointsman.dev/revision=churn-1"]
    assert [pod.name for pod in decision.seen[-1].pods["churn-1"]] == ["churn-1-a"]


async def test_an_inspectors_pods_have_no_revision_and_are_listed_all_the_same(scene: Scene) -> None:
    inspector = workload("churn-i1", 0)
    inspector["metadata"]["labels"] = names.inspector_labels("churn", "churn-10")
    scene.cache.put(scene.api.store(inspector))
    decision = Stub(lambda _: Plan(), pods=lambda _: frozenset({"churn-i1"}))
    await scene.reconciler(decision).reconcile(KEY)
    assert scene.api.reads == ["list Pod app.kubernetes.io/instance=churn-i1"]


FALLS = [
    pytest.param(
        {"readyReplicas": 2, "availableReplicas": 2}, {"readyReplicas": 1, "availableReplicas": 1}, 1, id="died"
    ),
    pytest.param(
        {"readyReplicas": 2, "availableReplicas": 2},
        {"readyReplicas": 2, "availableReplicas": 1},
        1,
        id="died and is ready again, but not warm yet",
    ),
    pytest.param({"readyReplicas": 1}, {"readyReplicas": 2}, 0, id="one more"),
    pytest.param({"readyReplicas": 2}, {}, 1, id="all of them"),
]


@pytest.mark.parametrize(("before", "after", "lists"), FALLS)
async def test_the_pods_are_listed_once_when_there_are_fewer_than_before(
    scene: Scene, before: dict[str, int], after: dict[str, int], lists: int
) -> None:
    reconciler = scene.reconciler(Stub(lambda _: Plan()))
    for status in (before, after, after):
        scene.cache.put(scene.api.edit(WORKLOAD, "churn-1", lambda o, status=status: o.update(status=status)))
        await reconciler.reconcile(KEY)
    assert scene.api.reads == ["list Pod pointsman.dev/revision=churn-1"] * lists


async def test_after_a_restart_the_pods_of_a_running_rollout_are_listed_once(scene: Scene) -> None:
    rollout = {"attempt": 1, "phase": "Canary", "startedAt": "2026-01-01T00:00:00Z"}
    scene.cache.put(scene.api.edit(MODEL_DEPLOYMENT, "churn", lambda o: o.update(status={"rollout": rollout})))
    reconciler = scene.reconciler(Stub(lambda _: Plan()))
    for _ in range(2):
        await reconciler.reconcile(KEY)
    assert scene.api.reads == ["list Pod pointsman.dev/revision=churn-1"]


async def test_lowering_does_not_wait_for_the_list_of_pods(scene: Scene) -> None:
    order: list[str] = []
    scene.api.faults[1] = lambda: order.append(f"{scene.api.writes[-1]} after {len(scene.api.reads)} reads")
    decision = Stub(
        lambda o: Plan(lower=(shift(o, 0),), events=(EVENT,)) if weight(o) else Plan(),
        pods=lambda o: frozenset({"churn-1"} if weight(o) else ()),
    )
    await scene.reconciler(decision).reconcile(KEY)
    assert order == ["apply HTTPRoute churn after 0 reads"]
    assert scene.api.writes == ["apply HTTPRoute churn"]
    assert [bool(seen.pods) for seen in decision.seen] == [False, True, False]
    assert [note.reason for note in scene.notes] == ["Promoted"]


async def test_what_a_status_says_has_happened_is_told_whatever_comes_after_it(scene: Scene) -> None:
    """Somebody else writes the route between our status and our raise: the next decision has nothing more to tell."""
    scene.api.faults[2] = lambda: scene.api.edit(ROUTE, "churn", lambda route: route["spec"].update(by="hand"))
    happened = ModelDeploymentStatus(observed_generation=1)

    def rule(observed: Observed) -> Plan:
        if weight(observed) == 60:
            return Plan()
        if observed.deployment.status.observed_generation == 1:
            return Plan(after=(shift(observed, 60),))
        return Plan(status=happened, after=(shift(observed, 60),), events=(EVENT,))

    await scene.reconciler(Stub(rule)).reconcile(KEY)
    assert [note.reason for note in scene.notes] == ["Promoted"]
    assert scene.api.writes == ["status ModelDeployment churn", "apply HTTPRoute churn", "apply HTTPRoute churn"]


EVIDENCE = Evidence.__new__(Evidence)
READING = Reading(at=NOW, gates={})
WATCH = Watch(namespace="ml", stable="churn-1", candidate="churn-2", questions=())
EVENT = Event(type="Normal", reason="Promoted", message="v2 serves", action="Promote")


async def test_what_is_kept_when_all_is_done(scene: Scene) -> None:
    memory = scene.memories.of(KEY)
    memory.reading = READING
    plan = Plan(evidence=EVIDENCE, watch=WATCH, interval=timedelta(seconds=10), wake_at=NOW + timedelta(seconds=30))
    decision = Stub(lambda o: replace(plan, events=(EVENT,)) if o.reading else plan)
    done = await scene.reconciler(decision).reconcile(KEY)
    assert memory.evidence is EVIDENCE
    assert memory.reading is None
    assert scene.watched[-1] == (KEY, WATCH, timedelta(seconds=10))
    assert [note.reason for note in scene.notes] == ["Promoted"]
    assert done.wake_at is not None
    assert 29 < done.wake_at - asyncio.get_running_loop().time() <= 30


async def test_what_is_kept_when_it_fails(scene: Scene) -> None:
    """The next try decides on the same look, with the evidence before it; folding it in twice changes nothing."""
    memory = scene.memories.of(KEY)
    memory.reading = READING
    scene.api.faults[1] = Unavailable("down")
    plan = Plan(evidence=EVIDENCE, events=(EVENT,), watch=WATCH, interval=timedelta(seconds=10))
    with pytest.raises(Unavailable):
        await scene.reconciler(Stub(lambda o: replace(plan, after=(shift(o, 60),)))).reconcile(KEY)
    assert (memory.evidence, memory.reading, scene.watched, scene.notes) == (None, READING, [], [])


async def test_a_look_that_comes_while_a_plan_is_carried_out_is_not_lost(scene: Scene) -> None:
    memory = scene.memories.of(KEY)
    memory.reading = READING
    newer = Reading(at=NOW + timedelta(seconds=10), gates={})
    scene.api.faults[1] = lambda: setattr(memory, "reading", newer)
    decision = Stub(lambda o: Plan(after=(shift(o, 60),)) if weight(o) < 60 else Plan())
    await scene.reconciler(decision).reconcile(KEY)
    assert [seen.reading for seen in decision.seen] == [READING, newer]


async def test_a_lowering_that_is_refused_is_said_and_tried_again(scene: Scene) -> None:
    scene.api.refuse["apply HTTPRoute churn"] = Refused("forbidden: no rights")
    with pytest.raises(Refused):
        await scene.reconciler(Stub(lambda o: Plan(lower=(shift(o, 0),)))).reconcile(KEY)
    assert [(note.reason, note.note) for note in scene.notes] == [("WriteRefused", "forbidden: no rights")]


@pytest.mark.parametrize("going", [False, True])
async def test_what_is_gone_or_going_is_left_alone_and_forgotten(scene: Scene, *, going: bool) -> None:
    before = scene.memories.of(KEY)
    if going:
        scene.cache.put(
            scene.api.edit(MODEL_DEPLOYMENT, "churn", lambda o: o["metadata"].update(deletionTimestamp="x"))
        )
    else:
        scene.cache.missing(MODEL_DEPLOYMENT, "ml", "churn")
    decision = Stub(lambda o: Plan(lower=(shift(o, 0),)))
    done = await scene.reconciler(decision).reconcile(KEY)
    assert done.gone
    assert (decision.seen, scene.api.writes) == ([], [])
    assert scene.watched == [(KEY, None, None)]
    assert scene.memories.of(KEY) is not before
