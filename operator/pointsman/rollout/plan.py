"""What a decision wants done, in the order in which it is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.api.modelrevision import ModelRevisionStatus
from pointsman.api.names import MANAGER
from pointsman.rollout.record import Evidence
from pointsman.rollout.vigil import Vigil
from pointsman.rollout.weighing import Weighed
from pointsman.signals.reading import Watch


@dataclass(frozen=True, kw_only=True)
class Event:
    """An events.k8s.io/v1 Event on the ModelDeployment."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A CloudEvent that a webhook has still to be told; without `event` only its token is looked for.

    id       of the event, the same at every try
    webhook  names the webhook
    secret   namespace, name and key of the Secret that has its token
    """

    id: str
    webhook: str
    url: str
    allow_private: bool
    secret: tuple[str, str, str] | None = None
    event: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Apply:
    """Server-side apply, guarded by the resourceVersion that the decision saw; None: it was not there.

    event  told where the write changes something: what looks edited may be the API server's way to write the same
    """

    object: Mapping[str, Any]
    resource_version: str | None = None
    event: Event | None = None
    manager: str = MANAGER  # field manager


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Delete an object that the decision saw, if it is still that one."""

    api_version: str
    kind: str
    name: str
    uid: str


Write = Apply | Delete


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One decision.

    lower     what takes traffic from the candidate or restores stable; on 409 a live GET and a new decision, at once
    prepare   what a candidate needs before it gets traffic; refused by the API server: a refusal, and a new decision
    revisions statuses of ModelRevisions, before the status that relies on them
    status    the ModelDeployment's; the commit point of what follows. None: it is already that
    after     what raises the candidate's share, scales stable down or deletes
    notices   what webhooks have still to be told, as the status says once it is written
    """

    lower: tuple[Write, ...] = ()
    prepare: tuple[Write, ...] = ()
    revisions: Mapping[str, ModelRevisionStatus] = field(default_factory=dict)
    status: ModelDeploymentStatus | None = None
    after: tuple[Write, ...] = ()
    events: tuple[Event, ...] = ()
    notices: tuple[Notice, ...] = ()
    wake_at: datetime | None = None
    evidence: Evidence | None = None  # keep in memory until the next decision
    vigil: Vigil | None = None  # likewise
    weighed: tuple[Weighed, ...] = ()  # what the gates say now
    watch: Watch | None = None  # look at this every `interval`
    interval: timedelta | None = None
