"""One decision as a test looks at it: what it saw, what it plans, and what the evidence proves, worked out anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pointsman.api import names
from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.api.values import WHOLE
from pointsman.rollout import folding, record, weighing
from pointsman.rollout.capacity import Room
from pointsman.rollout.facts import Facts
from pointsman.rollout.observed import Observed
from pointsman.rollout.plan import Apply, Plan
from pointsman.rollout.policy import Policy
from pointsman.rollout.policy import room as policy_room
from pointsman.rollout.record import Evidence
from pointsman.rollout.weighing import Balance
from pointsman.signals.own import Names

Attempt = tuple[str, int]


@dataclass(frozen=True)
class Sight:
    """What a decision saw, when, and what it plans."""

    observed: Observed
    now: datetime
    plan: Plan

    @cached_property
    def facts(self) -> Facts:
        return Facts(self.observed, self.now)

    @property
    def before(self) -> ModelDeploymentStatus:
        """The status that it saw."""
        return self.observed.deployment.status

    @property
    def after(self) -> ModelDeploymentStatus:
        """The status that it leaves."""
        return self.plan.status or self.before

    @cached_property
    def attempt(self) -> Attempt | None:
        """The attempt that ran before."""
        return running(self.before)

    @cached_property
    def policy(self) -> Policy | None:
        """The policy of that attempt; None: nothing ran, or its record was deleted."""
        return None if self.attempt is None else self.facts.running_policy(*self.attempt)

    @property
    def room(self) -> Room:
        """N, S and U."""
        return policy_room(self.policy or self.facts.policy, self.observed.deployment.spec.replicas or 1)

    def ready(self, arm: str) -> int:
        """Ready pods of stable or candidate, as seen."""
        found = getattr(self.before, arm)
        return 0 if found is None else self.facts.pods(found.revision).ready

    @cached_property
    def balance(self) -> Balance:
        """What the evidence that it leaves proves."""
        assert self.policy is not None
        return weighing.weigh(self.plan.evidence, self.policy, self._asked(self.policy), now=self.now)

    @cached_property
    def harmful(self) -> bool:
        """Whether the evidence of the running attempt proves harm with the look at hand."""
        kept, rollout, policy = self._kept(), self.before.rollout, self.policy
        if kept is None or policy is None or rollout is None:
            return False
        asked = self._asked(policy)
        if self.observed.reading is not None:
            until = rollout.clock_stopped_at or self.now
            used = timedelta() if rollout.deadline_at is None else policy.deadline - (rollout.deadline_at - until)
            elapsed = max(0.0, used.total_seconds())
            seen = self.observed.reading
            look = folding.Look(evidence=kept, reading=seen, policy=policy, asked=asked, elapsed=elapsed, now=self.now)
            kept = folding.fold(look).evidence
        return weighing.weigh(kept, policy, asked, now=self.now).harm

    def _kept(self) -> Evidence | None:
        """The evidence in memory, else that of the record."""
        if self.attempt is None:
            return None
        revision, attempt = self.attempt
        kept, stored = self.observed.evidence, self.facts.record(revision)
        if kept is not None and (kept.revision, kept.attempt) == self.attempt:
            return kept
        loaded = (
            record.load(stored.evidence, revision=revision, looked_at=stored.looked_at) if stored.evidence else None
        )
        return loaded if loaded is not None and loaded.attempt == attempt else None

    def _asked(self, policy: Policy) -> Mapping[str, Any]:
        assert self.attempt is not None
        assert self.before.stable is not None
        mine, theirs = self.facts.spec(self.attempt[0]), self.facts.spec(self.before.stable.revision)
        return weighing.questions(
            policy,
            stable=None if theirs is None else theirs.metrics,
            candidate=None if mine is None else mine.metrics,
            names=Names(
                namespace=self.observed.deployment.namespace,
                deployment=self.observed.deployment.name,
                stable=self.before.stable.revision,
                candidate=self.attempt[0],
                stable_version="" if theirs is None else theirs.model.version,
                candidate_version="" if mine is None else mine.model.version,
            ),
            gateway=None,
            routed=self.facts.traffic is not None,
            mirrored=self.mirrors(policy),
        )

    def mirrors(self, policy: Policy) -> bool:
        """Whether the step that it saw is about copies of requests."""
        rollout = self.before.rollout
        shadows = rollout is not None and rollout.phase in ("Shadow", "AwaitingApproval") and rollout.step > 0
        return rollout is not None and shadows and policy.stages[rollout.step - 1].mirror > 0

    def share_left(self, candidate: str) -> int:
        """The candidate's share in basis points once what the plan lowers is written; behind a plain Service 0 or not."""
        assert self.after.stable is not None
        name = self.observed.deployment.name
        for write in self.plan.lower:
            if isinstance(write, Apply) and write.object["metadata"]["name"] == name:
                if write.object["kind"] == "HTTPRoute":
                    return shares(write.object).get(candidate, 0)
                if write.object["kind"] == "Service" and self.facts.traffic is None:
                    return int(write.object["spec"]["selector"].get(names.REVISION) in (None, candidate))
        return self.facts.switch(self.after.stable.revision, candidate).share(candidate)


def running(status: ModelDeploymentStatus) -> Attempt | None:
    """The attempt that a status says runs and is not over."""
    if status.rollout is None or status.candidate is None or status.rollout.phase == "RollingBack":
        return None
    return status.candidate.revision, status.rollout.attempt


def shares(route: Mapping[str, Any] | None) -> dict[str, int]:
    """The shares of a route in basis points."""
    if route is None:
        return {}
    backends = route["spec"]["rules"][0]["backendRefs"]
    total = sum(backend["weight"] for backend in backends)
    return {backend["name"]: backend["weight"] * WHOLE // total for backend in backends} if total else {}
