from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pointsman.api.modeldeployment import ArmStatus, ModelDeploymentStatus
from pointsman.api.modelrevision import ModelRevisionStatus
from pointsman.cluster.answers import Refused, Taken
from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_REVISION, ROUTE, SERVICE, WATCHED, WORKLOAD, Json, kind_of
from pointsman.controller import news
from pointsman.controller.carry import Carrier, Outcome
from pointsman.controller.claims import Claims
from pointsman.controller.gather import Gatherer
from pointsman.controller.keys import deployment
from pointsman.controller.memory import Memory
from pointsman.errors import Unavailable
from pointsman.rollout.observed import Observed, Settings
from pointsman.rollout.plan import Apply, Delete, Event, Plan
from tests.cluster.objects import model, obj, revision
from tests.controller.fake import FakeApi

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = {"pointsman.dev/deployment": "churn"}


def child(kind: Any, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": name, "namespace": "ml", "labels": LABELS},
        "spec": spec,
    }


@dataclass
class Scene:
    """The API server, the cache as it was when the decision was made, and what carries out."""

    api: FakeApi
    cache: Cache
    memory: Memory
    learnt: list[Change]
    told: list[Event] = field(default_factory=list)

    def carrier(self) -> Carrier:
        return Carrier(
            self.api,  # type: ignore[arg-type]
            self.cache,
            self.memory,
            namespace="ml",
            learnt=self.learnt.append,
            tell=self.told.append,
        )

    def observed(self) -> Observed:
        gatherer = Gatherer(self.cache, Claims(), Settings(storage_initializer="x"))
        seen = gatherer.observe(deployment(("ml", "churn")), self.memory, NOW)
        assert seen is not None
        return seen

    def version(self, kind: Any, name: str) -> str:
        cached = self.cache.get(kind, "ml", name)
        assert cached is not None
        version: str = cached["metadata"]["resourceVersion"]
        return version

    def apply(self, kind: Any, name: str, **spec: Any) -> Apply:
        return Apply(object=child(kind, name, **spec), resource_version=self.version(kind, name))

    def delete(self, kind: Any, name: str) -> Delete:
        cached = self.cache.get(kind, "ml", name)
        assert cached is not None
        return Delete(api_version=kind.api_version, kind=kind.name, name=name, uid=cached["metadata"]["uid"])

    async def out(self, plan: Plan, at: datetime = NOW) -> Outcome:
        return await self.carrier().out(self.observed(), plan, at)


@pytest.fixture
def scene() -> Scene:
    api = FakeApi(
        model("churn"),
        revision("churn-1", "churn"),
        child(ROUTE, "churn", weight=50),
        child(WORKLOAD, "churn-1", replicas=2),
        child(SERVICE, "churn-1"),
    )
    cache = Cache()
    for stored in api.objects.values():
        cache.put(stored)
    return Scene(api, cache, Memory(), [])


def full(scene: Scene) -> Plan:
    """One write of every sort."""
    return Plan(
        lower=(scene.apply(ROUTE, "churn", weight=0),),
        prepare=(Apply(object=child(WORKLOAD, "churn-2", replicas=1)),),
        revisions={"churn-1": ModelRevisionStatus(state="Stable")},
        status=ModelDeploymentStatus(observed_generation=1),
        after=(scene.apply(WORKLOAD, "churn-1", replicas=1), scene.delete(SERVICE, "churn-1")),
    )


IN_ORDER = [
    "apply HTTPRoute churn",
    "create Deployment churn-2",
    "status ModelRevision churn-1",
    "status ModelDeployment churn",
    "apply Deployment churn-1",
    "delete Service churn-1",
]


async def test_the_order_of_writes(scene: Scene) -> None:
    assert await scene.out(full(scene)) is Outcome.CHANGED
    assert scene.api.writes == IN_ORDER
    assert scene.api.reads == []


async def test_what_a_write_has_to_say_is_said_where_it_changes_something(scene: Scene) -> None:
    said = Event(type="Warning", reason="SetBack", message="it is set back", action="SetBack")
    for _ in ("changes it", "is known to change nothing"):
        await scene.out(Plan(after=(replace(scene.apply(SERVICE, "churn-1", port=81), event=said),)))
        assert scene.told == [said]


async def test_the_cache_shows_our_own_writes_at_once(scene: Scene) -> None:
    await scene.out(full(scene))
    for (kind, _, name), stored in scene.api.objects.items():
        cached = scene.cache.get(kind_of(stored), "ml", name)
        assert cached is not None, kind
        assert cached["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert scene.cache.get(SERVICE, "ml", "churn-1") is None


@pytest.mark.parametrize("fault", range(1, len(IN_ORDER) + 1))
async def test_an_api_server_that_goes_away_stops_everything_behind_it(scene: Scene, fault: int) -> None:
    scene.api.faults[fault] = Unavailable("down")
    with pytest.raises(Unavailable):
        await scene.out(full(scene))
    assert scene.api.writes == IN_ORDER[:fault]


def touch(obj: dict[str, Any]) -> None:
    obj["metadata"]["annotations"] = {"touched": "yes"}


# The number of the write before which somebody else changes the object that it writes.
OVERTAKEN = [
    (1, ROUTE, "churn"),
    (3, MODEL_REVISION, "churn-1"),
    (4, MODEL_DEPLOYMENT, "churn"),
    (5, WORKLOAD, "churn-1"),
]


@pytest.mark.parametrize(("number", "kind", "name"), OVERTAKEN)
async def test_somebody_was_faster(scene: Scene, number: int, kind: Any, name: str) -> None:
    plan = full(scene)
    scene.api.faults[number] = lambda: scene.api.edit(kind, name, touch) and None
    assert await scene.out(plan) is Outcome.OVERTAKEN
    assert scene.api.writes == IN_ORDER[:number]
    assert scene.api.reads == [f"get {kind.name} {name}"]
    (change,) = scene.learnt
    assert change.after is not None
    assert change.after["metadata"]["annotations"] == {"touched": "yes"}
    assert scene.version(kind, name) == scene.api.objects[kind.name, "ml", name]["metadata"]["resourceVersion"]


@pytest.mark.parametrize(("number", "kind", "name"), OVERTAKEN)
async def test_somebody_deleted_it(scene: Scene, number: int, kind: Any, name: str) -> None:
    plan = full(scene)
    scene.api.faults[number] = lambda: scene.api.objects.pop((kind.name, "ml", name)) and None
    assert await scene.out(plan) is Outcome.OVERTAKEN
    assert scene.cache.get(kind, "ml", name) is None
    assert [change.after for change in scene.learnt] == [None]


async def test_what_appeared_meanwhile_is_not_created_over(scene: Scene) -> None:
    plan = full(scene)
    scene.cache.put(scene.api.store(child(WORKLOAD, "churn-2", replicas=7)))
    assert await scene.out(plan) is Outcome.OVERTAKEN
    assert "create Deployment churn-2" not in scene.api.writes


@pytest.mark.parametrize("owner_is_there", [True, False])
async def test_a_child_that_went_is_made_again_where_its_owner_is_still_there(
    scene: Scene, *, owner_is_there: bool
) -> None:
    service = scene.api.objects["Service", "ml", "churn-1"]
    again = Plan(lower=(Apply(object=child(SERVICE, "churn-1")),))
    observed = scene.observed()
    del scene.api.objects["Service", "ml", "churn-1"]
    scene.cache.deleted(service)
    if not owner_is_there:
        del scene.api.objects["ModelDeployment", "ml", "churn"]  # and no watch has told
    outcome = await scene.carrier().out(observed, again, NOW)
    assert scene.api.reads[0] == "get ModelDeployment churn"
    assert (outcome, scene.api.writes) == (
        (Outcome.CHANGED, ["create Service churn-1"]) if owner_is_there else (Outcome.OVERTAKEN, [])
    )
    assert (scene.cache.get(MODEL_DEPLOYMENT, "ml", "churn") is not None) == owner_is_there


async def test_a_plan_may_write_one_object_twice(scene: Scene) -> None:
    seen = scene.apply(ROUTE, "churn", weight=0)
    plan = Plan(lower=(seen,), after=(replace(seen, object=child(ROUTE, "churn", weight=5)),))
    assert await scene.out(plan) is Outcome.CHANGED
    assert scene.api.objects["HTTPRoute", "ml", "churn"]["spec"] == {"weight": 5}


async def test_a_revision_gets_its_status_in_the_plan_that_creates_it(scene: Scene) -> None:
    created = revision("churn-2", "churn")
    plan = Plan(prepare=(Apply(object=created),), revisions={"churn-2": ModelRevisionStatus(state="Candidate")})
    assert await scene.out(plan) is Outcome.CHANGED
    assert scene.api.objects["ModelRevision", "ml", "churn-2"]["status"]["state"] == "Candidate"


async def test_ready_pods_alone_are_told_a_moment_later(scene: Scene) -> None:
    """Of three statuses within a moment, the one in the middle is never written."""

    def ready(count: int, version: str = "1") -> Plan:
        arm = ArmStatus(revision="churn-1", version=version, replicas=4, ready_replicas=count)
        return Plan(status=ModelDeploymentStatus(stable=arm))

    await scene.out(ready(0))
    assert await scene.out(ready(1)) is Outcome.SETTLED
    assert scene.memory.wake_at() == NOW + news.PAUSE
    await scene.out(ready(2), at=NOW + news.PAUSE)
    assert scene.memory.wake_at() is None
    await scene.out(ready(3, version="2"), at=NOW + news.PAUSE)  # news

    assert scene.api.writes == ["status ModelDeployment churn"] * 3
    assert scene.observed().deployment.status.stable == ArmStatus(
        revision="churn-1", version="2", replicas=4, ready_replicas=3
    )


async def test_what_is_raised_waits_for_no_better_moment(scene: Scene) -> None:
    await scene.out(Plan(status=ModelDeploymentStatus(observed_generation=1)))
    scene.api.writes.clear()
    arm = ArmStatus(revision="churn-1", version="1", replicas=4, ready_replicas=1)
    await scene.out(Plan(status=ModelDeploymentStatus(observed_generation=1, stable=arm)))
    scene.api.writes.clear()
    more = arm.model_copy(update={"ready_replicas": 2})
    raised = scene.apply(ROUTE, "churn", weight=60)
    await scene.out(Plan(status=ModelDeploymentStatus(observed_generation=1, stable=more), after=(raised,)))

    assert scene.api.writes == ["status ModelDeployment churn", "apply HTTPRoute churn"]


async def test_a_status_loses_what_it_no_longer_says(scene: Scene) -> None:
    await scene.out(Plan(status=ModelDeploymentStatus(url="http://churn", observed_generation=1)))
    await scene.out(Plan(status=ModelDeploymentStatus(observed_generation=2)))
    assert "url" not in scene.api.objects["ModelDeployment", "ml", "churn"]["status"]


REFUSALS = [
    (Refused("spec.template: Required value"), "Deployment churn-2: spec.template: Required value"),
    (
        Taken("conflict with helm:\n- .spec"),
        (
            "Deployment churn-2 exists and is somebody else's: delete it or choose another name"
            " (conflict with helm: - .spec)"
        ),
    ),
]


@pytest.mark.parametrize(("refusal", "said"), REFUSALS)
async def test_a_refusal_is_remembered_and_said_once(scene: Scene, refusal: Exception, said: str) -> None:
    labelled = child(WORKLOAD, "churn-2")
    labelled["metadata"]["labels"] = {**LABELS, "pointsman.dev/revision": "churn-2"}
    scene.api.refuse["create Deployment churn-2"] = refusal
    plan = Plan(prepare=(Apply(object=labelled),), status=ModelDeploymentStatus(observed_generation=1))
    assert await scene.out(plan) is Outcome.REFUSED
    assert scene.memory.refused(NOW) == {"churn-2": said}
    assert scene.api.writes == ["create Deployment churn-2"]
    # The decision knows now; if it asks for the same again, the rest of its plan is carried out all the same.
    assert await scene.out(plan) is Outcome.CHANGED
    assert scene.api.writes[-1] == "status ModelDeployment churn"


async def test_a_refusal_is_believed_for_a_minute(scene: Scene) -> None:
    assert scene.memory.refuse("churn-2", "no", NOW)
    assert not scene.memory.refuse("churn-2", "no", NOW)
    assert scene.memory.refuse("churn-2", "not so either", NOW)
    assert scene.memory.believed_until() == NOW + timedelta(minutes=1)
    assert scene.memory.refused(NOW + timedelta(seconds=59)) == {"churn-2": "not so either"}
    assert scene.memory.refused(NOW + timedelta(seconds=60)) == {}


@pytest.mark.parametrize("number", [3, 4])
async def test_a_status_cannot_be_refused_away(scene: Scene, number: int) -> None:
    scene.api.faults[number] = Refused("forbidden")
    with pytest.raises(Refused, match="forbidden"):
        await scene.out(full(scene))


async def test_where_lowering_is_refused_that_is_said_and_nothing_is_raised(scene: Scene) -> None:
    scene.api.refuse["apply HTTPRoute churn"] = Refused("forbidden")
    assert await scene.out(full(scene)) is Outcome.REFUSED
    assert scene.memory.refused(NOW) == {"churn": "HTTPRoute churn: forbidden"}
    scene.api.writes.clear()
    with pytest.raises(Refused, match="forbidden"):
        await scene.out(full(scene))
    assert scene.api.writes == IN_ORDER[:4]


async def test_each_of_the_writes_that_lower_is_tried(scene: Scene) -> None:
    scene.api.faults[1] = Refused("forbidden")
    plan = Plan(lower=(scene.apply(ROUTE, "churn", weight=0), scene.apply(WORKLOAD, "churn-1", replicas=4)))
    assert await scene.carrier().lower(plan, NOW) is Outcome.REFUSED
    assert scene.api.writes == ["apply HTTPRoute churn", "apply Deployment churn-1"]


def settle(scene: Scene) -> Plan:
    return Plan(after=(scene.apply(WORKLOAD, "churn-1", replicas=2),))


async def test_what_is_as_it_should_be_is_not_sent_again(scene: Scene) -> None:
    assert await scene.out(settle(scene)) is Outcome.SETTLED
    assert await scene.out(settle(scene)) is Outcome.SETTLED
    assert scene.api.writes == ["apply Deployment churn-1"]


def status(obj: dict[str, Any]) -> None:
    obj["status"] = {"readyReplicas": 1}


def count(obj: dict[str, Any]) -> None:
    obj["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "2"}


def edit(obj: dict[str, Any]) -> None:
    obj["spec"]["replicas"] = 9


def relabel(obj: dict[str, Any]) -> None:
    obj["metadata"]["labels"] = {**LABELS, "by": "hand"}


def reown(obj: dict[str, Any]) -> None:
    obj["metadata"]["uid"] = "created-again"


@pytest.mark.parametrize(
    ("change", "again"), [(status, False), (count, False), (edit, True), (relabel, True), (touch, True), (reown, True)]
)
async def test_what_somebody_changed_is_sent_again(scene: Scene, change: Any, *, again: bool) -> None:
    await scene.out(settle(scene))
    scene.cache.put(scene.api.edit(WORKLOAD, "churn-1", change))
    await scene.out(settle(scene))
    assert len(scene.api.writes) == (2 if again else 1)


async def test_deleting_what_is_gone_or_another_is_nothing(scene: Scene) -> None:
    gone = scene.delete(SERVICE, "churn-1")
    del scene.api.objects["Service", "ml", "churn-1"]
    assert await scene.out(Plan(after=(gone,))) is Outcome.CHANGED  # the cache did not know
    scene.cache.put(scene.api.store(child(SERVICE, "churn-1")))
    assert await scene.out(Plan(after=(gone,))) is Outcome.SETTLED  # another of that name
    assert "Service" in {kind for kind, _, _ in scene.api.objects}


def test_the_kinds_of_plans_are_all_watched() -> None:
    said: set[Json] = {kind.name for kind in WATCHED}  # type: ignore[assignment]
    assert {"HTTPRoute", "Service", "Deployment", "ModelRevision", "ModelDeployment"} <= said
    assert obj(SERVICE, "a")["kind"] in said
