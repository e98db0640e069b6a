"""What Pointsman promises, looked at from outside: at every decision, every write that lands, and whenever it comes to rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pointsman.api import names
from pointsman.controller import news
from pointsman.rollout import decision
from pointsman.rollout.arms import is_inspector
from pointsman.rollout.observed import Observed
from pointsman.rollout.plan import Plan
from tests.machine import decisions
from tests.machine.apiserver import Object
from tests.machine.cluster import Cluster
from tests.machine.operators import KEY, Operator
from tests.machine.sight import Attempt, Sight, shares
from tests.machine.truth import Truth

LATE = timedelta(seconds=60)


class Promises:
    """Watches a cluster."""

    def __init__(self) -> None:
        self.cluster: Any = None
        self.decided_on_route: set[Attempt] = set()
        self.replicas: dict[datetime, int] = {}  # N, as it was of late

    def attach(self, cluster: Cluster) -> None:
        """Look at everything that happens in this cluster."""
        self.cluster, self.truth = cluster, Truth(cluster)
        cluster.api.landed = self.landed

    def look(self) -> None:
        """A second has passed, or something changed."""
        self.truth.look()
        now, replicas = self.cluster.now, self.cluster.written["spec"]["replicas"]
        self.replicas = {at: n for at, n in self.replicas.items() if at > now - LATE} | {now: replicas}

    def forgive(self, kind: str) -> None:
        """A person deletes the object that carries decisions: of those nothing is known any more."""
        if kind in ("HTTPRoute", "Service"):
            self.decided_on_route.clear()

    # -- at every decision

    def decided(self, operator: Operator, observed: Observed, now: datetime, plan: Plan) -> None:
        """A decision beside what it saw; of one that is made by who does not lead any more nothing will be written."""
        operator.saw_all = operator.knows_all
        if not operator.asleep:
            for promise in decisions.PROMISES:
                promise(Sight(observed, now, plan))

    # -- at every write that lands

    def landed(self, before: Object | None, after: Object | None) -> None:
        """A write of the operator that acts now."""
        operator: Operator = self.cluster.acting[-1]
        there = after or before
        assert there is not None
        match there["kind"]:
            case "Deployment":
                self._pods_stay_within_capacity(operator, before, after)
            case "ModelDeployment":
                assert before is not None
                assert after is not None
                assert before["spec"] == after["spec"]
                self.truth.ended(after["status"].get("history", []), self.decided_on_route)
                self.truth.look()
            case "HTTPRoute" if after is not None:
                self._note_decision(after)
                assert sum(backend["weight"] for backend in after["spec"]["rules"][0]["backendRefs"]) in (100, 10000)
                if before is not None:
                    had = shares(before)
                    self._rise(operator, {name: n for name, n in shares(after).items() if n > had.get(name, 0)})
            case "Service" if after is not None and there["metadata"]["name"] == "churn":
                self._note_decision(after)
                if before is not None and "traffic" not in self.cluster.written["spec"]:
                    self._rise(operator, dict.fromkeys(self._selected(after) - self._selected(before), 1))

    def _note_decision(self, obj: Object) -> None:
        decided = obj["metadata"].get("annotations", {}).get(names.DECIDED)
        if decided:
            revision, attempt, *_ = decided.split("/")
            self.decided_on_route.add((revision, int(attempt)))

    def _selected(self, service: Mapping[str, Any]) -> set[str]:
        """The revisions that a Service selects."""
        only = service["spec"]["selector"].get(names.REVISION)
        arms = {self.cluster.name_of("stable"), self.cluster.name_of("candidate")} - {None}
        return {only} if only is not None else arms

    def _rise(self, operator: Operator, more: Mapping[str, int]) -> None:
        """Who gets more traffic is stable, or a candidate whose attempt runs, and no more than its step's share."""
        for revision, share in more.items():
            sight = Sight(*operator.plans[-1])
            meant = sight.after.stable
            if meant is not None and revision == meant.revision:
                arms = {self.cluster.name_of(arm) for arm in ("stable", "previous", "candidate")}
                assert self.cluster.name_of("stable") is None or revision in arms, "to what was stable once"
            else:
                self._candidate_rises(sight, revision, share)

    def _candidate_rises(self, sight: Sight, revision: str, share: int) -> None:
        """By what the API server's status says at that moment, not by what the operator believes."""
        rollout = self.cluster.rollout
        assert rollout is not None, ("no rollout runs, and traffic goes to", revision)
        attempt = (revision, rollout["attempt"])
        assert revision == self.cluster.name_of("candidate"), "traffic goes to another than the candidate"
        assert rollout["phase"] != "RollingBack", "an attempt that is over gets traffic"
        assert attempt not in self.decided_on_route, "a decision on the route was undone"
        if sight.ready("stable") == 0:
            return  # somebody has to serve
        assert rollout["phase"] in ("Canary", "AwaitingApproval", "Promoting"), rollout["phase"]
        policy = sight.facts.running_policy(*attempt)
        if policy is not None and rollout["phase"] != "Promoting":
            assert rollout["step"] > 0
            assert share <= policy.stages[rollout["step"] - 1].share, "more than the step's share"

    def _pods_stay_within_capacity(self, operator: Operator, before: Object | None, after: Object | None) -> None:
        """Who asks for more pods never asks for more than N + S in all, by the largest N of late.

        Left out is a Deployment whose record was not written any more: nothing is known of it but that it has to go.
        """
        had, has = (0 if obj is None else obj["spec"]["replicas"] for obj in (before, after))
        there = after or before
        if has <= had or operator.asleep or not operator.saw_all or (there is not None and is_inspector(there)):
            return
        records = self.cluster.found("ModelRevision")
        asked = sum(
            obj["spec"]["replicas"]
            for obj in self.cluster.found("Deployment").values()
            if obj["metadata"]["name"] in records
        )
        n = max([operator.plans[-1][0].deployment.spec.replicas or 1, *self.replicas.values()])
        assert asked <= n + self.cluster.surge, ("pods over capacity", asked)

    # -- at rest

    def settled(self, operator: Operator) -> None:
        """A reconcile has come to its end."""
        operator.hear()
        if not operator.knows_all or operator.due or operator.asleep or operator.memory.reading is not None:
            return
        self._nothing_is_left(operator)
        self._inspectors_are_needed(operator)
        cluster: Cluster = self.cluster
        rollout, candidate, stable = cluster.rollout, cluster.name_of("candidate"), cluster.name_of("stable")
        if rollout is None or candidate is None or stable is None:
            return
        ready = {
            name: (obj.get("status") or {}).get("readyReplicas", 0) for name, obj in cluster.found("Deployment").items()
        }
        if ready.get(stable) and (not ready.get(candidate) or rollout["phase"] == "RollingBack"):
            share = shares(cluster.found("HTTPRoute").get("churn")).get(candidate, 0)
            assert share == 0, ("traffic for who does not serve, or from whom it was taken back", rollout, ready)

    def _inspectors_are_needed(self, operator: Operator) -> None:
        """There is one inspector at most, of the arm that is looked at, and nothing is copied to one that is not there."""
        cluster: Cluster = self.cluster
        found = {
            name for kind in ("Deployment", "Service") for name, obj in cluster.found(kind).items() if is_inspector(obj)
        }
        arm = cluster.name_of("candidate") or cluster.name_of("stable")
        if not Sight(*operator.plans[-1]).facts.switch(arm, None).accepted:
            return  # copies may still come
        assert found <= {names.inspector(arm or "-")} | {cluster.mirrored}, ("inspectors of nobody", found)
        if cluster.gateway and cluster.gateway_problem is None and cluster.mirrored is not None:
            assert cluster.mirrored in found, "copies for nobody"

    def _nothing_is_left(self, operator: Operator) -> None:
        """A plan that is carried out leaves nothing to do: twice is once."""
        now, memory = operator.clock(), operator.memory
        observed = operator.gatherer.observe(KEY, memory, now)
        if observed is None or decision.pods_wanted(observed):
            return
        plan = decision.decide(observed, now)
        left = [*plan.lower, *plan.prepare, *plan.after, *plan.revisions, *plan.events]
        assert left == [], ("a decision leaves something to do", left)
        assert plan.status is None or not news.is_news(observed.deployment.status, plan.status), "news is left"
