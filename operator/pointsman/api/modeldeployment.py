"""ModelDeployment: which version of a model should serve; written by the ML team, its status by the operator."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pointsman.api.autoscaling import MOST_PODS, Autoscaling
from pointsman.api.cel import matching, rules
from pointsman.api.conditions import Conditions
from pointsman.api.modelruntime import Metrics, PodTemplate
from pointsman.api.notification import Notification
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.api.values import ApiModel, Label, Name, Percent, PortRef, Time

Phase = Literal["Preparing", "Warming", "Shadow", "Canary", "AwaitingApproval", "Promoting", "RollingBack"]
Outcome = Literal["Promoted", "RolledBack", "Aborted", "Superseded"]

NAME_LIMIT = 54  # of a ModelDeployment: `<name>-<8 hex>` has to be a label value and the name of a Service (63)

MOST_NOTIFICATIONS = 20  # of a ModelDeployment that are not delivered yet

Text = Annotated[str, Field(max_length=2048)]


class ModelFormat(ApiModel):
    """The format of the model's files."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="As the ModelRuntime calls it.")


StorageUri = Annotated[
    str,
    matching(
        r"^[a-z][a-z0-9+.-]*://[^/\s]\S*$",
        "write a URI such as pvc://claim/path, oci://registry/image:tag or https://host/path",
        max_length=2048,
        more=(
            (
                (
                    "!self.startsWith('pvc:') || (self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/|$)')"
                    " && !self.matches('/[.][.]?(/|$)'))"
                ),
                "write pvc://claim/path: a PersistentVolumeClaim of this namespace and a path in it without `.` and `..`",
            ),
        ),
    ),
]


FilePath = Annotated[
    str,
    matching(
        r"^[^/\s]\S*$",
        "write the path of a file beside the model, such as reference.json, without `/` at the start and `..`",
        max_length=512,
        also=r"!self.matches('(^|/)[.][.]?(/|$)')",
    ),
]


class Reference(ApiModel):
    """What inputs and predictions looked like in training: a file that `pointsman reference build` makes."""

    config_map: Name | None = Field(None, description="A ConfigMap of this namespace with the key `reference.json`.")
    path: FilePath | None = Field(None, description="A file beside the model, at the storageUri.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.configMap) != has(self.path)", "write exactly one of `configMap` and `path` in `reference`"),
        )
    )


class Model(ApiModel):
    """Which model, and where its files are."""

    version: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="The name people use for it.")
    format: ModelFormat | None = Field(None, description="Chooses the runtime where none is named.")
    storage_uri: StorageUri | None = Field(
        None,
        description="pvc://claim/path, oci://image or what the storage initializer fetches; none: the image has it.",
    )
    reference: Reference | None = Field(
        None, description="What inputs and predictions looked like in training; drift is measured from it."
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.reference) || !has(self.reference.path) || has(self.storageUri)",
                "write reference.configMap, or a `storageUri`: without one there is nothing beside the model",
            ),
        )
    )


GroupName = Annotated[
    str,
    matching(
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$",
        "write an API group, such as gateway.networking.k8s.io",
        max_length=253,
    ),
]
KindName = Annotated[
    str, matching("^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", "write a kind, such as Gateway", max_length=63)
]


class ParentRef(ApiModel):
    """A Gateway, as in an HTTPRoute's parentRefs."""

    group: GroupName | None = Field(None, description="gateway.networking.k8s.io by default.")
    kind: KindName | None = Field(None, description="Gateway by default.")
    name: Name = Field(description="Of the Gateway.")
    namespace: Label | None = Field(None, description="The ModelDeployment's own by default.")
    section_name: Name | None = Field(None, description="One listener of it; all by default.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Listeners of this port; all by default."
    )


Hostname = Annotated[
    str,
    matching(
        r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "write a host name in lower case without port, such as churn.example.com or *.example.com",
        max_length=253,
        also="!self.matches('^[0-9.]+$')",
    ),
]


_SAME = " && ".join(
    f"((!has(a.{field}) && !has(b.{field})) || (has(a.{field}) && has(b.{field}) && a.{field} == b.{field}))"
    for field in ("kind", "group", "__namespace__", "sectionName", "port")  # namespace is a word of CEL
)


class RouteRef(ApiModel):
    """An HTTPRoute of this namespace that somebody else writes."""

    name: Name = Field(description="Of the HTTPRoute.")


class Traffic(ApiModel):
    """Where requests come in; without it the model is a plain Service."""

    parent_refs: Annotated[list[ParentRef], Field(min_length=1, max_length=8)] = Field(
        default_factory=list,
        description="Gateways of a route that Pointsman makes.",
        json_schema_extra=rules(
            (
                f"self.all(a, self.exists_one(b, a.name == b.name && {_SAME}))",
                "write each Gateway once, or give each entry its own sectionName or port",
            )
        ),
    )
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(
        default_factory=list,
        description="Host names; none: every host of the Gateways.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    route_ref: RouteRef | None = Field(
        None,
        description=(
            "Instead of parentRefs: a route of yours, labelled `pointsman.dev/deployment: <this name>`. In the rules that have"
            " a backendRef to the Service of this name, the versions share its part; all else in the route is yours."
        ),
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.parentRefs) != has(self.routeRef)",
                "write `parentRefs`, the Gateways of a route that Pointsman makes, or `routeRef`, a route of yours: one of them",
            ),
            (
                "!(has(self.hostnames) && has(self.routeRef))",
                "remove `hostnames`: the route that `routeRef` names has its own",
            ),
        )
    )


class InlineRollout(RolloutFields):
    """A policy by name, and fields that win over it; `steps` and `gates` replace the policy's lists whole."""

    policy: Name | None = Field(None, description="A RolloutPolicy.")


_ALONE = "(!has(self.runtime) && !has(self.model.format))"  # a template that is the whole pod


class ModelDeploymentSpec(ApiModel):
    """Which version of a model should serve, how, and how a new version takes over."""

    model: Model
    runtime: Name | None = Field(None, description="A ModelRuntime; by default the one with autoSelect for the format.")
    template: PodTemplate | None = Field(
        None, description="PodTemplateSpec laid over the runtime's; without runtime and format it is the whole pod."
    )
    port: PortRef | None = Field(None, description="With `template` alone: the port requests go to.")
    metrics: Metrics | None = Field(None, description="With `template` alone: what the container exports.")
    replicas: Annotated[int, Field(ge=1, le=MOST_PODS)] | None = Field(
        None, description="Pods of the model; 1 by default."
    )
    autoscaling: Autoscaling | None = Field(None, description="Instead of `replicas`: the number follows the load.")
    traffic: Traffic | None = None
    rollout: InlineRollout | None = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"has(self.template) || !{_ALONE}",
                "say how to serve it: name a `runtime`, give `model.format`, or write a `template`",
            ),
            (
                f"!{_ALONE} || has(self.port)",
                "write `port`, the port requests go to: a `template` alone does not say it",
            ),
            (
                f"{_ALONE} || !(has(self.port) || has(self.metrics))",
                "remove `port` and `metrics`, which the runtime says; they belong to a `template` alone",
            ),
            (
                "!(has(self.replicas) && has(self.autoscaling))",
                "write `replicas` or `autoscaling`, not both: with `autoscaling` the number of pods follows the load",
            ),
            (
                (
                    "!(has(self.rollout) && has(self.rollout.capacity) && has(self.rollout.capacity.maxSurge)"
                    " && (self.rollout.capacity.maxSurge == 0 || self.rollout.capacity.maxSurge == '0%'))"
                    " || (has(self.replicas) && self.replicas > 1)"
                    " || (has(self.autoscaling) && has(self.autoscaling.minReplicas) && self.autoscaling.minReplicas > 1)"
                ),
                "write maxSurge of at least 1, or more replicas: one pod cannot make room for the next version",
            ),
        )
    )


class ArmStatus(ApiModel):
    """One arm of a rollout as it runs."""

    revision: Text = Field(description="The ModelRevision.")
    version: Text = Field(description="What the user calls it.")
    replicas: int = Field(0, description="Pods that are asked for.")
    ready_replicas: int = Field(0, description="Pods that are ready.")


class RolloutStatus(ApiModel):
    """Where the running attempt stands. All waits are absolute times."""

    attempt: int = Field(description="Of this revision, from 1.")
    phase: Phase
    replicas: int | None = Field(
        None, description="With `autoscaling`: the pods that all of the traffic needs, from which both arms' follow."
    )
    step: int = Field(0, description="The policy's step, from 1; 0 before the first.")
    percent: Percent = Field(0, description="The candidate's share that the operator has decided on.")
    shadow_percent: Percent = Field(0, description="The share of the requests that is mirrored.")
    reason: Text | None = Field(None, description="While Promoting: what decided it.")
    started_at: Time = Field(description="When the attempt began.")
    step_started_at: Time | None = Field(None, description="When the step was asked for.")
    hold_started_at: Time | None = Field(
        None, description="From when on the step's share is held; a moment ahead while the gateway takes it."
    )
    deadline_at: Time | None = Field(None, description="When `whenUndecided` rules.")
    clock_stopped_at: Time | None = Field(None, description="The deadline stands still since then.")
    unready_since: Time | None = Field(None, description="Since when the candidate is not ready.")
    unready_seconds: int = Field(0, description="How long it was not ready before that, in total.")
    returns: int = Field(0, description="How often it lost its last ready pod while it had traffic.")
    restarts: int = Field(0, description="Restarts of warm candidate containers in this attempt.")
    restarted_at: Time | None = Field(None, description="The last of them.")
    stable_unready_since: Time | None = Field(None, description="Since when stable has no ready pod.")
    outlook: Text | None = Field(
        None, description="Set where the policy is not expected to reach a verdict at this traffic, and what would do."
    )
    message: Text = Field("", description="What it waits for, and the line to type where a person is meant.")


class KeptPods(ApiModel):
    """With `autoscaling`, after a rollout: so many pods stay until the metrics show all of the traffic."""

    replicas: int = Field(description="So many.")
    until: Time = Field(description="Until then at most.")


class Action(ApiModel):
    """Something a person asked for by annotation, and when it was done."""

    name: Literal["abort", "promote", "retry", "approve"]
    value: Text = Field(description="What the annotation said.")
    at: Time = Field(description="When it was acted on.")


class HistoryEntry(ApiModel):
    """How an attempt ended."""

    version: Text = Field(description="What the user calls it.")
    revision: Text = Field(description="The ModelRevision.")
    attempt: int = Field(description="Which of its attempts.")
    outcome: Outcome
    reason: Text = Field(description="In one word, such as Harm.")
    gate: Text | None = Field(None, description="That decided.")
    at: Time = Field(description="When it ended.")
    message: Text = Field("", description="The counts, or what else it was, in a sentence.")


class ModelDeploymentStatus(ApiModel):
    """What serves, what is being tried, and why."""

    observed_generation: int | None = Field(None, description="The generation of the spec that this speaks of.")
    url: Text | None = Field(None, description="Where the model answers, with a host name.")
    stable: ArmStatus | None = None
    candidate: ArmStatus | None = None
    previous: ArmStatus | None = None
    previous_until: Time | None = Field(None, description="Until then the previous revision keeps spare pods.")
    rollout: RolloutStatus | None = None
    kept_pods: KeptPods | None = None
    actions: Annotated[list[Action], Field(max_length=10)] = Field(default_factory=list)
    history: Annotated[list[HistoryEntry], Field(max_length=10)] = Field(default_factory=list)
    notifications: Annotated[list[Notification], Field(max_length=MOST_NOTIFICATIONS)] = Field(
        default_factory=list, description="What webhooks have still to be told; the oldest first."
    )
    conditions: Conditions = Field(default_factory=list)
