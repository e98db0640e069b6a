"""ModelDeployment: which version of a model should serve; written by the ML team, its status by the operator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pointsman.api.conditions import Conditions
from pointsman.api.modelruntime import Metrics, PodTemplate
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.api.values import ApiModel, Name, Percent, PortRef, Time, rules

Phase = Literal["Preparing", "Warming", "Canary", "AwaitingApproval", "Promoting", "RollingBack"]
Outcome = Literal["Promoted", "RolledBack", "Aborted", "Superseded"]

NAME_LIMIT = 54  # of a ModelDeployment: `<name>-<8 hex>` has to be a label value and the name of a Service (63)

Text = Annotated[str, Field(max_length=2048)]


class ModelFormat(ApiModel):
    """The format of the model's files."""

    name: Annotated[str, Field(min_length=1, max_length=63)]


class Model(ApiModel):
    """Which model, and where its files are."""

    version: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="The name people use for it.")
    format: ModelFormat | None = Field(None, description="Chooses the runtime where none is named.")
    storage_uri: Annotated[str, Field(min_length=1, max_length=2048)] | None = Field(
        None,
        description="pvc://claim/path, oci://image or what the storage initializer fetches; none: the image has it.",
        json_schema_extra=rules(
            (
                "self.matches('^[a-z][a-z0-9+.-]*://[^/]')",
                "write a URI such as pvc://claim/path, oci://registry/image:tag or https://host/path",
            ),
        ),
    )


class ParentRef(ApiModel):
    """A Gateway, as in an HTTPRoute's parentRefs."""

    group: Annotated[str, Field(max_length=253)] | None = None
    kind: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    name: Name
    namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    section_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None


Hostname = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]


class Traffic(ApiModel):
    """Where requests come in; without it the model is a plain Service."""

    parent_refs: Annotated[list[ParentRef], Field(min_length=1, max_length=8)] = Field(description="Gateways.")
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(
        default_factory=list,
        description="Host names; none: every host of the Gateways.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class InlineRollout(RolloutFields):
    """A policy by name, and fields that win over it; `steps` and `gates` replace the policy's lists whole."""

    policy: Name | None = Field(None, description="A RolloutPolicy.")


class ModelDeploymentSpec(ApiModel):
    """Which version of a model should serve, how, and how a new version takes over."""

    model: Model
    runtime: Name | None = Field(None, description="A ModelRuntime; by default the one with autoSelect for the format.")
    template: PodTemplate | None = Field(
        None, description="PodTemplateSpec laid over the runtime's; without runtime and format it is the whole pod."
    )
    port: PortRef | None = Field(None, description="With `template` alone: the port requests go to.")
    metrics: Metrics | None = Field(None, description="With `template` alone: what the container exports.")
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="Pods of the model; 1 by default.")
    traffic: Traffic | None = None
    rollout: InlineRollout | None = None

    model_config = {
        "json_schema_extra": rules(
            (
                "has(self.runtime) || has(self.template) || has(self.model.format)",
                "say how to serve it: name a `runtime`, give `model.format`, or write a `template`",
            ),
            (
                "has(self.runtime) || has(self.model.format) || !has(self.template) || has(self.port)",
                "a `template` alone needs `port`: the port requests go to",
            ),
            (
                "(!has(self.runtime) && !has(self.model.format)) || (!has(self.port) && !has(self.metrics))",
                "`port` and `metrics` belong to a `template` alone; here the runtime says them",
            ),
        )
    }


class ArmStatus(ApiModel):
    """One arm of a rollout as it runs."""

    revision: Text
    version: Text
    replicas: int = 0
    ready_replicas: int = 0


class RolloutStatus(ApiModel):
    """Where the running attempt stands. All waits are absolute times."""

    attempt: int
    phase: Phase
    step: int = Field(0, description="The policy's step, from 1; 0 before the first.")
    percent: Percent = Field(0, description="The candidate's share that the operator has decided on.")
    started_at: Time
    step_started_at: Time | None = None
    hold_started_at: Time | None = Field(None, description="Since when the step's share is on, accepted and served.")
    deadline_at: Time | None = Field(None, description="When `whenUndecided` rules.")
    clock_stopped_at: Time | None = Field(None, description="The deadline stands still since then.")
    unready_since: Time | None = Field(None, description="Since when the candidate is not ready.")
    unready_seconds: int = Field(0, description="How long it was not ready before that, in total.")
    returns: int = Field(0, description="How often it lost its last ready pod while it had traffic.")
    restarts: int = Field(0, description="Restarts of warm candidate containers in this attempt.")
    restarted_at: Time | None = Field(None, description="The last of them.")
    stable_unready_since: Time | None = Field(None, description="Since when stable has no ready pod.")
    message: Text = ""


class Action(ApiModel):
    """Something a person asked for by annotation, and when it was done."""

    name: Literal["abort", "promote", "retry", "approve"]
    value: Text
    at: Time


class HistoryEntry(ApiModel):
    """How an attempt ended."""

    version: Text
    revision: Text
    attempt: int
    outcome: Outcome
    reason: Text
    gate: Text | None = None
    at: Time
    message: Text = ""


class ModelDeploymentStatus(ApiModel):
    """What serves, what is being tried, and why."""

    observed_generation: int | None = None
    url: Text | None = None
    stable: ArmStatus | None = None
    candidate: ArmStatus | None = None
    previous: ArmStatus | None = None
    previous_until: Time | None = Field(None, description="Until then the previous revision keeps spare pods.")
    rollout: RolloutStatus | None = None
    actions: Annotated[list[Action], Field(max_length=10)] = []
    history: Annotated[list[HistoryEntry], Field(max_length=10)] = []
    conditions: Conditions = []
