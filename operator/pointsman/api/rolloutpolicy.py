"""RolloutPolicy: the steps a candidate takes and the proof it has to give; the same fields stand inline in `rollout`."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pointsman.api.cel import matching, rules
from pointsman.api.comparison import Compare
from pointsman.api.conditions import Conditions
from pointsman.api.gates import COMPARED_SIGNALS, Gate
from pointsman.api.notification import Notify
from pointsman.api.values import (
    DECIMAL,
    DURATION,
    PERCENT,
    ApiModel,
    Duration,
    DurationOrZero,
    Mirrored,
    Quota,
    int_or_string,
)
from pointsman.api.watching import Watch

WhenUndecided = Literal["Hold", "Rollback", "Promote"]

Share = Annotated[
    int | str,
    int_or_string(
        PERCENT,
        "self > 0 && self < 100",
        'write more than 0 and less than 100 percent, such as 5 or "0.5"; promotion follows the last step',
        max_length=6,
        also="double(self) > 0.0 && double(self) < 100.0",
    ),
]
"""A share of the traffic that leaves some for the other arm."""


class CanaryStep(ApiModel):
    """A share of the live traffic."""

    percent: Share = Field(description="Share of the requests.")


class ShadowStep(ApiModel):
    """Copies of live requests, answered by both versions and compared; users get stable's own answers."""

    percent: Mirrored = Field(description="Share of the requests that is mirrored.")


class ApprovalStep(ApiModel):
    """Wait for somebody to say yes."""


class Step(ApiModel):
    """One stage of a rollout: exactly one of shadow, canary and approval."""

    shadow: ShadowStep | None = None
    canary: CanaryStep | None = None
    approval: ApprovalStep | None = None
    hold: Duration | None = Field(None, description="At least this long at the step's share; 5m by default.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.shadow), has(self.canary), has(self.approval)].exists_one(given, given)",
                "write exactly one of `shadow`, `canary` and `approval` in a step",
            ),
            ("!has(self.approval) || !has(self.hold)", "remove `hold`: an approval waits for a person"),
        )
    )


ErrorRate = Annotated[
    str,
    matching(
        DECIMAL,
        'write a percentage in quotes from "0.001" to "20"',
        max_length=13,
        also="double(self) >= 0.001 && double(self) <= 20.0",
    ),
]
"""A probability in percent, as a string."""


class Confidence(ApiModel):
    """The error rates that the whole rollout keeps, in percent."""

    false_rollback: ErrorRate | None = Field(
        None,
        description="A version that does no harm is rolled back with at most this probability; 1 by default.",
    )
    false_promotion: ErrorRate | None = Field(
        None,
        description="One worse than the tolerance is promoted with at most this probability; 5 by default.",
    )


_IS_ZERO = "(has({0}) && ({0} == 0 || {0} == '0%'))"


class Capacity(ApiModel):
    """How many pods both versions together may have or miss while a rollout runs."""

    max_surge: Quota | None = Field(None, description="Pods above `replicas`; 25% by default, rounded up.")
    max_unavailable: Quota | None = Field(None, description="Pods below `replicas`; 0 by default, rounded down.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"!({_IS_ZERO.format('self.maxSurge')} && {_IS_ZERO.format('self.maxUnavailable')})",
                "give maxSurge or maxUnavailable at least 1: with both 0 there is no pod to start with",
            )
        )
    )


class Warmup(ApiModel):
    """When a new pod counts as warm."""

    duration: DurationOrZero | None = Field(None, description="Ready for this long; 30s by default.")
    requests: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="The first requests of every new pod are not evidence; 50 by default."
    )


Interval = Annotated[
    str,
    matching(
        DURATION,
        "write an interval of at least 1s, and no shorter than Prometheus' scrape interval, such as 10s",
        max_length=16,
        also="duration(self) >= duration('1s')",
    ),
]
"""The time between two looks, a Go duration."""

Steps = Annotated[list[Step], Field(min_length=1, max_length=20)]
Gates = Annotated[list[Gate], Field(max_length=20)]

_APPROVALS_ONLY = "(has(self.steps) && self.steps.all(s, has(s.approval)))"
_COMPARED = f"g.signal in [{', '.join(repr(signal) for signal in COMPARED_SIGNALS)}]"


class RolloutFields(ApiModel):
    """How a rollout goes; what is not given comes from the policy, then from the defaults."""

    steps: Steps | None = Field(None, description="In order; canary 5, 25 and 50 percent by default.")
    gates: Gates | None = Field(
        None,
        description="Errors and, where the runtime can answer it, Latency by default.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    interval: Interval | None = Field(None, description="Time between two looks; at least the scrape interval.")
    confidence: Confidence | None = None
    deadline: Duration | None = Field(None, description="From the first step; then `whenUndecided` rules.")
    when_undecided: WhenUndecided | None = Field(
        None,
        description="What the first look after the deadline leads to; nothing is promoted before its hold is over.",
    )
    capacity: Capacity | None = None
    warmup: Warmup | None = None
    progress_deadline: Duration | None = Field(None, description="A candidate not ready for this long is rolled back.")
    keep_previous: DurationOrZero | None = Field(None, description="For this long the old version keeps spare pods.")
    compare: Compare | None = Field(None, description="Shadow steps and `watch`: how answers are read and compared.")
    watch: Watch | None = Field(None, description="What stays mirrored after a promotion; none by default.")
    notify: Annotated[list[Notify], Field(max_length=8)] | None = Field(None, description="Who is told what.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                (
                    "!has(self.steps) || (self.steps.filter(s, has(s.canary)).map(s, double(s.canary.percent)).isSorted()"
                    " && self.steps.all(a, !has(a.canary) || self.steps.exists_one(b, has(b.canary)"
                    " && double(a.canary.percent) == double(b.canary.percent))))"
                ),
                "write the canary percentages in rising order: the share only grows from step to step",
            ),
            (
                ("!has(self.steps) || self.steps.filter(s, !has(s.approval)).map(s, has(s.canary) ? 1 : 0).isSorted()"),
                "write shadow steps before the first canary step: after it users see the candidate's answers",
            ),
            (
                (
                    "!has(self.steps) || self.steps.exists(s, has(s.shadow)) || !has(self.gates)"
                    f" || !self.gates.exists(g, {_COMPARED})"
                ),
                "add a shadow step, or remove the gates of signal Agreement and PredictionDrift: they compare mirrored requests",
            ),
            (
                "!has(self.gates) || self.gates.filter(g, has(g.slices)).size() <= 1",
                "give `slices` to one gate only: requests are told apart in one way",
            ),
            (
                f"!{_APPROVALS_ONLY} || !has(self.gates) || self.gates.size() == 0",
                "remove `gates`, or add a canary step: with approvals only there is no traffic to compare",
            ),
            (
                (
                    f"!{_APPROVALS_ONLY} || !has(self.capacity) || !has(self.capacity.maxSurge)"
                    " || type(self.capacity.maxSurge) == int || self.capacity.maxSurge == '100%'"
                ),
                'write maxSurge: "100%", or add a canary step: with approvals only everything moves at once',
            ),
        )
    )


class RolloutPolicySpec(RolloutFields):
    """The same with the defaults in the schema."""

    interval: Interval = Field("10s", description="Time between two looks; at least the scrape interval.")
    deadline: Duration = Field("2h", description="From the first step; then `whenUndecided` rules.")
    when_undecided: WhenUndecided = Field(
        "Hold",
        description="What the first look after the deadline leads to; nothing is promoted before its hold is over.",
    )
    progress_deadline: Duration = Field("10m", description="A candidate not ready for this long is rolled back.")
    keep_previous: DurationOrZero = Field("30m", description="For this long the old version keeps spare pods.")


class RolloutPolicyStatus(ApiModel):
    """What the operator thinks of it."""

    observed_generation: int | None = Field(None, description="The generation of the spec that this speaks of.")
    conditions: Conditions = Field(default_factory=list)
