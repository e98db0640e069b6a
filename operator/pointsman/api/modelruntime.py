"""ModelRuntime: how a model server is run and what its metrics are called; written by the platform team."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from pointsman.api.conditions import Conditions
from pointsman.api.values import ApiModel, PortRef, rules

PodTemplate = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""A PodTemplateSpec. Not in the schema (it would be megabytes): the API server judges the finished Deployment by dry run."""

LabelName = Annotated[str, Field(max_length=128)]
Pattern = Annotated[str, Field(min_length=1, max_length=256)]
Matchers = Annotated[
    dict[LabelName, Pattern],
    Field(
        max_length=8,
        json_schema_extra=rules(
            ("self.all(k, k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))", "a label name has letters, digits and _ only"),
        ),
    ),
]
"""Label name -> regular expression (RE2, anchored, as in PromQL's `=~`)."""

MetricName = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=256)]


class RequestsMetric(ApiModel):
    """A counter of inference requests, and which of its series count failures."""

    counter: MetricName = Field(description="Counter of inference requests.")
    match: Matchers | None = Field(None, description="Series that count inference: probes must not match.")
    failed: Matchers = Field(description="Of those, the series that count failures.")


class LatencyMetric(ApiModel):
    """A histogram of how long inference took."""

    histogram: MetricName = Field(description="Histogram, without _bucket.")
    unit: Literal["s", "ms", "us"] = Field("s", description="What its buckets are in.")
    match: Matchers | None = Field(None, description="Series that measure inference: probes must not match.")


class Metrics(ApiModel):
    """What a serving container exports: the metric profile."""

    port: PortRef = Field(description="The container port of the metrics, by name or number.")
    path: Annotated[str, Field(pattern="^/", max_length=256)] = Field("/metrics", description="Where they are.")
    requests: RequestsMetric | None = Field(None, description="Answers the signal Errors.")
    latency: LatencyMetric | None = Field(None, description="Answers the signal Latency.")


class Format(ApiModel):
    """A model format that a runtime serves."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
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
    metrics: Metrics | None = Field(None, description="What the serving container exports.")


class ModelRuntimeStatus(ApiModel):
    """What the operator thinks of it."""

    observed_generation: int | None = None
    conditions: Conditions = []
