"""Decisions that are made together are those that are made alone."""

from __future__ import annotations

from datetime import timedelta

from pointsman.rollout import decision
from pointsman.rollout.observed import Observed
from tests.rollout.examples import rollout, serving
from tests.rollout.test_proof import canary, gate, step
from tests.rollout.world import World


def look(world: World) -> Observed:
    """What the operator sees at its next look."""
    world.run(9)
    world.now += timedelta(seconds=1)
    assert world.watch is not None
    return world.observed(world.read(world.watch, world.now))


def test_a_decision_is_the_same_beside_others() -> None:
    """Two rollouts with the same gates, one with others, and a model that only serves."""
    gates = [gate("Errors"), gate("Latency")]
    spec = rollout(steps=[step(5, "1h")], gates=gates, interval="10s")
    other = rollout(steps=[step(5, "1h"), step(50)], gates=[gate("Errors", harm={"ratio": "3"})], interval="10s")
    alone = serving(spec=spec)
    worlds = [canary(serving(spec=one)) for one in (spec, spec, other)]
    worlds[1].run(30)
    now = worlds[1].now
    cases = [(look(world), now) for world in worlds] + [(alone.observed(None), alone.now)]
    drafts = [decision.begin(observed, at) for observed, at in cases]
    decision.fold(drafts)
    together = [decision.end(draft) for draft in drafts]
    assert [plan.evidence is not None for plan in together] == [True, True, True, False]
    for (observed, at), plan in zip(cases, together, strict=True):
        by_itself = decision.decide(observed, at)
        assert (plan.status, plan.revisions, plan.watch, plan.wake_at) == (
            by_itself.status,
            by_itself.revisions,
            by_itself.watch,
            by_itself.wake_at,
        )
        if plan.evidence is not None and by_itself.evidence is not None:
            assert plan.evidence.dump() == by_itself.evidence.dump()


def test_nobody_asks() -> None:
    decision.fold([])
