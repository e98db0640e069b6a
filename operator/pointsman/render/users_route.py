"""A route of the user's (`traffic.routeRef`): how its rules share the model's part of the traffic, and the same rules with another share.

A rule is switched if it has a backendRef to the Service named as the ModelDeployment, which the user writes. That Service is
stable's. What Pointsman adds beside it are Services of revisions; together they keep the part of the rule's traffic that
the user gave the model. Everything else in the route is the user's and stays as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pointsman.api import names
from pointsman.api.values import WHOLE
from pointsman.render.objects import SERVICE_PORT, Backend, Mirror, mirroring

if TYPE_CHECKING:
    from pointsman.render.schema import Json

FINEST: Final = 100
"""The largest number in a ratio between the model and other backends of a rule: weights end at a million, shares are in 10,000ths."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose part of a route is looked at: the ModelDeployment's, while the Service of its name leads to this revision."""

    deployment: str
    behind: str | None

    def owns(self, ref: Mapping[str, Any]) -> bool:
        """Whether a backendRef is to a Service of the ModelDeployment: the one of its name or a revision's."""
        local = ref.get("kind", "Service") == "Service" and not ref.get("group")
        return local and re.fullmatch(rf"{re.escape(self.deployment)}(-[0-9a-f]{{8}})?", ref["name"]) is not None

    def inspects(self, applied: Mapping[str, Any]) -> bool:
        """Whether a filter of a rule copies requests to an inspector of the ModelDeployment."""
        if applied["type"] != "RequestMirror":
            return False
        name = applied["requestMirror"]["backendRef"]["name"]
        return re.fullmatch(rf"{re.escape(self.deployment)}-i[0-9a-f]{{7}}", name) is not None

    def revision(self, service: str) -> str:
        """The revision behind one of the Services."""
        return self.behind if service == self.deployment and self.behind is not None else service


def shares(rules: Sequence[Mapping[str, Any]], place: Place) -> dict[str, int]:
    """By revision, its share of the model's part in basis points, summed over the rules that are switched.

    Rules that disagree (somebody wrote one of them) so give a share between theirs: it is above 0 where any rule's is,
    and below what was decided where any rule's is.
    """
    found: dict[str, int] = {}
    for rule in rules:
        if not _switched(rule, place):
            continue
        for name, share in _of_rule(rule, place).items():
            revision = place.revision(name)
            found[revision] = found.get(revision, 0) + share
    return found


def copies(rules: Sequence[Mapping[str, Any]], place: Place) -> Mapping[str, Any] | None:
    """The filter that copies requests to an inspector, of the first rule that has one."""
    filters = (applied for rule in rules for applied in rule.get("filters") or () if place.inspects(applied))
    return next(filters, None)


def fault(rules: Sequence[Mapping[str, Any]], place: Place) -> str | None:
    """Why the route cannot be switched, in a sentence; None: it can."""
    if not any(_switched(rule, place) for rule in rules):
        return (
            f"no rule of it sends requests to the Service {place.deployment}: write `backendRefs: [{{name: {place.deployment},"
            f" port: {SERVICE_PORT}}}]` in the rules that this model serves"
        )
    for number, rule in enumerate(rules):
        if _switched(rule, place) and max(_ratio(rule, place)) > FINEST:
            return (
                f"rules[{number}]: write weights whose ratio needs no number above {FINEST}, such as 9 and 1: the model's part is"
                f" split further, and weights end at a million"
            )
    return None


def with_shares(
    rules: Sequence[Json], place: Place, *, backends: Sequence[Backend], mirror: Mirror | None = None
) -> list[Json]:
    """The rules with the model's part shared as `backends` say; a rule that does so already is left as it is.

    A revision that only the Service of the ModelDeployment's name leads to gets its share there, not at its own: a gateway
    knows already where that one is. It stays listed, at 0 if need be: by it the rule is known.
    """
    return [_with_shares(rule, place, backends, mirror) if _switched(rule, place) else rule for rule in rules]


def _with_shares(rule: Json, place: Place, backends: Sequence[Backend], mirror: Mirror | None) -> Json:
    wanted = _by_service(rule, place, backends)
    shared = rule
    if wanted != _of_rule(rule, place):
        shared = {**rule, "backendRefs": _refs(rule, place, wanted)}
    filters = [applied for applied in rule.get("filters") or () if not place.inspects(applied)]
    filters += [] if mirror is None else [mirroring(mirror)]
    if filters == (rule.get("filters") or []):
        return shared
    others = {key: value for key, value in shared.items() if key != "filters"}
    return {**others, "filters": filters} if filters else others


def _by_service(rule: Json, place: Place, backends: Sequence[Backend]) -> dict[str, int]:
    """What each Service is to get in this rule, in basis points."""
    listed = {ref["name"] for ref in rule["backendRefs"] if place.owns(ref)}
    found = {place.deployment: 0}
    for name, share in backends:
        found[place.deployment if name == place.behind and name not in listed else name] = share
    return found


def _refs(rule: Json, place: Place, wanted: Mapping[str, int]) -> list[Json]:
    """The backendRefs of a rule: others' with their weights in the same ratio to the model's part, and the model's."""
    mine, others = _ratio(rule, place)[0], iter(_ratio(rule, place)[1:])
    refs: list[Json] = []
    known: set[str] = set()
    last = 0
    pattern = next(ref for ref in rule["backendRefs"] if place.owns(ref))
    for ref in rule["backendRefs"]:
        if not place.owns(ref):
            refs.append({**ref, "weight": next(others) * WHOLE})
        elif ref["name"] in wanted and ref["name"] not in known:
            refs.append({**ref, "weight": mine * wanted[ref["name"]]})
            known.add(ref["name"])
            last = len(refs)
    added = [
        {**pattern, "name": name, "port": SERVICE_PORT, "weight": mine * share}
        for name, share in wanted.items()
        if name not in known
    ]
    refs[last:last] = added
    return _readable(refs)


def _readable(refs: list[Json]) -> list[Json]:
    """The same ratio in small numbers: percentages where they do, else as small as it goes."""
    weights = [ref["weight"] for ref in refs]
    unit = (
        WHOLE // 100 if sum(weights) == WHOLE and not any(w % (WHOLE // 100) for w in weights) else math.gcd(*weights)
    )
    return [{**ref, "weight": ref["weight"] // unit} for ref in refs]


def _switched(rule: Mapping[str, Any], place: Place) -> bool:
    """Whether the model has a part of a rule's traffic: the Service of its name is listed, and not all of ours are at 0."""
    ours = [ref for ref in rule.get("backendRefs") or () if place.owns(ref)]
    return any(ref["name"] == place.deployment for ref in ours) and any(_weight(ref) for ref in ours)


def _of_rule(rule: Mapping[str, Any], place: Place) -> dict[str, int]:
    """By Service that is listed, its share of the model's part in basis points."""
    weights: dict[str, int] = {}
    for ref in rule["backendRefs"]:
        if place.owns(ref):
            weights[ref["name"]] = weights.get(ref["name"], 0) + _weight(ref)
    total = sum(weights.values())
    return {name: WHOLE * weight // total for name, weight in weights.items()}


def _ratio(rule: Mapping[str, Any], place: Place) -> list[int]:
    """The model's part and those of the others, in order, in lowest terms."""
    refs = rule["backendRefs"]
    parts = [
        sum(_weight(ref) for ref in refs if place.owns(ref)),
        *(_weight(ref) for ref in refs if not place.owns(ref)),
    ]
    unit = math.gcd(*parts)
    return [part // unit for part in parts]


def _weight(ref: Mapping[str, Any]) -> int:
    return int(ref.get("weight", 1))


def rendered(live: Mapping[str, Any], rules: Sequence[Json], *, decided: str | None, applied: str) -> Json:
    """What is applied to the user's route: the rules, and our two annotations.

    Args:
        live: The route as it is.
        rules: Its rules with our shares.
        decided: What the weights follow from, for the annotation; None where nothing was decided.
        applied: By which a later edit is recognised.
    """
    annotations = {**({} if decided is None else {names.DECIDED: decided}), names.APPLIED: applied}
    meta = live["metadata"]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "annotations": annotations},
        "spec": {"rules": list(rules)},
    }
