"""How the number of a model's pods follows its load: the fields of a HorizontalPodAutoscaler that users write."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pointsman.api.cel import rules
from pointsman.api.values import ApiModel, Label, Name, int_or_string

MOST_PODS = 1000

Quantity = Annotated[
    int | str,
    int_or_string(
        r"^[0-9.]+([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$",
        "self > 0",
        'write an amount above zero, such as 10, "500m" or "2Gi"',
        max_length=32,
        also="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
    ),
]
"""An amount as Kubernetes writes it: `10`, `"500m"`, `"2Gi"`."""

Text = Annotated[str, Field(min_length=1, max_length=253)]


class MetricTarget(ApiModel):
    """What the HPA keeps a metric at."""

    type: Literal["Utilization", "Value", "AverageValue"]
    average_utilization: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="Percent of what the pods' containers request."
    )
    average_value: Quantity | None = Field(None, description="Of each pod.")
    value: Quantity | None = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                (
                    "(self.type == 'Utilization') == has(self.averageUtilization)"
                    " && (self.type == 'AverageValue') == has(self.averageValue)"
                    " && (self.type == 'Value') == has(self.value)"
                ),
                "write the one of averageUtilization, averageValue and value that `type` names",
            )
        )
    )


class LabelRequirement(ApiModel):
    """A condition on one label."""

    key: Text
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=16)] | None = None


class LabelSelector(ApiModel):
    """Which series of a metric."""

    match_labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] | None = Field(
        None, description="Label name -> value."
    )
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=16)] | None = None


class MetricIdentifier(ApiModel):
    """A metric by name."""

    name: Text
    selector: LabelSelector | None = None


class ResourceMetric(ApiModel):
    """CPU or memory of the pods, as metrics-server measures it."""

    name: Text
    target: MetricTarget


class ContainerResourceMetric(ApiModel):
    """CPU or memory of one container of the pods."""

    container: Label
    name: Text
    target: MetricTarget


class PodsMetric(ApiModel):
    """A metric that every pod has, averaged over an arm's pods."""

    metric: MetricIdentifier
    target: MetricTarget


class DescribedObject(ApiModel):
    """The object that a metric describes."""

    api_version: Text | None = None
    kind: Annotated[str, Field(min_length=1, max_length=63)]
    name: Name


class ObjectMetric(ApiModel):
    """A metric of another object."""

    described_object: DescribedObject
    metric: MetricIdentifier
    target: MetricTarget


class ExternalMetric(ApiModel):
    """A metric of something outside the cluster."""

    metric: MetricIdentifier
    target: MetricTarget


_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


class MetricSpec(ApiModel):
    """One metric, as in autoscaling/v2."""

    type: Literal["Resource", "ContainerResource", "Pods", "Object", "External"]
    resource: ResourceMetric | None = None
    container_resource: ContainerResourceMetric | None = None
    pods: PodsMetric | None = None
    object: ObjectMetric | None = None
    external: ExternalMetric | None = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                " && ".join(f"(self.type == '{kind}') == has(self.{field})" for kind, field in _SOURCES.items()),
                "write the one field that `type` names: resource, containerResource, pods, object or external",
            ),
            (
                (
                    "!(has(self.resource) && self.resource.target.type == 'Value')"
                    " && !(has(self.containerResource) && self.containerResource.target.type == 'Value')"
                ),
                "write target.type Utilization or AverageValue: each pod has its own CPU and memory",
            ),
            (
                "!has(self.pods) || self.pods.target.type == 'AverageValue'",
                "write target.type AverageValue: each pod has its own value of this metric",
            ),
            (
                (
                    "!(has(self.object) && self.object.target.type == 'Utilization')"
                    " && !(has(self.external) && self.external.target.type == 'Utilization')"
                ),
                "write target.type Value or AverageValue: only CPU and memory have a utilization",
            ),
        )
    )


class Autoscaling(ApiModel):
    """Between which numbers of pods, and by which metrics."""

    min_replicas: Annotated[int, Field(ge=1, le=MOST_PODS)] | None = Field(None, description="1 by default.")
    max_replicas: Annotated[int, Field(ge=1, le=MOST_PODS)] = Field(
        description="Of both versions together, maxSurge aside."
    )
    metrics: Annotated[list[MetricSpec], Field(max_length=8)] | None = Field(
        None, description="As in autoscaling/v2; by default CPU at 80 percent of what is requested."
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
                "write maxReplicas of at least minReplicas",
            )
        )
    )

    @property
    def fewest(self) -> int:
        """Pods that there always are."""
        return self.min_replicas or 1

    def clamp(self, pods: int) -> int:
        """The number of pods nearest to this one that is allowed."""
        return max(self.fewest, min(pods, self.max_replicas))
