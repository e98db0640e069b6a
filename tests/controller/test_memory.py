"""What is remembered of notifications: for as long as a status has them."""

from __future__ import annotations

from datetime import UTC, datetime

from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.api.notification import Notification
from pointsman.controller.memory import Memory
from pointsman.rollout.plan import Notice

AT = datetime(2026, 1, 1, tzinfo=UTC)


def status(*ids: str) -> ModelDeploymentStatus:
    owed = [Notification(id=one, webhook="w", occasion="Promoted", at=AT, revision="churn-1") for one in ids]
    return ModelDeploymentStatus(notifications=owed)


def test_what_was_delivered_is_known_until_no_status_has_it() -> None:
    memory = Memory()
    memory.delivered(("1", "w"))
    assert memory.undelivered(("2", "w"), "it answered 503")
    assert not memory.undelivered(("2", "w"), "it answered 503"), "nothing new"
    memory.forget_post([], status("1", "2"), status("2"))
    assert (memory.post.sent, dict(memory.post.problems)) == ({("1", "w")}, {("2", "w"): "it answered 503"})
    memory.forget_post([], status("2"), status("2"))
    assert (memory.post.sent, dict(memory.post.problems)) == (set(), {("2", "w"): "it answered 503"})
    memory.forget_post([Notice(id="2", webhook="w", url="", allow_private=False)], status())
    assert memory.post.problems
    memory.forget_post([], status(), status())
    assert not memory.post.problems


def test_what_failed_and_was_delivered_then_is_no_problem() -> None:
    memory = Memory()
    memory.undelivered(("1", "w"), "it answered 503")
    memory.delivered(("1", "w"))
    assert not memory.post.problems
