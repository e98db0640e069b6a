"""ModelRevision: one immutable version as it runs, and the record of its attempts; written only by the operator."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pointsman.api.cel import rules
from pointsman.api.modeldeployment import Model, Outcome, Text
from pointsman.api.modelruntime import Metrics, PodTemplate
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.api.values import ApiModel, Name, PortRef, Time

State = Literal["Candidate", "Stable", "Previous", "RolledBack", "Superseded", "Retired"]
Verdict = Literal["Harm", "Safe", "Undecided", "NoData", "Unanswerable"]

EVIDENCE_LIMIT = 524_288

_IMMUTABLE = "edit the ModelDeployment, which makes a new revision: this one does not change"
_FROZEN = rules(("self == oldSelf", _IMMUTABLE))


class RuntimeRef(ApiModel):
    """The runtime that a revision was made from."""

    name: Name = Field(description="Of the ModelRuntime.")
    generation: int = Field(description="Its generation when the revision was made.")


class ModelRevisionSpec(ApiModel):
    """What runs; nothing in it changes but the metric profile."""

    deployment: Name = Field(description="The ModelDeployment it belongs to.")
    model: Model = Field(json_schema_extra=_FROZEN)
    runtime: RuntimeRef | None = Field(None, json_schema_extra=_FROZEN)
    template: PodTemplate = Field(description="The finished pod template.", json_schema_extra=_FROZEN)
    port: PortRef = Field(description="Where requests go.")
    metrics: Metrics | None = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                (
                    "self.deployment == oldSelf.deployment && self.port == oldSelf.port"
                    " && has(self.runtime) == has(oldSelf.runtime)"
                ),
                _IMMUTABLE,
            ),
        )
    )


class Calibration(ApiModel):
    """What the stable version's hour before the attempt taught the gate; everything the bounds are computed with."""

    seconds: int = Field(0, description="Length of the history that was read.")
    pods: int = Field(0, description="Stable pods in it.")
    requests: int = Field(0, description="Requests in it.")
    bad: int | None = Field(None, description="Of those, failures; absent for latency.")
    base_rate: Text | None = Field(None, description="Stable's failure rate in percent, a decimal; absent for latency.")
    dispersion: Text = Field("1", description="phi: how many times more its counts vary than chance alone, a decimal.")
    pod_spread: Text = Field("0", description="tau: how far equal pods are apart, on the log scale, a decimal.")
    assumed: bool = Field(False, description="The history was too short: dispersion and spread are assumed.")


class SliceRecord(ApiModel):
    """One slice of an Agreement gate."""

    name: Annotated[str, Field(max_length=256)] = Field(description="The value of the header or field.")
    compared: int = Field(0, description="Requests that both versions answered.")
    disagreed: int = Field(0, description="Of those, answered differently.")
    harm_evidence: Text | None = Field(None, description="log e, as of the gate.")
    safety_evidence: Text | None = Field(None, description="log e, as of the gate.")


class GateRecord(ApiModel):
    """What one gate has seen, and what it says; of Agreement, requests are those compared, and bad ones disagreed."""

    name: Text = Field(description="The gate.")
    signal: Text = Field(description="What it measures.")
    verdict: Verdict
    candidate_requests: int = Field(0, description="Requests to the candidate that were counted.")
    candidate_bad: int = Field(0, description="Of those, failed or slow.")
    stable_requests: int = Field(0, description="Requests to stable in the same time.")
    stable_bad: int = Field(0, description="Of those, failed or slow.")
    estimate: Text | None = Field(None, description="How many times as bad as stable, as a decimal.")
    interval: Annotated[list[Text], Field(max_length=2)] | None = Field(None, description="Anytime-valid, 95 %.")
    harm_evidence: Text | None = Field(None, description="log e; Harm at the rollout's bound.")
    safety_evidence: Text | None = Field(None, description="log e; Safe at the bound.")
    needed_requests: int | None = Field(None, description="Candidate requests still expected until Safe.")
    slices: Annotated[list[SliceRecord], Field(max_length=52)] | None = Field(
        None, description="Of Agreement, by slice: `none` has requests without, `other` those of slices met later."
    )
    value: Text | None = Field(None, description="Of Threshold: the answer furthest out, a decimal.")
    held_since: Time | None = Field(None, description="Of Threshold: since when the answer is inside, or outside.")
    calibration: Calibration | None = Field(None, description="What was known of stable before; frozen at the start.")
    message: Text = Field("", description="The verdict in a sentence.")


class Attempt(ApiModel):
    """One try of this revision."""

    attempt: int = Field(description="From 1.")
    started_at: Time = Field(description="When it began.")
    policy: RolloutFields = Field(description="The effective policy, frozen at the start.")
    gates: Annotated[list[GateRecord], Field(max_length=20)] = Field(default_factory=list)
    ended_at: Time | None = Field(None, description="When it was decided.")
    outcome: Outcome | None = None
    reason: Text | None = Field(None, description="In one word, such as Harm.")
    gate: Text | None = Field(None, description="That decided.")
    decided_by: Text | None = Field(None, description="`evidence`, `readiness`, `spec` or the annotation.")
    message: Text = Field("", description="The decision in a sentence.")


class ModelRevisionStatus(ApiModel):
    """Its part in the deployment, and the record of its attempts."""

    state: State | None = None
    served_at: Time | None = Field(None, description="When it first had a ready pod as the stable revision.")
    attempts: Annotated[list[Attempt], Field(max_length=10)] = Field(default_factory=list)
    evidence: Annotated[str, Field(max_length=EVIDENCE_LIMIT)] | None = Field(
        None, description="Resumable evidence of the running attempt; opaque."
    )
    drift: Annotated[str, Field(max_length=EVIDENCE_LIMIT)] | None = Field(
        None, description="What is known of it as the version that serves alone, where it is watched; opaque."
    )
    looked_at: Time | None = Field(None, description="The last look that `evidence` contains.")
