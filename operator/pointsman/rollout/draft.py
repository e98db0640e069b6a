"""What a decision is building up; lives for one call of `decide`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pointsman.api.modeldeployment import Action, HistoryEntry, KeptPods, Outcome, RolloutStatus
from pointsman.api.modelrevision import ModelRevisionStatus, State
from pointsman.evidence.together import Folded
from pointsman.rollout import weighing, wording
from pointsman.rollout.facts import Facts
from pointsman.rollout.plan import Event
from pointsman.rollout.policy import Policy, Watching
from pointsman.rollout.record import Evidence
from pointsman.rollout.vigil import Vigil
from pointsman.rollout.weighing import Balance
from pointsman.signals.own import Asked, Names
from pointsman.signals.profiles import Unanswerable

_HISTORY = 10
_ATTEMPTS = 10


@dataclass(kw_only=True)
class Draft:
    """Who is stable, who is the candidate, and what is to be said about it.

    final    the decision to write with the weights that carry it out: `<revision>/<attempt>/<outcome>/<gate>`
    waiting  why the rollout does not go on right now, for the message
    """

    facts: Facts
    stable: str | None = None
    candidate: str | None = None
    next: str | None = None  # a newer revision, whose template the API server has not seen yet
    previous: str | None = None
    previous_until: datetime | None = None
    rollout: RolloutStatus | None = None
    kept_pods: KeptPods | None = None
    history: list[HistoryEntry] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    revisions: dict[str, ModelRevisionStatus] = field(default_factory=dict)
    evidence: Evidence | None = None
    proofs: Mapping[str, Folded] = field(default_factory=dict)  # of the look that this decision folded in, by gate
    vigil: Vigil | None = None  # where a version serves alone and is watched
    balance: Balance = field(default_factory=Balance)
    policy: Policy | None = None
    events: list[Event] = field(default_factory=list)
    final: str | None = None
    fresh: bool = False  # this decision saw a new look with data of every required gate
    waiting: str = ""
    look_within: timedelta = timedelta.max  # of the next look, where the policy's interval is longer
    wakes: list[datetime] = field(default_factory=list)
    _questions: tuple[object, Mapping[str, Asked | Unanswerable]] | None = None  # of whom, and what they are

    @property
    def now(self) -> datetime:
        """The time of the decision."""
        return self.facts.now

    def update(self, **changes: object) -> RolloutStatus:
        """Change the rollout's status."""
        if self.rollout is None:
            raise AssertionError("no rollout runs")
        self.rollout = self.rollout.model_copy(update=changes)
        return self.rollout

    def running(self) -> tuple[str, RolloutStatus] | None:
        """The candidate whose attempt is still open: its name and its status."""
        if self.candidate is None or self.rollout is None or self.rollout.phase == "RollingBack":
            return None
        return self.candidate, self.rollout

    def record(self, revision: str) -> ModelRevisionStatus:
        """The status of a revision, with this decision's changes."""
        return self.revisions.get(revision) or self.facts.record(revision)

    def keep(self, revision: str, **changes: object) -> None:
        """Change the status of a revision."""
        self.revisions[revision] = self.record(revision).model_copy(update=changes)

    def set_state(self, revision: str | None, state: State) -> None:
        """Say what part a revision has now."""
        if revision is not None and self.record(revision).state != state:
            self.keep(revision, state=state)

    @property
    def goal_mirror(self) -> int:
        """How many requests this step is about copies of, in basis points; the inspector replays them to both arms."""
        if self.policy is None or self.rollout is None or self.rollout.phase not in ("Shadow", "AwaitingApproval"):
            return 0
        return self.policy.stages[self.rollout.step - 1].mirror if self.rollout.step else 0

    @property
    def watching(self) -> Watching | None:
        """What goes on now because a version serves alone; None: a rollout runs, it is paused, or nobody asks for it."""
        if self.candidate is not None or self.stable is None or self.facts.asked.paused or self.facts.traffic is None:
            return None
        if self.facts.observed.settings.inspector_image is None or self.record(self.stable).served_at is None:
            return None
        return self.facts.policy.watching

    def questions(self) -> Mapping[str, Asked | Unanswerable]:
        """What the gates of the running attempt ask of Prometheus; asked for again and again, it is worked out once."""
        if self.policy is None or self.candidate is None or self.stable is None:
            return {}
        of = (self.policy, self.stable, self.candidate, self.goal_mirror > 0)
        if self._questions is None or self._questions[0] != of:
            self._questions = (of, self._ask(self.policy, self.stable, self.candidate))
        return self._questions[1]

    def _ask(self, policy: Policy, stable: str, candidate: str) -> Mapping[str, Asked | Unanswerable]:
        of_stable, of_candidate = self.facts.spec(stable), self.facts.spec(candidate)
        return weighing.questions(
            policy,
            stable=None if of_stable is None else of_stable.metrics,
            candidate=None if of_candidate is None else of_candidate.metrics,
            names=Names(
                namespace=self.facts.observed.deployment.namespace,
                deployment=self.facts.observed.deployment.name,
                stable=stable,
                candidate=candidate,
                stable_version=self.version(stable),
                candidate_version=self.version(candidate),
            ),
            gateway=self.facts.observed.settings.gateway_metrics,
            routed=self.facts.traffic is not None,
            mirrored=self.goal_mirror > 0,
        )

    def weigh(self) -> None:
        """Say what the evidence proves."""
        if self.policy is not None:
            self.balance = weighing.weigh(
                self.evidence, self.policy, self.questions(), now=self.now, proofs=self.proofs
            )

    def event(self, reason: str, message: str, *, action: str, warning: bool = False) -> None:
        """Post an Event on the ModelDeployment."""
        self.events.append(
            Event(type="Warning" if warning else "Normal", reason=reason, message=message[:1024], action=action)
        )

    def version(self, revision: str | None) -> str:
        """The version that a revision serves, as people call it."""
        spec = None if revision is None else self.facts.spec(revision)
        return "" if spec is None else spec.model.version

    def close(self, outcome: Outcome, *, reason: str, message: str, decided_by: str, gate: str | None = None) -> None:
        """Write down how the running attempt ended: in its revision and in the history."""
        if self.candidate is None or self.rollout is None:
            raise AssertionError("no attempt runs")
        revision, attempt = self.candidate, self.rollout.attempt
        if not self.balance.gates and self.evidence is not None:
            self.weigh()
        known = next((one for one in self.record(revision).attempts if one.attempt == attempt), None)
        if known is not None and known.outcome == outcome:  # written before a crash, when more was known
            reason, gate, message = known.reason or reason, known.gate, known.message
        ended: dict[str, object] = {
            "ended_at": self.now,
            "outcome": outcome,
            "reason": reason,
            "gate": gate,
            "decided_by": decided_by,
            "message": message[:2048],
        }
        if self.balance.gates and (known is None or known.ended_at is None):
            ended["gates"] = [wording.gate_record(gate) for gate in self.balance.gates]
        record = self.record(revision)
        attempts = [one.model_copy(update=ended) if one.attempt == attempt else one for one in record.attempts]
        self.keep(revision, attempts=attempts[-_ATTEMPTS:], evidence=None, looked_at=None)
        entry = HistoryEntry(
            version=self.version(revision),
            revision=revision,
            attempt=attempt,
            outcome=outcome,
            reason=reason,
            gate=gate,
            at=self.now,
            message=message[:2048],
        )
        self.history = [entry, *self.history][:_HISTORY]
