"""A model whose pods follow its load: what each HPA may do, on the way of a rollout and off it."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.api.modeldeployment import KeptPods
from pointsman.rollout import capacity
from pointsman.rollout.capacity import Room, Split
from pointsman.rollout.plan import Apply
from tests.rollout.examples import serving, spec
from tests.rollout.scaled import Scaled, scaled, scaled_spec
from tests.rollout.world import World
from tests.sizes import examples

FEWEST, MOST, SURGE = 2, 12, 3  # of twelve pods a quarter


@functools.cache
def _at_rest() -> Scaled:
    """100 requests a second, 25 a pod: four pods."""
    return scaled()


def at_rest(**changes: Any) -> Scaled:
    world = copy.deepcopy(_at_rest())
    for name, value in changes.items():
        setattr(world, name, value)
    return world


def reach(world: World, percent: float) -> None:
    assert world.run(900, until=lambda w: w.share == percent / 100), world.status.rollout
    world.run(3)


def staying_at(percent: int) -> Scaled:
    """A rollout that stays at its first step for half an hour."""
    world = at_rest()
    steps = [{"canary": {"percent": percent}, "hold": "30m"}]
    world.spec = {**world.spec, "rollout": {**world.spec["rollout"], "steps": steps}}
    world.apply(version="2")
    reach(world, percent)
    return world


def promoted(version: str) -> Any:
    return lambda world: (version, "Promoted", "Proven") in world.outcomes


# --- no rollout


def test_at_rest_the_bounds_are_the_specs_and_the_hpa_counts() -> None:
    world = at_rest()
    assert (world.bounds("1"), world.pod_count("1")) == ((FEWEST, MOST), 4)
    world.rps = 200.0
    world.run(60)
    assert world.pod_count("1") == 8
    assert world.status.stable is not None
    assert (world.status.stable.replicas, world.status.stable.ready_replicas) == (8, 8)
    assert {kind for _, kind, _ in world.writes} == {"ModelDeployment/status"}, "what an HPA does is not undone"
    assert world.events == []


def test_other_bounds_in_the_spec_are_the_hpas_at_once() -> None:
    world = at_rest()
    world.spec = scaled_spec(6, 8)
    world.dirty = True
    world.run(5)
    assert (world.bounds("1"), world.count(world.revision("1"))) == ((6, 8), 6)


@pytest.mark.parametrize("replicas", [0, 1])
def test_too_few_pods_are_not_left_to_the_hpas_next_sync(replicas: int) -> None:
    """`kubectl scale` to 0 even switches an HPA off."""
    world = at_rest()
    world.scale(world.revision("1"), replicas, who="somebody")
    world.reconcile()
    assert world.count(world.revision("1")) == FEWEST
    world.run(60)
    assert world.count(world.revision("1")) == 4


def test_an_hpa_that_is_edited_is_set_back_and_one_that_is_deleted_comes_back() -> None:
    world = at_rest()
    name = world.revision("1")
    world.edit("HorizontalPodAutoscaler", name, lambda s: s.update(maxReplicas=99))
    world.run(2)
    assert world.bounds("1") == (FEWEST, MOST)
    assert [event.reason for event in world.events] == ["SetBack"]
    world.delete("HorizontalPodAutoscaler", name)
    world.run(2)
    assert (world.bounds("1"), world.count(name)) == ((FEWEST, MOST), 4)


def test_a_policy_has_to_be_right_for_the_fewest_and_the_most_pods() -> None:
    world = at_rest()
    blue_green = {**world.spec["rollout"], "steps": [{"approval": {}}], "gates": [], "capacity": {"maxSurge": 4}}
    world.spec = {**world.spec, "rollout": blue_green}
    world.dirty = True
    world.run(2)
    assert world.condition("Accepted") == ("False", "InvalidPolicy")
    assert 'need capacity.maxSurge "100%"' in world.message("Accepted")
    assert world.bounds("1") == (FEWEST, MOST)


# --- from `replicas` to `autoscaling` and back


def to_autoscaling(world: World) -> None:
    world.spec = scaled_spec(FEWEST, MOST)
    world.dirty = True


def to_replicas(world: World) -> None:
    world.spec = spec(replicas=3)
    world.dirty = True


def test_pods_stay_when_an_hpa_takes_over_their_number() -> None:
    """Server-side apply takes away what only we had: without another owner there would be one pod left."""
    world = serving()
    pods = {pod.name for pod in world.pods[world.revision("1")]}
    to_autoscaling(world)
    world.run(5)
    hpa = world.objects["HorizontalPodAutoscaler", world.revision("1")]
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (FEWEST, MOST)
    assert {pod.name for pod in world.pods[world.revision("1")]} == pods
    assert "pointsman" not in world.counters[world.revision("1")]


def test_the_spec_can_take_the_number_back() -> None:
    world = at_rest()
    to_replicas(world)
    world.run(5)
    assert world.bounds("1") is None
    assert (world.count(world.revision("1")), world.counters[world.revision("1")]) == (3, {"pointsman"})
    assert world.status.kept_pods is None


@pytest.mark.parametrize("start", [serving, at_rest], ids=["from replicas", "from autoscaling"])
def test_the_spec_changes_sides_in_the_middle_of_a_rollout(start: Any) -> None:
    world = start()
    world.apply(version="2")
    reach(world, 25)
    change = to_autoscaling if start is serving else to_replicas
    change(world)
    world.apply(version="2")
    fewest = min(len(pods) for pods in world.pods.values())
    assert world.run(900, until=promoted("2")), world.status.rollout
    assert fewest > 0
    assert world.failed_requests == 0
    world.run(400)
    assert (("HorizontalPodAutoscaler", world.revision("2")) in world.objects) == (start is serving)


# --- a rollout


def test_both_hpas_follow_the_rule_of_capacity() -> None:
    """N = 4, S = 1, as in the API's description: 4+1, 3+1, 2+2; the most are the spec's times the share."""
    world = at_rest()
    world.apply(version="2")
    seen: dict[float, Any] = {}
    for percent in (5, 25, 50):
        reach(world, percent)
        assert world.running.replicas == 4
        seen[percent] = (world.bounds("1"), world.bounds("2"))
    assert seen == {5: ((4, 11), (1, 1)), 25: ((3, 9), (1, 3)), 50: ((2, 6), (2, 6))}
    assert world.run(900, until=promoted("2"))
    world.run(2)
    assert (world.bounds("1"), world.bounds("2")) == (None, (4, MOST))
    assert world.failed_requests == 0


def test_after_a_rollout_its_pods_stay_until_the_metrics_have_caught_up() -> None:
    world = at_rest()
    world.apply(version="2")
    assert world.run(900, until=promoted("2"))
    assert world.status.kept_pods == KeptPods(
        replicas=4, until=world.status.kept_pods.until if world.status.kept_pods else world.now
    )
    world.run(290)
    assert world.bounds("2") == (4, MOST)
    world.run(20)
    assert (world.bounds("2"), world.status.kept_pods, world.pod_count("2")) == ((FEWEST, MOST), None, 4)


def test_load_that_grows_meanwhile_counts_from_the_next_step_on() -> None:
    world = at_rest()
    world.apply(version="2")
    reach(world, 5)
    world.rps = 200.0
    assert world.run(900, until=promoted("2"))
    assert world.failed_requests == 0
    assert world.pod_count("2") >= 8
    world.run(400)
    assert world.pod_count("2") == 8, "what the load needs"


class Limits:
    """Looks at every write: never too many pods, never too few that are ready."""

    def __init__(self, world: Scaled) -> None:
        self.world, self.most, self.lacking = world, 0, 0
        world.watchers.append(self.look)

    def look(self, world: World) -> None:
        self.most = max(self.most, sum(self.world.count(name) for name in world.found("Deployment")))
        rollout = world.status.rollout
        if rollout is not None and rollout.phase != "RollingBack":
            ready = sum(len(world.ready(name)) for name in world.found("Deployment"))
            self.lacking = max(self.lacking, 4 - ready)


@pytest.mark.parametrize("rps", [20.0, 100.0, 290.0])
def test_never_more_pods_than_the_maximum_and_the_surge_nor_fewer_ready_than_before(rps: float) -> None:
    world = at_rest()
    limits = Limits(world)
    world.apply(version="2")
    reach(world, 5)
    world.rps = rps
    assert world.run(900, until=promoted("2"))
    assert (limits.most <= MOST + SURGE, limits.lacking) == (True, 0)


def test_what_is_taken_back_does_not_wait_for_stables_hpa() -> None:
    """Its pods and the route change in the same step of the same plan."""
    world = staying_at(50)
    world.run(400)
    assert (world.pod_count("1"), world.pod_count("2")) == (2, 2)
    world.plans.clear()
    world.annotate("abort", f"{world.revision('2')}/1")
    world.reconcile()
    first = [write.object for write in world.plans[0].lower if isinstance(write, Apply)]
    assert any(obj["kind"] == "HTTPRoute" for obj in first)
    assert next(obj["spec"]["replicas"] for obj in first if obj["metadata"]["name"] == world.revision("1")) == 4
    assert (world.share, world.bounds("2")) == (0, None)
    world.run(30)
    assert (world.bounds("1"), world.pod_count("1"), world.pod_count("2")) == ((4, MOST), 4, 0)


def test_whatever_write_the_operator_dies_at_the_end_is_the_same() -> None:
    world = at_rest()
    world.apply(version="2")
    world.forks = []
    assert world.run(900, until=promoted("2"))
    world.run(10)
    forks, world.forks = world.forks, None
    assert len(forks) > 40
    for again in forks[:: max(1, len(forks) // examples(4))]:
        assert again.run(900, until=promoted("2")), again.status.rollout
        again.run(10)
        assert again.bounds("1") is None
        assert again.bounds("2") == (again.status.kept_pods.replicas if again.status.kept_pods else FEWEST, MOST)
        assert again.failed_requests == 0


def test_pods_that_the_candidates_hpa_adds_do_not_count_as_not_ready() -> None:
    """They are not the rollout's: a model that takes minutes to load would be rolled back for being used."""
    world = staying_at(25)
    world.boot *= 1000
    world.rps = 290.0
    world.run(50)
    assert world.pod_count("2") == 3
    assert len(world.ready(world.revision("2"))) == 1
    assert world.running.unready_since is None


def test_without_a_gateway_the_pods_are_the_share_so_the_hpas_hold_still() -> None:
    written = scaled_spec()
    del written["traffic"]
    world = scaled(written=written)
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.status.rollout is not None and w.running.step == 1)
    world.rps = 200.0
    world.run(25)
    assert (world.bounds("1"), world.bounds("2"), world.share) == ((4, 4), (1, 1), 0.2)
    assert world.run(1500, until=promoted("2")), world.running
    world.run(10)
    assert world.bounds("2") == (4, MOST)


@given(
    st.builds(
        lambda n, more, s, u: Room(replicas=n, surge=max(s, n == 1), unavailable=min(u, n), ceiling=n + more),
        st.integers(1, 20),
        st.integers(0, 30),
        st.integers(1, 20),
        st.integers(0, 5),
    ),
    st.integers(1, 9999),
)
def test_the_most_of_both_arms_together_is_never_more_than_may_be(room: Room, share: int) -> None:
    rule, most = capacity.at_share(room, share), capacity.most_at_share(room, share)
    both = Split(max(rule.stable, most.stable), max(rule.candidate, most.candidate))
    assert both.stable + both.candidate <= room.limit
    assert most.stable + most.candidate == room.ceiling
