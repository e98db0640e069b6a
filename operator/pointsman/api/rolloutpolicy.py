"""RolloutPolicy: the steps a candidate takes and the proof it has to give; the same fields stand inline in `rollout`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pointsman.api.conditions import Conditions
from pointsman.api.values import ApiModel, Decimals, Duration, DurationOrZero, Percent, Quota, rules

Signal = Literal["Errors", "Latency"]
Source = Literal["Runtime", "Gateway"]
WhenUndecided = Literal["Hold", "Rollback", "Promote"]

_TOLERANCE = (
    "(has(self.ratio) ? double(self.ratio) : 1.0) > 1.0 || (has(self.points) ? double(self.points) : 0.0) > 0.0",
    'a tolerance needs room: a ratio above "1", such as "1.5", or points above "0", such as "0.1"',
)
_LIMIT = (
    "!has(self.ratio) || double(self.ratio) >= 1.0",
    'a ratio is at least "1": the candidate may be that many times as bad as stable',
)


class Limit(ApiModel):
    """How much worse than stable: `ratio` times its rate plus `points` percentage points."""

    ratio: Decimals | None = Field(None, description='Times stable\'s rate or quantile; "1" where it is not given.')
    points: Decimals | None = Field(None, description="Percentage points on top; only for rates.")


class CanaryStep(ApiModel):
    """A share of the live traffic."""

    percent: Percent = Field(
        description="Share of the requests.",
        json_schema_extra=rules(
            (
                "double(self) > 0.0 && double(self) < 100.0",
                "a canary step takes more than 0 and less than 100 percent; promotion follows the last step",
            )
        ),
    )


class ApprovalStep(ApiModel):
    """Wait for somebody to say yes."""


class Step(ApiModel):
    """One stage of a rollout: exactly one of canary and approval."""

    canary: CanaryStep | None = None
    approval: ApprovalStep | None = None
    hold: Duration | None = Field(None, description="At least this long at the step's share; 5m by default.")

    model_config = {
        "json_schema_extra": rules(
            ("has(self.canary) != has(self.approval)", "a step is exactly one of `canary` and `approval`"),
            ("!has(self.approval) || !has(self.hold)", "an approval waits for a person: it has no `hold`"),
        )
    }


class Gate(ApiModel):
    """One question asked at every look: is the candidate no worse in this signal?"""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
    signal: Signal = Field(description="What is measured.")
    source: Source | None = Field(None, description="Who measured it: the Runtime (default) or the Gateway.")
    tolerance: Limit | None = Field(
        None,
        description="How much worse still counts as no worse; Safe is proof of staying inside it.",
        json_schema_extra=rules(_TOLERANCE, _LIMIT),
    )
    harm: Limit | None = Field(
        None,
        description="Harm is proof of being worse than this; ratio 1.25 by default.",
        json_schema_extra=rules(_LIMIT),
    )
    quantiles: Annotated[list[Decimals], Field(min_length=1, max_length=8)] | None = Field(
        None,
        description='Quantiles that must be no slower, such as "0.5" and "0.99"; only for Latency.',
        json_schema_extra={
            "x-kubernetes-list-type": "set",
            **rules(
                ("self.all(q, double(q) > 0.0 && double(q) < 1.0)", 'a quantile lies between 0 and 1, such as "0.99"')
            ),
        },
    )
    required: bool | None = Field(None, description="Whether promotion waits for this gate; true by default.")

    model_config = {
        "json_schema_extra": rules(
            ("self.signal == 'Latency' || !has(self.quantiles)", "only a Latency gate has `quantiles`"),
            (
                "self.signal != 'Latency' || ((!has(self.tolerance) || !has(self.tolerance.points))"
                " && (!has(self.harm) || !has(self.harm.points)))",
                "a Latency gate is measured in times of stable's quantile: write `ratio`, not `points`",
            ),
            (
                "self.signal != 'Latency' || !has(self.tolerance) || has(self.tolerance.ratio)",
                'a Latency gate needs `tolerance.ratio`, such as "1.2"',
            ),
        )
    }


class Confidence(ApiModel):
    """The error rates that the whole rollout keeps, in percent."""

    false_rollback: Decimals | None = Field(
        None,
        description="A version that does no harm is rolled back with at most this probability; 1 by default.",
    )
    false_promotion: Decimals | None = Field(
        None,
        description="One worse than the tolerance is promoted with at most this probability; 5 by default.",
    )

    model_config = {
        "json_schema_extra": rules(
            (
                "!has(self.falseRollback) || (double(self.falseRollback) >= 0.001 && double(self.falseRollback) <= 20.0)",
                'falseRollback is a percentage from "0.001" to "20"',
            ),
            (
                "!has(self.falsePromotion) || (double(self.falsePromotion) >= 0.001 && double(self.falsePromotion) <= 20.0)",
                'falsePromotion is a percentage from "0.001" to "20"',
            ),
        )
    }


class Capacity(ApiModel):
    """How many pods both versions together may have or miss while a rollout runs."""

    max_surge: Quota | None = Field(None, description="Pods above `replicas`; 25% by default, rounded up.")
    max_unavailable: Quota | None = Field(None, description="Pods below `replicas`; 0 by default, rounded down.")

    model_config = {
        "json_schema_extra": rules(
            (
                "!(has(self.maxSurge) && string(self.maxSurge) in ['0', '0%']"
                " && (!has(self.maxUnavailable) || string(self.maxUnavailable) in ['0', '0%']))",
                "maxSurge and maxUnavailable cannot both be 0: there would be no pod to start with",
            )
        )
    }


class Warmup(ApiModel):
    """When a new pod counts as warm."""

    duration: DurationOrZero | None = Field(None, description="Ready for this long; 30s by default.")
    requests: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="The first requests of every new pod are not evidence; 50 by default."
    )


Steps = Annotated[list[Step], Field(min_length=1, max_length=20)]
Gates = Annotated[list[Gate], Field(max_length=20)]

_GATES = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class RolloutFields(ApiModel):
    """How a rollout goes; what is not given comes from the policy, then from the defaults."""

    steps: Steps | None = Field(None, description="In order; canary 5, 25 and 50 percent by default.")
    gates: Gates | None = Field(
        None,
        description="Errors and, where the runtime can answer it, Latency by default.",
        json_schema_extra=_GATES,
    )
    interval: Duration | None = Field(None, description="Time between two looks; at least the scrape interval.")
    confidence: Confidence | None = None
    deadline: Duration | None = Field(None, description="From the first step; then `whenUndecided` rules.")
    when_undecided: WhenUndecided | None = Field(None, description="What to do at the deadline.")
    capacity: Capacity | None = None
    warmup: Warmup | None = None
    progress_deadline: Duration | None = Field(None, description="A candidate not ready for this long is rolled back.")
    keep_previous: DurationOrZero | None = Field(None, description="For this long the old version keeps spare pods.")


class RolloutPolicySpec(RolloutFields):
    """The same with the defaults in the schema."""

    interval: Duration = Field("10s", description="Time between two looks; at least the scrape interval.")
    deadline: Duration = Field("2h", description="From the first step; then `whenUndecided` rules.")
    when_undecided: WhenUndecided = Field("Hold", description="What to do at the deadline.")
    progress_deadline: Duration = Field("10m", description="A candidate not ready for this long is rolled back.")
    keep_previous: DurationOrZero = Field("30m", description="For this long the old version keeps spare pods.")


class RolloutPolicyStatus(ApiModel):
    """What the operator thinks of it."""

    observed_generation: int | None = None
    conditions: Conditions = []
