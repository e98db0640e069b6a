"""What webhooks are told: every occasion once, with an id that stays, until it is delivered or given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pointsman.api import conditions as c
from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.api.notification import Notification
from pointsman.rollout import notices
from tests.rollout.examples import rollout, serving
from tests.rollout.surroundings import START, Behaviour
from tests.rollout.world import World

ALL = ["Started", "AwaitingApproval", "Undecided", "Promoted", "RolledBack", "Aborted", "Superseded", "Drifted"]
HOOK: dict[str, Any] = {"webhook": {"url": "https://hooks.example.com/a?token=hush"}, "when": ALL}
ENDS: dict[str, Any] = {
    "webhook": {"url": "https://ends.example.com", "secretRef": {"name": "hook", "key": "token"}},
    "when": ["Promoted", "RolledBack"],
}


def telling(*notify: dict[str, Any], **changes: Any) -> World:
    """A model that serves, whose second version is about to roll out."""
    options = {key: changes.pop(key) for key in ("rps", "behaviour") if key in changes}
    world = serving(spec=rollout(notify=list(notify or (HOOK,)), **changes), **options)
    assert world.status.notifications == []
    world.apply(version="2")
    return world


def occasions(world: World) -> list[str]:
    return [one.occasion for one in world.status.notifications]


def ended(world: World) -> bool:
    return bool(world.outcomes)


def test_a_rollout_is_told_from_its_start_to_its_end() -> None:
    world = telling(HOOK, ENDS)
    assert world.run(1800, until=ended)
    assert occasions(world) == ["Started", "Promoted", "Promoted"]
    assert len({(one.id, one.webhook) for one in world.status.notifications}) == 3
    started, *promoted = world.plans[-1].notices
    assert started.event is not None
    assert [one.url for one in promoted] == ["https://hooks.example.com/a?token=hush", "https://ends.example.com"]
    assert [one.secret for one in promoted] == [None, ("ml", "hook", "token")]
    candidate = world.revision("2")
    assert dict(started.event) == {
        "specversion": "1.0",
        "id": started.id,
        "source": "/apis/pointsman.dev/v1alpha1/namespaces/ml/modeldeployments/churn",
        "type": "dev.pointsman.rollout.started",
        "time": world.status.notifications[0].dump()["at"],
        "subject": candidate,
        "datacontenttype": "application/json",
        "data": {
            "namespace": "ml",
            "modelDeployment": "churn",
            "occasion": "Started",
            "revision": candidate,
            "version": "2",
            "attempt": 1,
            "message": "0 of 1 candidate pods are ready",
        },
    }
    assert promoted[0].event is not None
    assert promoted[0].event["data"]["reason"] == "Proven"


@pytest.mark.parametrize(
    ("does", "changes", "expected"),
    [
        pytest.param(lambda _: None, {"behaviour": {"2": Behaviour(failures=0.5)}}, "RolledBack", id="harm"),
        pytest.param(lambda w: w.annotate("abort", f"{w.revision('2')}/1"), {}, "Aborted", id="abort"),
        pytest.param(lambda w: w.apply(version="1"), {}, "Superseded", id="the serving version again"),
    ],
)
def test_every_way_to_end_is_told(does: Any, changes: dict[str, Any], expected: str) -> None:
    world = telling(**changes)
    assert world.run(300, until=lambda w: w.running.phase == "Canary")
    does(world)
    assert world.run(600, until=ended)
    world.run(60)
    assert occasions(world) == ["Started", expected]


def test_a_newer_version_ends_one_and_starts_another() -> None:
    world = telling()
    assert world.run(300, until=lambda w: w.running.phase == "Canary")
    world.apply(version="3")
    assert world.run(300, until=lambda w: occasions(w) == ["Started", "Superseded", "Started"])
    assert [one.version for one in world.status.notifications] == ["2", "2", "3"]


def test_an_approval_is_told_when_it_is_asked_for_with_the_line_that_gives_it() -> None:
    world = telling(steps=[{"canary": {"percent": 25}, "hold": "30s"}, {"approval": {}}])
    assert world.run(600, until=lambda w: w.running.phase == "AwaitingApproval")
    world.annotate("pause", "")
    world.run(30)
    del world.annotations["pointsman.dev/pause"]
    world.dirty = True
    world.run(30)
    assert occasions(world) == ["Started", "AwaitingApproval"]
    assert "kubectl annotate" in world.status.notifications[-1].message


def test_no_verdict_at_the_deadline_is_told_once() -> None:
    world = telling(deadline="5m", rps=0.5)
    assert world.run(900, until=lambda w: "Undecided" in occasions(w))
    world.run(600)
    assert occasions(world) == ["Started", "Undecided"]


def test_drift_is_told_when_it_begins() -> None:
    def status(drifts: str) -> ModelDeploymentStatus:
        drifted = c.condition(c.DRIFTED, holds=drifts == "True", reason="Inputs", message="age: 9 points up", now=START)
        arm = {"revision": "churn-1", "version": "7"}
        return ModelDeploymentStatus.model_validate({"stable": arm, "conditions": [drifted.dump()]})

    (said,) = notices.told(status("False"), status("True"))
    assert (said.occasion, said.version, said.attempt, said.message) == ("Drifted", "7", None, "age: 9 points up")
    assert list(notices.told(status("True"), status("True"))) == []
    one = Notification(id="churn-1/Drifted/x", webhook="w", occasion="Drifted", at=START, revision="churn-1")
    assert notices.event(one, namespace="ml", deployment="churn")["type"] == "dev.pointsman.model.drifted"


def test_what_is_delivered_is_owed_no_longer() -> None:
    world = telling()
    assert world.run(60, until=lambda w: occasions(w) == ["Started"])
    (started,) = world.plans[-1].notices
    world.sent.add((started.id, started.webhook))
    world.run(30)
    assert (occasions(world), world.plans[-1].notices) == ([], ())
    world.sent.clear()  # the operator starts anew
    world.run(30)
    assert occasions(world) == []


def test_who_starts_anew_owes_the_same() -> None:
    world = telling()
    assert world.run(60, until=lambda w: occasions(w) == ["Started"])
    (before,) = world.plans[-1].notices
    other = world.fork()
    other.run(1)
    assert other.plans[-1].notices == (before,)


def test_a_crash_at_any_write_tells_everything_once() -> None:
    world = telling(behaviour={"2": Behaviour(failures=0.5)})
    world.forks = []
    assert world.run(600, until=ended)
    forks, world.forks = world.forks, None
    assert len(forks) > 5
    for fork in forks:
        assert fork.run(900, until=ended)
        assert occasions(fork) == ["Started", "RolledBack"]


def test_a_webhook_that_fails_is_a_condition() -> None:
    world = telling()
    assert world.run(60, until=lambda w: occasions(w) == ["Started"])
    assert world.condition("Notified") == ("True", "Notified")
    (one,) = world.status.notifications
    world.problems[one.id, one.webhook] = "it answered 503"
    world.dirty = True
    world.run(1)
    assert world.condition("Notified") == ("False", "Undelivered")
    said = world.message("Notified")
    assert said == "undelivered: 1. The webhook at hooks.example.com: it answered 503; it is tried again"
    assert "hush" not in str(world.status.dump()), "a URL may be a secret by itself"


def test_a_token_that_is_missing_is_a_condition_before_anything_is_to_be_told() -> None:
    world = telling(ENDS)
    assert world.run(60, until=lambda w: w.status.rollout is not None)
    (token,) = world.plans[-1].notices
    assert (token.event, token.secret) == (None, ("ml", "hook", "token"))
    world.problems[token.id, token.webhook] = "there is no Secret ml/hook"
    world.dirty = True
    world.run(1)
    assert world.condition("Notified") == ("False", "NoToken")
    assert world.message("Notified") == "The webhook at ends.example.com: there is no Secret ml/hook; it is tried again"
    world.problems.clear()
    assert world.run(1800, until=ended)
    assert [one.event is None for one in world.plans[-1].notices] == [False], "nothing more will be needed"


def test_without_notify_nothing_is_said_of_it() -> None:
    world = serving(spec=rollout())
    world.apply(version="2")
    assert world.run(1800, until=ended)
    assert world.status.notifications == []
    assert c.find(world.status.conditions, c.NOTIFIED) is None


def test_what_cannot_be_delivered_for_a_day_is_given_up() -> None:
    world = telling()
    assert world.run(1800, until=ended)
    world.run(60)
    world.now += notices.GIVEN_UP_AFTER - timedelta(minutes=30)
    world.dirty = True
    world.run(1)
    assert occasions(world) == ["Started", "Promoted"]
    assert world.wake is not None
    world.now = world.wake
    world.run(1)
    assert occasions(world) == ["Promoted"]
    assert [event.message for event in world.events if event.reason == "NotificationDropped"] == [
        f"given up, never delivered: Started of {world.revision('2')}"
    ]


def test_no_more_than_twenty_wait() -> None:
    world = telling()
    for version in range(3, 20):
        world.run(20, until=lambda w: w.status.rollout is not None and w.running.phase == "Preparing")
        world.apply(version=str(version))
    world.run(20)
    assert len(world.status.notifications) == 20
    assert world.status.notifications[-1].version == "19"


def test_who_is_asked_to_be_told_no_longer_is_not() -> None:
    world = telling()
    assert world.run(1800, until=ended)
    world.spec["rollout"]["notify"] = [ENDS]
    world.dirty = True
    world.run(1)
    assert occasions(world) == ["Started", "Promoted"], "the attempt's policy is frozen"
    for (kind, _), obj in world.objects.items():
        if kind == "ModelRevision":
            obj["status"] = obj["status"].model_copy(update={"attempts": []})
    world.dirty = True
    world.run(1)
    assert occasions(world) == []
