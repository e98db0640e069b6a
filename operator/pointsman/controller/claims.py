"""Which ModelDeployment holds a hostname on a Gateway: the oldest that claims it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pointsman.cluster.cache import Change, Name, name_of
from pointsman.cluster.kinds import GATEWAY, Json
from pointsman.rollout.observed import Holder

_EVERY = "*"


@dataclass(frozen=True, kw_only=True)
class _Claim:
    gateway: Name
    section: str | None
    port: int | None
    hostnames: tuple[str, ...]
    since: tuple[str, str, str]  # creationTimestamp, namespace, name: who is older


class Claims:
    """The claims of all ModelDeployments, found by Gateway and hostname: thousands may share a Gateway."""

    def __init__(self) -> None:
        self._claims: dict[Name, tuple[_Claim, ...]] = {}
        self._claimants: dict[Name, dict[str, set[Name]]] = defaultdict(lambda: defaultdict(set))

    def update(self, change: Change) -> frozenset[Name]:
        """Take note of a change of a ModelDeployment; those whose claims it may have freed."""
        name = name_of(change.before or change.after or {})
        before = self._claims.get(name, ())
        after = () if change.after is None else _claims(change.after)
        if before == after:
            return frozenset()
        for claim in before:
            for hostname in claim.hostnames:
                self._forget(claim.gateway, hostname, name)
        self._claims.pop(name, None)
        if after:
            self._claims[name] = after
        for claim in after:
            for hostname in claim.hostnames:
                self._claimants[claim.gateway][hostname].add(name)
        return frozenset(other for claim in before for other in self._near(claim)) - {name}

    def holder(self, name: Name) -> Holder | None:
        """Who holds what a ModelDeployment claims."""
        for claim in self._claims.get(name, ()):
            for other in sorted(self._near(claim) - {name}):
                for hostname in _contested(claim, self._claims[other]):
                    return Holder(hostname=hostname, gateway="/".join(claim.gateway), deployment="/".join(other))
        return None

    def on(self, gateway: Name) -> frozenset[Name]:
        """Who claims anything on a Gateway."""
        return frozenset().union(*self._claimants.get(gateway, {}).values())

    def _near(self, claim: _Claim) -> set[Name]:
        """Who claims hostnames that overlap."""
        claimants = self._claimants.get(claim.gateway, {})
        if any(hostname.startswith(_EVERY) for hostname in claim.hostnames):
            return set().union(*claimants.values())
        return set().union(*(claimants.get(held, ()) for host in claim.hostnames for held in _covering(host)))

    def _forget(self, gateway: Name, hostname: str, name: Name) -> None:
        claimants = self._claimants[gateway]
        claimants[hostname].discard(name)
        if not claimants[hostname]:
            del claimants[hostname]


def _claims(obj: Json) -> tuple[_Claim, ...]:
    namespace, name = name_of(obj)
    traffic = (obj.get("spec") or {}).get("traffic") or {}
    return tuple(
        _Claim(
            gateway=(parent.get("namespace") or namespace, parent["name"]),
            section=parent.get("sectionName"),
            port=parent.get("port"),
            hostnames=tuple(traffic.get("hostnames") or (_EVERY,)),
            since=(obj["metadata"]["creationTimestamp"], namespace, name),
        )
        for parent in traffic.get("parentRefs") or ()
        if parent.get("kind", GATEWAY.name) == GATEWAY.name
    )


def _contested(mine: _Claim, theirs: Iterable[_Claim]) -> Iterator[str]:
    for other in theirs:
        if other.gateway != mine.gateway or other.since >= mine.since:
            continue
        if _apart(mine.section, other.section) or _apart(mine.port, other.port):
            continue
        yield from (host for host in mine.hostnames for held in other.hostnames if _overlap(host, held))


def _covering(host: str) -> Iterator[str]:
    """What a hostname without a wildcard can be claimed by."""
    yield host
    yield _EVERY
    labels = host.split(".")
    yield from (".".join((_EVERY, *labels[first:])) for first in range(1, len(labels)))


def _apart(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _overlap(one: str, other: str) -> bool:
    if one == other or _EVERY in (one, other):
        return True
    return _covers(one, other) or _covers(other, one)


def _covers(wildcard: str, host: str) -> bool:
    return wildcard.startswith("*.") and host.endswith(wildcard[1:])
