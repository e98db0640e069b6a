"""What people may ask for by annotation: abort, promote, approve, retry and pause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pointsman.rollout.plan import Apply
from tests.rollout.examples import LEAST, rollout, serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World

APPROVAL: dict[str, Any] = {"approval": {}}
When = Callable[[World], bool]


def canary(percent: int, hold: str = "20s") -> dict[str, Any]:
    return {"canary": {"percent": percent}, "hold": hold}


def phase(name: str, step: int = 0) -> When:
    return lambda w: w.status.rollout is not None and (w.running.phase, w.running.step) == (name, step)


def promoted(world: World) -> bool:
    return ("2", "Promoted", "Proven") in world.outcomes


def with_approvals(**options: Any) -> World:
    return serving(spec=rollout(steps=[canary(5), APPROVAL, canary(50)]), **options)


def blue_green(**options: Any) -> World:
    return serving(spec=rollout(steps=[APPROVAL], gates=[], capacity={"maxSurge": "100%"}), **options)


PHASES: list[tuple[str, Callable[[], World], When]] = [
    ("Preparing", serving, phase("Preparing")),
    ("Warming", serving, phase("Warming")),
    ("Canary 5", serving, lambda w: w.share == 0.05),
    ("Canary 25", serving, lambda w: w.share == 0.25),
    ("Canary 50", serving, lambda w: w.share == 0.5),
    ("AwaitingApproval", with_approvals, phase("AwaitingApproval", 2)),
    ("Promoting", serving, phase("Promoting", 3)),
    ("blue/green", blue_green, phase("AwaitingApproval", 1)),
]


@pytest.mark.parametrize("prometheus", [True, False], ids=["", "Prometheus down"])
@pytest.mark.parametrize(("make", "when"), [case[1:] for case in PHASES], ids=[case[0] for case in PHASES])
def test_abort_in_every_phase(make: Callable[[], World], when: When, prometheus: bool) -> None:  # noqa: FBT001  a case
    world = make()
    world.apply(version="2")
    assert world.run(900, until=when), world.status.rollout
    world.prometheus = prometheus
    second = world.revision("2")
    world.annotate("abort", f"{second}/1")
    plans = len(world.plans)
    world.tick_once()
    first = world.plans[plans]
    assert world.share == 0
    assert world.shares()[world.revision("1")] == 1.0
    assert all(write.object["kind"] != "HTTPRoute" for write in first.after if isinstance(write, Apply))
    assert world.outcomes == [("2", "Aborted", "Aborted")]
    assert [(a.name, a.value) for a in world.status.actions if a.name == "abort"] == [("abort", f"{second}/1")]
    world.run(60)
    assert world.condition("UpToDate") == ("False", "Aborted")
    assert "pointsman.dev/retry=" + second + "/1" in world.message("UpToDate")
    assert (world.pod_count("1"), world.pod_count("2"), world.status.candidate) == (4, 0, None)
    assert world.failed_requests == 0


def test_the_lowering_write_carries_the_decision() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share == 0.25)
    world.annotate("abort", f"{world.revision('2')}/1")
    world.tick_once()
    decided = world.objects["HTTPRoute", "churn"]["metadata"]["annotations"]["pointsman.dev/decided"]
    assert decided == f"{world.revision('2')}/1/Aborted/Aborted"


@pytest.mark.parametrize("ends", ["aborted", "superseded"])
def test_the_record_of_an_attempt_that_is_ended_holds_what_was_counted_until_then(ends: str) -> None:
    world = serving(spec=rollout(steps=[canary(50, "10m")]))
    world.apply(version="2")
    assert world.run(300, until=phase("Canary", 1))
    world.run(185)  # three minutes and some looks: the record is written once a minute
    second = world.revision("2")
    written = world.observed().revisions[second].status.attempts[0].gates[0].candidate_requests
    if ends == "aborted":
        world.annotate("abort", f"{second}/1")
    else:
        world.apply(version="3")
    world.run(5)
    (attempt,) = world.observed().revisions[second].status.attempts
    assert attempt.outcome in ("Aborted", "Superseded")
    counted = attempt.gates[0].candidate_requests
    assert written is not None
    assert counted is not None
    assert counted > written


def test_abort_when_stable_has_given_up_its_last_pod_and_there_is_no_surge() -> None:
    """The candidate serves until stable does, and makes room for stable's first pod."""
    world = serving(spec={**rollout(capacity={"maxSurge": 0, "maxUnavailable": 1}), "replicas": 2})
    world.apply(version="2")
    assert world.run(100, until=lambda w: w.share == 0.05)
    world.annotate("promote", f"{world.revision('2')}/1")
    assert world.run(100, until=lambda w: w.pod_count("1") == 0 and w.status.rollout is not None)
    world.annotate("abort", f"{world.revision('2')}/1")
    assert world.run(30, until=lambda w: w.status.rollout is None)
    world.run(10)
    assert (world.shares(), world.pod_count("1")) == ({world.revision("1"): 1.0}, 2)
    assert world.failed_requests == 0


def test_abort_goes_back_to_the_previous_version_while_it_is_kept() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(20)
    world.annotate("abort", f"{world.revision('2')}/1")
    world.tick_once()
    assert world.shares()[world.revision("1")] == 1.0
    world.run(60)
    assert (world.serves, world.pod_count("1"), world.pod_count("2")) == ("1", 4, 0)
    assert world.outcomes == [("2", "Promoted", "Proven"), ("2", "Aborted", "Aborted")]
    assert world.condition("UpToDate") == ("False", "Aborted")


def test_abort_after_the_previous_version_is_gone_does_nothing() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(310)
    writes = len(world.writes)
    world.annotate("abort", f"{world.revision('2')}/1")
    world.run(60)
    assert (world.serves, len(world.writes)) == ("2", writes)


@pytest.mark.parametrize("verb", ["abort", "promote"])
@pytest.mark.parametrize("value", ["{second}/2", "{second}", "{first}/1", "true", "", "{second}/1/1"])
def test_a_value_for_something_else_does_nothing(verb: str, value: str) -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share == 0.05)
    world.annotate(verb, value.format(second=world.revision("2"), first=world.revision("1")))
    world.run(5)
    assert (world.share, world.status.actions) == (0.05, [])


def test_promote_leaves_out_steps_and_open_verdicts() -> None:
    """With no data at all: a person takes the responsibility."""
    world = serving(prometheus=False)
    world.apply(version="2")
    assert world.run(60, until=phase("Warming"))
    world.run(60)
    assert world.share == 0
    world.annotate("promote", f"{world.revision('2')}/1")
    assert world.run(200, until=lambda w: bool(w.outcomes)), world.running
    assert world.outcomes == [("2", "Promoted", "PromotedByHand")]
    assert world.failed_requests == 0


def test_promote_leaves_out_approvals() -> None:
    world = with_approvals()
    world.apply(version="2")
    assert world.run(300, until=phase("AwaitingApproval", 2))
    world.annotate("promote", f"{world.revision('2')}/1")
    assert world.run(200, until=lambda w: bool(w.outcomes))
    assert world.outcomes == [("2", "Promoted", "PromotedByHand")]


def test_promote_does_not_leave_out_readiness() -> None:
    world = serving(behaviour={"2": Behaviour(starts=False)})
    world.apply(version="2")
    world.annotate("promote", f"{world.revision('2')}/1")
    world.run(60)
    assert (world.share, world.pod_count("1")) == (0, 4)
    assert world.run(120, until=lambda w: bool(w.outcomes))
    assert world.outcomes == [("2", "RolledBack", "CandidateUnavailable")]


def test_promote_does_not_leave_out_harm() -> None:
    world = serving(behaviour={"2": Behaviour(failures=0.3)})
    world.boot = timedelta(seconds=40)
    world.apply(version="2")
    assert world.run(200, until=lambda w: w.share == 0.05)
    world.annotate("promote", f"{world.revision('2')}/1")
    assert world.run(200, until=lambda w: bool(w.outcomes))
    assert world.outcomes == [("2", "RolledBack", "Harm")]


def test_promote_survives_a_crash_while_prometheus_is_down() -> None:
    world = serving(prometheus=False)
    world.apply(version="2")
    assert world.run(60, until=phase("Warming"))
    world.run(20)
    world.annotate("promote", f"{world.revision('2')}/1")
    world.forks = []
    world.run(30)
    for fork in world.forks:
        assert fork.run(200, until=lambda w: bool(w.outcomes)), fork.running
        assert fork.outcomes == [("2", "Promoted", "PromotedByHand")]


def test_a_refused_version_is_not_tried_again_by_itself() -> None:
    world = serving(behaviour={"2": Behaviour(failures=0.3)})
    world.apply(version="2")
    assert world.run(300, until=lambda w: bool(w.outcomes))
    world.run(20)
    world.writes.clear()
    world.run(3600)
    assert (world.outcomes, world.writes) == ([("2", "RolledBack", "Harm")], [])
    assert world.condition("Stalled") == ("True", "RolledBack")


def test_retry_is_a_new_attempt_of_the_same_revision() -> None:
    world = serving(behaviour={"2": Behaviour(failures=0.3)})
    world.apply(version="2")
    assert world.run(300, until=lambda w: bool(w.outcomes))
    world.run(20)
    world.behaviour.clear()
    world.annotate("retry", f"{world.revision('2')}/1")
    world.tick_once()
    assert (world.running.attempt, world.running.phase) == (2, "Preparing")
    assert world.run(1800, until=promoted)
    assert [(e.attempt, e.outcome) for e in world.status.history] == [(2, "Promoted"), (1, "RolledBack")]
    attempts = world.objects["ModelRevision", world.revision("2")]["status"].attempts
    assert [(a.attempt, a.outcome) for a in attempts] == [(1, "RolledBack"), (2, "Promoted")]


def test_retry_left_behind_in_git_does_nothing() -> None:
    world = serving(behaviour={"2": Behaviour(failures=0.3)})
    world.apply(version="2")
    assert world.run(300, until=lambda w: bool(w.outcomes))
    world.run(20)
    world.annotate("retry", f"{world.revision('2')}/1")
    assert world.run(600, until=lambda w: len(w.outcomes) == 2)
    world.run(600)
    assert [e.attempt for e in world.status.history] == [2, 1]


@pytest.mark.parametrize("between", ["1", "3"])
def test_a_refused_version_is_tried_again_once_the_spec_has_named_another(between: str) -> None:
    world = serving(behaviour={"2": Behaviour(failures=0.3), "3": Behaviour(starts=False)})
    world.apply(version="2")
    assert world.run(300, until=lambda w: bool(w.outcomes))
    world.run(20)
    world.apply(version=between)
    world.run(5)
    world.apply(version="2")
    world.run(10)
    assert world.running.attempt == 2


def test_approve_lets_a_rollout_go_on_once() -> None:
    world = with_approvals()
    world.apply(version="2")
    assert world.run(300, until=phase("AwaitingApproval", 2))
    assert world.condition("UpToDate") == ("False", "AwaitingApproval")
    line = f"kubectl annotate modeldeployment churn -n ml --overwrite pointsman.dev/approve={world.revision('2')}/1/2"
    assert line in world.message("UpToDate")
    for wrong in (f"{world.revision('2')}/1/1", f"{world.revision('2')}/2/2", f"{world.revision('1')}/1/2", "yes"):
        world.annotate("approve", wrong)
        world.run(30)
        assert (world.running.phase, world.share) == ("AwaitingApproval", 0.05)
    world.annotate("approve", f"{world.revision('2')}/1/2")
    assert world.run(120, until=lambda w: w.share == 0.5)
    assert world.run(1800, until=promoted)
    assert [a.name for a in world.status.actions] == ["approve"]


def test_the_first_step_may_be_an_approval() -> None:
    """People look at the candidate before it gets any traffic; there is no evidence yet that could be missing."""
    world = serving(spec=rollout(steps=[APPROVAL, canary(25)]))
    world.apply(version="2")
    assert world.run(120, until=phase("AwaitingApproval", 1))
    world.run(60)
    assert (world.share, world.pod_count("2")) == (0, 1)
    world.annotate("approve", f"{world.revision('2')}/1/1")
    assert world.run(20, until=lambda w: w.share == 0.25)


def test_evidence_runs_on_while_awaiting_approval() -> None:
    world = with_approvals()
    world.apply(version="2")
    assert world.run(300, until=phase("AwaitingApproval", 2))
    world.behaviour["2"] = Behaviour(failures=0.3)
    assert world.run(300, until=lambda w: bool(w.outcomes))
    assert world.outcomes == [("2", "RolledBack", "Harm")]


def test_an_approval_after_the_last_step_still_needs_proof() -> None:
    world = serving(spec=rollout(steps=[canary(50), APPROVAL]), rps=2.0)
    world.apply(version="2")
    assert world.run(300, until=phase("AwaitingApproval", 2))
    world.annotate("approve", f"{world.revision('2')}/1/2")
    world.run(60)
    assert world.running.phase == "AwaitingApproval"
    assert "waiting for proof" in world.running.message
    assert [action.name for action in world.status.actions] == ["approve"]  # done once, however long it waits
    world.rps = 200.0
    assert world.run(1800, until=lambda w: w.outcomes == [("2", "Promoted", "Approved")])


def test_nothing_is_promoted_within_hold_of_a_restart_even_if_approved() -> None:
    world = serving(spec=rollout(steps=[canary(50, "60s"), APPROVAL]))
    world.apply(version="2")
    assert world.run(600, until=phase("AwaitingApproval", 2))
    world.crash_container("2")
    world.run(5)
    restarted = world.running.restarted_at
    assert restarted is not None
    world.annotate("approve", f"{world.revision('2')}/1/2")
    assert world.run(300, until=lambda w: w.running.phase == "Promoting")
    assert (world.now - restarted).total_seconds() >= 60


def test_blue_green_moves_everything_at_once_when_approved() -> None:
    world = blue_green()
    seen: set[float] = set()
    world.watchers.append(lambda w: seen.add(w.share))
    world.apply(version="2")
    assert world.run(120, until=phase("AwaitingApproval", 1))
    assert (world.pod_count("1"), world.pod_count("2")) == (4, 4)
    assert ("Service", world.revision("2")) in world.objects  # people look at it there
    world.run(600)
    assert world.share == 0
    world.annotate("approve", f"{world.revision('2')}/1/1")
    assert world.run(60, until=lambda w: w.outcomes == [("2", "Promoted", "Approved")])
    assert seen <= {0.0, LEAST, 1 - LEAST, 1.0}
    assert world.failed_requests == 0


def test_pause_holds_steps_and_deadline() -> None:
    world = serving(spec=rollout(deadline="10m"))
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share == 0.05)
    deadline = world.running.deadline_at
    world.annotate("pause", "")
    world.run(700)
    assert (world.share, world.running.phase) == (0.05, "Canary")
    assert world.condition("Paused")[0] == "True"
    assert world.condition("UpToDate") == ("False", "Paused")
    del world.annotations["pointsman.dev/pause"]
    world.dirty = True
    world.run(2)
    assert deadline is not None
    assert world.running.deadline_at is not None
    assert 699 <= (world.running.deadline_at - deadline).total_seconds() <= 702
    assert world.run(1800, until=promoted)


def test_pause_before_the_first_step_and_while_promoting() -> None:
    world = serving()
    world.annotate("pause", "")
    world.apply(version="2")
    world.run(120)
    assert (world.running.phase, world.share) == ("Warming", 0)
    del world.annotations["pointsman.dev/pause"]
    world.dirty = True
    assert world.run(1800, until=phase("Promoting", 3))
    world.annotate("pause", "")
    world.run(5)
    share = world.share
    world.run(300)
    assert (world.running.phase, world.share) == ("Promoting", share)
    del world.annotations["pointsman.dev/pause"]
    world.dirty = True
    assert world.run(300, until=promoted)


def test_harm_acts_while_paused() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share == 0.05)
    world.annotate("pause", "")
    world.behaviour["2"] = Behaviour(failures=0.3)
    assert world.run(300, until=lambda w: w.outcomes == [("2", "RolledBack", "Harm")])
