"""How many pods each arm has, at every share and on the way from one to the next."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.api.rolloutpolicy import Capacity, RolloutFields
from pointsman.rollout import capacity
from pointsman.rollout.capacity import Room, Split
from pointsman.rollout.policy import resolve
from pointsman.rollout.policy import room as policy_room
from tests.sizes import examples


def room(replicas: int, surge: int, unavailable: int = 0) -> Room:
    return Room(replicas=replicas, surge=surge, unavailable=unavailable)


@pytest.mark.parametrize(
    ("pods", "percent", "split"),
    [
        (room(4, 1, 0), 5, (4, 1)),  # the examples of the API's description
        (room(4, 1, 0), 25, (3, 1)),
        (room(4, 1, 0), 50, (2, 2)),
        (room(4, 4, 0), 5, (4, 1)),
        (room(4, 4, 0), 25, (4, 2)),
        (room(4, 4, 0), 50, (4, 4)),
        (room(1, 1, 0), 5, (1, 1)),  # one replica, its candidate beside it
        (room(1, 1, 0), 50, (1, 1)),
        (room(4, 0, 1), 5, (3, 1)),  # no spare accelerator: the candidate takes a pod of stable's
        (room(4, 0, 1), 25, (3, 1)),
        (room(4, 0, 1), 50, (2, 2)),
        (room(10, 3, 0), 5, (10, 1)),
        (room(100, 25, 0), 5, (100, 6)),  # as much load on each candidate pod as on each of stable's
        (room(100, 25, 0), 25, (93, 31)),
        (room(1, 1, 0), 80, (1, 1)),  # a share too high for capacity: stable keeps one pod, the candidate has the rest
        (room(4, 1, 0), 90, (1, 4)),
        (room(4, 0, 1), 90, (1, 3)),
        (room(4, 1, 0), 100, (0, 4)),
    ],
)
def test_pods_at_a_share(pods: Room, percent: int, split: tuple[int, int]) -> None:
    assert capacity.at_share(pods, percent * 100) == Split(*split)


@pytest.mark.parametrize(
    ("pods", "percent", "split", "real"),
    [
        (room(4, 1), 5, (4, 1), 20),  # a plain Service cannot give less than one pod's part
        (room(4, 1), 25, (3, 1), 25),
        (room(4, 1), 50, (2, 2), 50),
        (room(1, 1), 5, (1, 1), 50),
        (room(10, 3), 5, (10, 1), 9.09),
        (room(4, 4), 40, (3, 2), 40),
    ],
)
def test_pods_that_make_a_share_behind_a_plain_service(
    pods: Room, percent: int, split: tuple[int, int], real: float
) -> None:
    found = capacity.at_pod_ratio(pods, percent * 100)
    assert found == Split(*split)
    assert capacity.pod_share(found) == int(real * 100)


@pytest.mark.parametrize(
    ("quota", "replicas", "surge", "unavailable"),
    [("25%", 4, 1, 1), ("25%", 1, 1, 0), ("25%", 10, 3, 2), ("30%", 10, 3, 3), ("100%", 4, 4, 4), (2, 4, 2, 2)],
)
def test_surge_is_rounded_up_and_unavailable_down(
    quota: int | str, replicas: int, surge: int, unavailable: int
) -> None:
    fields = RolloutFields(capacity=Capacity(max_surge=quota, max_unavailable=quota))
    found = policy_room(resolve(fields), replicas)
    assert (found.surge, found.unavailable) == (surge, unavailable)


@pytest.mark.parametrize(
    ("share", "pods", "candidate_ready", "kept"),
    [
        (0, 4, 1, 4),  # what the gateway has not accepted yet is still stable's
        (2500, 4, 1, 3),
        (5000, 4, 2, 2),
        (10000, 4, 3, 2),  # all traffic has moved, and yet 4 pods have to be ready: 3 + 1, but the goal keeps 2
        (10000, 2, 4, 2),
    ],
)
def test_stable_keeps_what_the_accepted_share_needs(share: int, pods: int, candidate_ready: int, kept: int) -> None:
    assert capacity.stable_now(room(4, 1), 2, share=share, pods=pods, candidate_ready=candidate_ready) == kept


ROOMS = st.builds(
    lambda n, s, u: room(n, s, min(u, n)), st.integers(1, 8), st.integers(0, 8), st.integers(0, 8)
).filter(lambda r: (r.surge or r.unavailable) and (r.replicas > 1 or r.surge))


@settings(max_examples=examples(60))
@given(
    ROOMS,
    st.lists(st.integers(1, 9999), min_size=1, max_size=3),
    st.lists(st.integers(0, 3), min_size=1, max_size=5).filter(any),
)
def test_on_the_way_there_are_never_too_many_pods_nor_too_few_ready_ones(
    room: Room, shares: list[int], speeds: list[int]
) -> None:
    """Pods become ready at any speed; the gateway has accepted any share that the ready ones may carry."""
    stable, candidate, ready, accepted = room.replicas, 0, 0, 0
    for share in [*sorted(shares), 10000]:
        goal = capacity.at_share(room, share)
        for turn in range(5 * (room.most + 1)):
            if accepted == share and ready == candidate >= goal.candidate:
                break
            candidate = max(candidate, capacity.candidate_now(room, goal.candidate, stable_pods=stable, other_pods=0))
            assert stable + candidate <= room.most
            ready = min(candidate, ready + speeds[turn % len(speeds)])
            accepted = max(accepted, min(share, capacity.carried(room, goal.candidate, ready)))
            stable = capacity.stable_now(room, goal.stable, share=accepted, pods=stable, candidate_ready=ready)
            assert stable + ready >= room.fewest
            assert stable > 0 or accepted == 10000
        else:
            raise AssertionError(f"{share} is never reached: {stable} + {candidate} of {goal}, {accepted} accepted")
    assert (stable, accepted) == (0, 10000)
