"""Gates: the questions that every look asks of both versions, and what each signal needs to be told."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from pointsman.api.cel import matching, rules
from pointsman.api.values import DECIMAL, ApiModel, Duration, HeaderName, JsonPointer, Label

Signal = Literal[
    "Errors",
    "Latency",
    "TimeToFirstToken",
    "TimePerOutputToken",
    "Agreement",
    "PredictionDrift",
    "Events",
    "Threshold",
]
LATENCY_SIGNALS: Final[tuple[Signal, ...]] = ("Latency", "TimeToFirstToken", "TimePerOutputToken")
"""The signals that are histograms of times and are judged by quantiles."""
RATE_SIGNALS: Final[tuple[Signal, ...]] = ("Errors", "Events")
"""The signals that count bad ones among all."""
SERVING_SIGNALS: Final[tuple[Signal, ...]] = ("Errors", *LATENCY_SIGNALS)
"""The signals that a runtime or a gateway measures by itself."""
COMPARED_SIGNALS: Final[tuple[Signal, ...]] = ("Agreement", "PredictionDrift")
"""The signals that need both versions' answers to the same requests: a shadow step."""

Source = Literal["Runtime", "Gateway"]

_ROOM = (
    "(has(self.ratio) && double(self.ratio) > 1.0) || (has(self.points) && double(self.points) > 0.0)",
    'a tolerance needs room: a ratio above "1", such as "1.5", or points above "0", such as "0.1"',
)

Ratio = Annotated[
    str,
    matching(
        DECIMAL,
        'write a ratio of at least "1" in quotes: that many times as bad as stable is allowed',
        max_length=13,
        also="double(self) >= 1.0",
    ),
]
Points = Annotated[
    str,
    matching(
        DECIMAL,
        'write percentage points in quotes from "0" to "100"',
        max_length=13,
        also="double(self) <= 100.0",
    ),
]


class Limit(ApiModel):
    """How much worse than stable: `ratio` times its rate plus `points` percentage points."""

    ratio: Ratio | None = Field(None, description='Times stable\'s rate or quantile; "1" where it is not given.')
    points: Points | None = Field(None, description="Percentage points on top; only for rates.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.ratio) || has(self.points)", 'write a `ratio`, such as "1.5", or `points`, such as "0.1"')
        )
    )


Quantile = Annotated[
    str,
    matching(
        r"^0?\.[0-9]{1,6}$",
        'write a quantile between 0 and 1 in quotes, such as "0.99"',
        max_length=8,
        also="double(self) > 0.0",
    ),
]
"""A quantile level, as a string."""

Agreed = Annotated[
    str,
    matching(
        DECIMAL,
        'write a percentage in quotes from "50" to "99.999", such as "99": that every answer agrees is never proven',
        max_length=13,
        also="double(self) >= 50.0 && double(self) <= 99.999",
    ),
]
"""The least share of answers that must agree, in percent, as a string."""


class Slices(ApiModel):
    """By which part of a request the comparisons are told apart."""

    header: HeaderName | None = Field(None, description="A header of the request.")
    path: JsonPointer | None = Field(None, description="A place in the request's JSON body.")
    max: Annotated[int, Field(ge=1, le=50)] | None = Field(
        None, description="The values met first, so many of them; the rest counts as `other`. 20 by default."
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.header) != has(self.path)", "write exactly one of `header` and `path` in `slices`"),
        )
    )


Selector = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        description='A plain PromQL selector of counters, such as `orders_total{app="shop"}`.',
    ),
]

LabelName = Annotated[
    str,
    matching(
        "^([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]{0,126}$",
        "write the name of a Prometheus label: letters, digits and `_`, not `__` at the start",
        max_length=128,
    ),
]


class EventsArm(ApiModel):
    """How the series of the two versions are told apart."""

    label: LabelName = Field(description="The label that names the version or the revision.")
    is_: Literal["Version", "Revision"] = Field(
        alias="is", description="What the label holds: `model.version`, or the name of the ModelRevision."
    )


class Events(ApiModel):
    """Counters that somebody else exports: of all events, and of the bad ones among them."""

    bad: Selector
    total: Selector
    arm: EventsArm


Bound = Annotated[
    str,
    matching(
        r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$",
        'write a decimal number in quotes, such as "0.9"',
        max_length=26,
    ),
]


class Threshold(ApiModel):
    """A plain comparison of a query's answer, without any error rate."""

    query: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="PromQL, confined to the namespace; $namespace, $deployment and $revision (the candidate) stand for values of labels."
    )
    min: Bound | None = Field(None, description="Every series of the answer is at least this.")
    max: Bound | None = Field(None, description="Every series of the answer is at most this.")
    for_: Duration | None = Field(
        None,
        alias="for",
        description="So long without a break: inside is Safe, outside leads to `action`; 5m by default.",
    )
    action: Literal["Pause", "Rollback"] | None = Field(
        None,
        description="Outside, the rollout stands still as long as that lasts, or it is rolled back; Pause by default.",
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.min) || has(self.max)", 'write `min` or `max`, such as max: "0.9": what to compare with'),
            (
                "!(has(self.min) && has(self.max)) || double(self.min) < double(self.max)",
                "write a `max` above `min`: between them is where the answer should be",
            ),
        )
    )


def _one_of(signals: tuple[Signal, ...]) -> str:
    return f"self.signal in [{', '.join(repr(signal) for signal in signals)}]"


_IS_LATENCY = _one_of(LATENCY_SIGNALS)
_OWN_BOUNDS = _one_of(("Agreement", "Threshold"))
_ONE_LIMIT = _one_of((*COMPARED_SIGNALS, "Threshold"))
_LIMITS = ("self.tolerance", "self.harm")


def _no_limit_has(field: str) -> str:
    return " && ".join(f"!(has({limit}) && has({limit}.{field}))" for limit in _LIMITS)


class Gate(ApiModel):
    """One question asked at every look: is the candidate no worse in this signal?"""

    name: Label = Field(description="Told apart by it; what decided names it.")
    signal: Signal = Field(description="What is measured.")
    source: Source | None = Field(None, description="Who measured it: the Runtime (default) or the Gateway.")
    tolerance: Limit | None = Field(
        None,
        description="How much worse still counts as no worse; Safe is proof of staying inside it.",
        json_schema_extra=rules(_ROOM),
    )
    harm: Limit | None = Field(
        None,
        description="Harm is proof of being worse than this; ratio 1.25 by default.",
    )
    quantiles: Annotated[list[Quantile], Field(min_length=1, max_length=8)] | None = Field(
        None,
        description='Quantiles that must be no slower, such as "0.5" and "0.99"; only for latency signals.',
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    at_least: Agreed | None = Field(
        None, description='Agreement: percent of the compared requests that are answered alike; "99" by default.'
    )
    slices: Slices | None = Field(None, description="Agreement: each slice with enough traffic has to agree, too.")
    events: Events | None = Field(None, description="Events: what to count.")
    threshold: Threshold | None = Field(None, description="Threshold: what to compare with what.")
    required: bool | None = Field(None, description="Whether promotion waits for this gate; true by default.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"{_IS_LATENCY} || !has(self.quantiles)",
                "remove `quantiles`: only the signals Latency, TimeToFirstToken and TimePerOutputToken have them",
            ),
            (
                f"!({_IS_LATENCY}) || ({_no_limit_has('points')})",
                "write `ratio` instead of `points`: a latency signal is measured in times of stable's quantile",
            ),
            (
                "self.signal != 'PredictionDrift' || !has(self.tolerance) || !has(self.tolerance.ratio)",
                "write `points` instead of `ratio`: drift is by how many points a tail of the predictions moves",
            ),
            (
                f"{_one_of(SERVING_SIGNALS)} || !has(self.source)",
                "remove `source`: only Errors and latency signals are measured by the Runtime or the Gateway",
            ),
            (
                "self.signal == 'Agreement' || !(has(self.atLeast) || has(self.slices))",
                "remove `atLeast` and `slices`: only the signal Agreement has them",
            ),
            (
                f"!({_OWN_BOUNDS}) || !has(self.tolerance)",
                "remove `tolerance`: Agreement has `atLeast`, and a threshold its own `min` and `max`",
            ),
            (
                f"!({_ONE_LIMIT}) || !has(self.harm)",
                "remove `harm`: with Agreement, PredictionDrift and Threshold what is not inside the limit is harm",
            ),
            (
                "has(self.events) == (self.signal == 'Events')",
                "write `events` with the signal Events, and with no other one",
            ),
            (
                "has(self.threshold) == (self.signal == 'Threshold')",
                "write `threshold` with the signal Threshold, and with no other one",
            ),
        )
    )
