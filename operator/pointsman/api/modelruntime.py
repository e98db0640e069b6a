"""ModelRuntime: how a model server is run and what its metrics are called; written by the platform team."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from pointsman.api.cel import matching, rules
from pointsman.api.conditions import Conditions
from pointsman.api.values import ApiModel, PortRef

PodTemplate = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""A PodTemplateSpec. Not in the schema (it would be megabytes): the API server judges the finished Deployment by dry run."""

Protocol = Literal["OpenInference", "KServeV1", "OpenAI", "Json"]
"""How the bodies of requests and answers are written: OpenInference is version 2 of the protocol, Json any JSON, by paths."""

Pattern = Annotated[str, Field(min_length=1, max_length=256)]
Matchers = Annotated[
    dict[str, Pattern],
    Field(
        min_length=1,
        max_length=8,
        json_schema_extra=rules(
            (
                "self.all(k, k.matches('^([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]{0,126}$'))",
                "write Prometheus label names: letters, digits and `_`, not `__` at the start",
            ),
        ),
    ),
]
"""Label name -> regular expression (RE2, anchored, as in PromQL's `=~`)."""

MetricName = Annotated[
    str,
    matching(
        "^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        "write the name of a metric: letters, digits, `_` and `:`, no label matchers",
        max_length=256,
    ),
]

HistogramName = Annotated[
    str,
    matching(
        "^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        "write the name of a histogram without _bucket, _sum or _count",
        max_length=256,
        also="!self.matches('_(bucket|sum|count)$')",
    ),
]


class RequestsMetric(ApiModel):
    """A counter of inference requests, and which of its series count failures."""

    counter: MetricName = Field(description="Counter of inference requests.")
    match: Matchers | None = Field(None, description="Series that count inference: probes must not match.")
    failed: Matchers = Field(description="Of those, the series that count failures.")


class LatencyMetric(ApiModel):
    """A histogram of how long inference, or a part of it, took."""

    histogram: HistogramName = Field(description="Histogram, without _bucket.")
    unit: Literal["s", "ms", "us"] = Field("s", description="What its buckets are in.")
    match: Matchers | None = Field(None, description="Series that measure inference: probes must not match.")


HttpPath = Annotated[
    str,
    matching("^/[^ ?#]*$", "write a path that begins with `/`, such as /metrics, without a query", max_length=256),
]


class Metrics(ApiModel):
    """What a serving container exports: the metric profile."""

    port: PortRef = Field(description="The container port of the metrics, by name or number.")
    path: HttpPath = Field("/metrics", description="Where they are.")
    requests: RequestsMetric | None = Field(None, description="Answers the signal Errors.")
    latency: LatencyMetric | None = Field(None, description="Answers the signal Latency.")
    time_to_first_token: LatencyMetric | None = Field(None, description="Answers the signal TimeToFirstToken.")
    time_per_output_token: LatencyMetric | None = Field(None, description="Answers the signal TimePerOutputToken.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.requests) || has(self.latency) || has(self.timeToFirstToken) || has(self.timePerOutputToken)",
                "say what to read: `requests` (Errors), `latency`, `timeToFirstToken` or `timePerOutputToken`",
            )
        )
    )


class Format(ApiModel):
    """A model format that a runtime serves."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="As a ModelDeployment calls it.")
    auto_select: bool = Field(False, description="This runtime serves the format where the ModelDeployment names none.")


class ModelRuntimeSpec(ApiModel):
    """How to serve a model of these formats."""

    formats: Annotated[list[Format], Field(max_length=32)] = Field(
        default_factory=list,
        description="What it serves.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    template: PodTemplate = Field(description="PodTemplateSpec; the serving container is named `model`.")
    port: PortRef = Field(description="The port requests go to, by name or number.")
    protocol: Protocol | None = Field(None, description="How bodies are read where answers are compared.")
    metrics: Metrics | None = Field(None, description="What the serving container exports.")


class ModelRuntimeStatus(ApiModel):
    """What the operator thinks of it."""

    observed_generation: int | None = Field(None, description="The generation of the spec that this speaks of.")
    conditions: Conditions = Field(default_factory=list)
