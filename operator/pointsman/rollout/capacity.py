"""How many pods each arm has: at a share of the traffic, and on the way there.

Shares are basis points (0..10000). N is the ModelDeployment's replicas, S the surge, U what may be unavailable.
"""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.api.values import WHOLE


@dataclass(frozen=True, kw_only=True)
class Room:
    """N, S and U in pods; S and U are not both 0. `ceiling` is what HPAs may come to, 0 without them."""

    replicas: int
    surge: int
    unavailable: int
    ceiling: int = 0

    @property
    def most(self) -> int:
        """Pods that the rule may give both arms together."""
        return self.replicas + self.surge

    @property
    def limit(self) -> int:
        """Pods that there may be in all, those that HPAs add included."""
        return max(self.replicas, self.ceiling) + self.surge

    @property
    def fewest(self) -> int:
        """Pods that must be ready in both arms together."""
        return self.replicas - self.unavailable


@dataclass(frozen=True)
class Split:
    """Pods of the two arms."""

    stable: int
    candidate: int


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def at_share(room: Room, share: int) -> Split:
    """The pods at a share that the gateway's weights make: about the same load on each of them.

    The largest s <= N with s + c <= N + S, where c = max(1, ceil(s w / (1 - w)), N - s). Where even one stable pod is too
    many for that, it stays: traffic that is still stable's needs one.
    """
    if share >= WHOLE:
        return Split(0, room.replicas)
    for stable in range(room.replicas, 0, -1):
        candidate = max(1, _ceil(stable * share, WHOLE - share), room.replicas - stable)
        if stable + candidate <= room.most:
            return Split(stable, candidate)
    return Split(1, max(1, min(room.replicas, room.most - 1)))


def at_pod_ratio(room: Room, share: int) -> Split:
    """The pods at a share that only their numbers make (a plain Service): the smallest ratio not below the share.

    Where no split reaches the share, the nearest below it. Between equal ratios, the one with more pods.
    """
    if share >= WHOLE:
        return Split(0, room.replicas)
    splits = [
        Split(stable, candidate)
        for stable in range(room.replicas + 1)
        for candidate in range(1, room.replicas + 1)
        if room.replicas <= stable + candidate <= room.most and (stable > 0 or share >= WHOLE)
    ] or [Split(max(room.replicas - 1, 0), 1)]

    def ratio(split: Split) -> int:
        return _ceil(WHOLE * split.candidate, split.candidate + split.stable)

    enough = [split for split in splits if ratio(split) >= share]
    if enough:
        return min(enough, key=lambda split: (ratio(split), -split.stable))
    return max(splits, key=lambda split: (ratio(split), split.stable))


def pod_share(split: Split) -> int:
    """The share that a plain Service gives the candidate: that of its pods."""
    total = split.stable + split.candidate
    return WHOLE * split.candidate // total if total else 0


def carried(room: Room, goal: int, pods: int) -> int:
    """The largest share that this many candidate pods may carry: pods / N; all that is wanted, where more cannot come.

    More cannot come where the goal is reached (capacity may have fewer pods for a high share), and where only stable's
    last pod is in the way of the candidate's last (no surge).
    """
    enough = pods >= min(goal, room.most - 1)
    return (
        WHOLE if enough else _ceil(WHOLE * pods, room.replicas)
    )  # rounded down, a third would hold a third stable pod


def candidate_now(room: Room, goal: int, *, stable_pods: int, other_pods: int) -> int:
    """Candidate pods to ask for now: the goal, as far as the pods of the other revisions leave room."""
    return max(0, min(goal, room.limit - stable_pods - other_pods))


def most_at_share(room: Room, share: int) -> Split:
    """The most pods that HPAs may come to at a share: together never more than `ceiling`."""
    stable = room.ceiling * (WHOLE - share) // WHOLE
    return Split(stable, room.ceiling - stable)


def stable_now(room: Room, goal: int, *, share: int, pods: int, candidate_ready: int) -> int:
    """Stable pods to keep now: never more than there are unless the goal is, and at least what the accepted share needs.

    ceil(N (1 - share)) - U for the traffic that is still stable's, but one where there is any, and enough that N - U pods
    are ready in all.
    """
    if goal >= pods:
        return goal
    for_traffic = max(_ceil(room.replicas * (WHOLE - share), WHOLE) - room.unavailable, int(share < WHOLE))
    return min(pods, max(goal, for_traffic, room.fewest - candidate_ready))
