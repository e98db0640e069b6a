"""Anything may happen in any order, and what Pointsman promises still holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.rollout.examples import rollout, serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World

REPLICAS, SURGE = 4, 1
POLICY: dict[str, Any] = {
    "steps": [
        {"canary": {"percent": 25}, "hold": "10s"},
        {"approval": {}},
        {"canary": {"percent": 50}, "hold": "10s"},
    ],
    "gates": [{"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "1"}}],
    "warmup": {"duration": "3s", "requests": 10},
    "interval": "5s",
    "keepPrevious": "60s",
    "progressDeadline": "60s",
}
SHARES = {0: 0.0, 1: 0.25, 2: 0.25, 3: 0.5}
START = serving(spec=rollout(**POLICY), rps=200.0)
VERSIONS = st.sampled_from(["1", "2", "3"])


class Promises:
    """Looks at the world after every plan."""

    def __init__(self, world: World) -> None:
        self.share = 0.0
        world.watchers.append(self.look)

    def look(self, world: World) -> None:
        route = world.objects.get(("HTTPRoute", "churn"))
        stable = world.status.stable
        if route is None or stable is None:
            return
        weights = [backend["weight"] for backend in route["spec"]["rules"][0]["backendRefs"]]
        assert sum(weights) in (100, 10000)
        others = 1.0 - world.shares().get(stable.revision, 0.0)
        if others > self.share + 1e-9 and not world.dirty:
            self.rises(world, others)
        self.share = others

    def rises(self, world: World, share: float) -> None:
        """Only a running attempt's candidate gets more, and no more than its step says."""
        rollout, candidate = world.running, world.status.candidate
        assert candidate is not None
        assert rollout.phase in ("Canary", "AwaitingApproval", "Promoting")
        attempt = world.objects["ModelRevision", candidate.revision]["status"].attempts[-1]
        if rollout.phase == "Promoting":
            assert rollout.reason in ("Proven", "PromotedByHand", "StableUnavailable")
            if rollout.reason == "Proven":
                assert [gate.verdict for gate in attempt.gates] != ["Harm"]
        elif ready(world, "stable"):
            assert share <= SHARES[rollout.step] + 1e-9


def ready(world: World, arm: str) -> int:
    found = getattr(world.status, arm)
    if found is None:
        return 0
    return len(world.ready(found.revision))


class Rollouts(RuleBasedStateMachine):
    """A ModelDeployment, its users, its cluster and its operator."""

    def __init__(self) -> None:
        super().__init__()
        self.world = START.fork()
        self.world.watchers = []
        self.promises = Promises(self.world)
        self.healthy = True

    def attempt(self) -> str | None:
        world = self.world
        if world.status.candidate is None or world.status.rollout is None:
            return None
        return f"{world.status.candidate.revision}/{world.running.attempt}"

    # -- time and users

    @rule(seconds=st.sampled_from([1, 3, 10, 30]))
    def time_passes(self, seconds: int) -> None:
        self.world.run(seconds)

    @rule(minutes=st.sampled_from([1, 20]))
    def nothing_happens_for_long(self, minutes: int) -> None:
        """The operator was down or asleep."""
        self.world.now += timedelta(minutes=minutes)
        self.world.run(1)

    @rule(version=VERSIONS)
    def spec_is_edited(self, version: str) -> None:
        self.world.apply(version=version)

    @rule(verb=st.sampled_from(["promote", "retry", "approve"]))
    def somebody_asks(self, verb: str) -> None:
        attempt = self.attempt()
        if attempt is None and self.world.status.history:
            attempt = f"{self.world.status.history[0].revision}/{self.world.status.history[0].attempt}"
        step = f"/{self.world.running.step}" if verb == "approve" and self.world.status.rollout else ""
        self.world.annotate(verb, f"{attempt}{step}")

    @rule()
    def somebody_aborts(self) -> None:
        """One decision later no traffic is the candidate's, wherever stable has a ready pod."""
        attempt, crashes = self.attempt(), self.world.crash_after is not None
        self.world.annotate("abort", str(attempt))
        self.world.reconcile()
        if attempt is not None and not crashes and ready(self.world, "stable"):
            assert self.world.share == 0

    @rule()
    def pause(self) -> None:
        self.world.annotate("pause", "")

    @rule()
    def resume(self) -> None:
        self.world.annotations.pop("pointsman.dev/pause", None)
        self.world.dirty = True

    # -- what goes wrong

    @rule(version=VERSIONS, failures=st.sampled_from([0.0, 0.0, 0.4]), starts=st.booleans())
    def a_version_is_like_that(self, version: str, failures: float, starts: bool) -> None:  # noqa: FBT001  drawn
        self.healthy = self.healthy and starts
        self.world.behaviour[version] = Behaviour(failures=failures, starts=starts)

    @rule(version=VERSIONS)
    def all_pods_are_down(self, version: str) -> None:
        self.healthy = False
        self.world.stopped.add(self.world.revision(version))

    @rule()
    def all_pods_are_up(self) -> None:
        self.world.stopped.clear()

    @rule(version=VERSIONS)
    def a_container_dies(self, version: str) -> None:
        self.healthy = False
        if self.world.pods.get(self.world.revision(version)):
            self.world.crash_container(version)

    @rule(up=st.booleans())
    def prometheus_is(self, up: bool) -> None:  # noqa: FBT001  drawn
        self.world.prometheus = up

    @rule(answers=st.booleans(), problem=st.sampled_from([None, "NotAllowed"]))
    def gateway_is(self, answers: bool, problem: str | None) -> None:  # noqa: FBT001  drawn
        self.world.gateway, self.world.gateway_problem = answers, problem

    @rule(writes=st.integers(0, 6))
    def operator_dies_at_a_write(self, writes: int) -> None:
        self.world.crash_after = writes

    @rule(percent=st.integers(0, 100))
    def somebody_edits_the_route(self, percent: int) -> None:
        route = self.world.objects.get(("HTTPRoute", "churn"))
        if route is None or len(route["spec"]["rules"][0]["backendRefs"]) != 2:
            return

        def edit(spec: dict[str, Any]) -> None:
            first, second = spec["rules"][0]["backendRefs"]
            first["weight"], second["weight"] = 100 - percent, percent

        self.promises.share = 1.0  # not ours
        self.world.edit("HTTPRoute", "churn", edit)

    @rule(choice=st.integers(0, 20))
    def somebody_deletes(self, choice: int) -> None:
        """One object at a time: of a version whose every trace is gone and that the spec does not name nothing is known."""
        self.healthy, self.promises.share, self.world.crash_after = False, 1.0, None
        names = sorted(self.world.objects)
        if names:
            self.world.delete(*names[choice % len(names)])
            self.world.tick_once()

    # -- what holds

    @invariant()
    def pods_stay_within_capacity(self) -> None:
        assert sum(len(pods) for pods in self.world.pods.values()) <= REPLICAS + SURGE

    @invariant()
    def as_many_as_wanted_are_ready(self) -> None:
        taken_back = any(outcome != "Promoted" for _, outcome, _ in self.world.outcomes)
        if self.healthy and not taken_back:  # else stable gets its traffic at once and its pods as they come up
            found = sum(len(self.world.ready(name)) for name in self.world.pods)
            assert found >= REPLICAS

    def teardown(self) -> None:
        """With good inputs every story ends, and then nothing is written any more."""
        world = self.world
        world.behaviour.clear()
        world.stopped.clear()
        world.annotations.clear()
        world.prometheus, world.gateway, world.gateway_problem, world.crash_after = True, True, None, None
        world.dirty = True
        for _ in range(60):
            world.run(20)
            if world.status.rollout is None:
                break
            if world.running.phase == "AwaitingApproval":
                world.annotate("approve", f"{self.attempt()}/{world.running.step}")
        assert world.status.rollout is None, world.status
        world.run(130)
        world.writes.clear()
        world.run(60)
        assert world.writes == []
        assert world.condition("Ready") == ("True", "Serving")
        target = world.revision(world.spec["model"]["version"])
        assert world.status.stable is not None
        assert (world.condition("UpToDate")[0] == "True") == (world.status.stable.revision == target)


Rollouts.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRollouts = Rollouts.TestCase
