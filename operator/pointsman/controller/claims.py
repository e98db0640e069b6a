"""Which ModelDeployment holds a hostname on a Gateway: the oldest that claims it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
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
    """The claims of all ModelDeployments, by Gateway."""

    def __init__(self) -> None:
        self._claims: dict[Name, dict[Name, list[_Claim]]] = defaultdict(dict)

    def update(self, change: Change) -> frozenset[Name]:
        """Take note of a change of a ModelDeployment; those whose claims it may have freed."""
        before = {} if change.before is None else _claims(change.before)
        after = {} if change.after is None else _claims(change.after)
        if before == after:
            return frozenset()
        name = name_of(change.before or change.after or {})
        for gateway in before:
            self._claims[gateway].pop(name, None)
        for gateway, claims in after.items():
            self._claims[gateway][name] = claims
        return frozenset(other for gateway in before for other in self._claims[gateway] if other != name)

    def holder(self, obj: Json) -> Holder | None:
        """Who holds what this ModelDeployment claims."""
        me = name_of(obj)
        for gateway, claims in _claims(obj).items():
            for other, theirs in self._claims[gateway].items():
                if other == me:
                    continue
                for hostname in _contested(claims, theirs):
                    return Holder(hostname=hostname, gateway="/".join(gateway), deployment="/".join(other))
        return None

    def on(self, gateway: Name) -> frozenset[Name]:
        """Who claims anything on a Gateway."""
        return frozenset(self._claims.get(gateway, ()))


def _claims(obj: Json) -> dict[Name, list[_Claim]]:
    namespace, name = name_of(obj)
    traffic = (obj.get("spec") or {}).get("traffic") or {}
    claims: dict[Name, list[_Claim]] = {}
    for parent in traffic.get("parentRefs") or ():
        if parent.get("kind", GATEWAY.name) != GATEWAY.name:
            continue
        gateway = (parent.get("namespace") or namespace, parent["name"])
        claims.setdefault(gateway, []).append(
            _Claim(
                gateway=gateway,
                section=parent.get("sectionName"),
                port=parent.get("port"),
                hostnames=tuple(traffic.get("hostnames") or (_EVERY,)),
                since=(obj["metadata"]["creationTimestamp"], namespace, name),
            )
        )
    return claims


def _contested(ours: list[_Claim], theirs: list[_Claim]) -> Iterator[str]:
    for mine in ours:
        for other in theirs:
            if other.since >= mine.since or _apart(mine.section, other.section) or _apart(mine.port, other.port):
                continue
            yield from (host for host in mine.hostnames for held in other.hostnames if _overlap(host, held))


def _apart(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _overlap(one: str, other: str) -> bool:
    if one == other or _EVERY in (one, other):
        return True
    return _covers(one, other) or _covers(other, one)


def _covers(wildcard: str, host: str) -> bool:
    return wildcard.startswith("*.") and host.endswith(wildcard[1:])
