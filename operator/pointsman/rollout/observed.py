"""What a decision looks at: one ModelDeployment and everything that belongs to it, as last seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pointsman.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from pointsman.api.modelrevision import ModelRevisionSpec, ModelRevisionStatus
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.rollout.record import Evidence
from pointsman.rollout.vigil import Vigil
from pointsman.signals.reading import Reading

Json = Mapping[str, Any]
"""A Kubernetes object as it came from the API server."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The ModelDeployment itself."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    annotations: Mapping[str, str]
    written: Json  # `spec` as the user wrote it: identity is a hash over it
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A ModelRevision."""

    name: str
    uid: str
    resource_version: str
    created_at: datetime
    spec: ModelRevisionSpec
    status: ModelRevisionStatus


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A ModelRuntime."""

    name: str
    generation: int
    spec: ModelRuntimeSpec


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod of an arm, listed only when the arm is not as ready as it should be."""

    name: str
    created_at: datetime
    ready_since: datetime | None = None
    problem: str | None = None  # why it is not ready, in the pod's own words: reason and message
    restarts: int = 0  # of its containers
    restarted_at: datetime | None = None  # when a container of it last died
    ran_for: timedelta | None = None  # how long that container had run


@dataclass(frozen=True, kw_only=True)
class Holder:
    """An older ModelDeployment that already has one of our hostnames on one of our Gateways."""

    hostname: str
    gateway: str  # namespace/name
    deployment: str  # namespace/name


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A Gateway that exists."""

    gateway_class: str
    features: frozenset[str] | None = None  # what its class supports; None: the class says nothing, or is not there


@dataclass(frozen=True, kw_only=True)
class Post:
    """What became of what webhooks were told, each by the notification's id and webhook; forgotten when we start anew."""

    sent: frozenset[tuple[str, str]] = frozenset()
    problems: Mapping[tuple[str, str], str] = field(default_factory=dict)  # of those that failed the last time, why


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the operator was installed with, as far as decisions and rendering need it."""

    storage_initializer: str
    inspector_image: str | None = None  # none: nothing can be mirrored
    inspector_pull_secrets: tuple[str, ...] = ()  # of the models' namespaces
    gateway_metrics: str | None = None
    scrape_labels: tuple[str, str] = ("pointsman_dev_deployment", "pointsman_dev_revision")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that `decide` knows. What is absent here is absent in the cluster, as far as we know."""

    deployment: Deployment
    settings: Settings
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    workloads: Mapping[str, Json] = field(default_factory=dict)  # apps/v1 Deployments by revision
    autoscalers: Mapping[str, Json] = field(default_factory=dict)  # HPAs of those Deployments by revision
    services: Mapping[str, Json] = field(default_factory=dict)  # by name: revisions' and the stable one
    route: Json | None = None  # that we made
    users_route: Json | None = None  # that spec.traffic.routeRef names and whose label names the ModelDeployment
    pods: Mapping[str, tuple[Pod, ...]] = field(default_factory=dict)  # by revision; absent: not listed
    runtimes: Mapping[str, Runtime] = field(default_factory=dict)
    policies: Mapping[str, RolloutPolicySpec] = field(default_factory=dict)
    gateways: Mapping[str, Gateway] = field(default_factory=dict)  # by namespace/name
    holder: Holder | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)  # revision -> why the API server refused its objects
    evidence: Evidence | None = None  # in memory since the last look; else it is resumed from the revision
    vigil: Vigil | None = None  # likewise, of a version that serves alone
    post: Post = field(default_factory=Post)
    reading: Reading | None = None  # a fresh look, not folded in yet
