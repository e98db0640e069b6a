"""A ModelDeployment with its ModelRevisions, as the commands that show and steer rollouts see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pointsman.api import conditions as c
from pointsman.api.modeldeployment import ArmStatus, HistoryEntry, ModelDeploymentSpec, ModelDeploymentStatus
from pointsman.api.modelrevision import Attempt, ModelRevisionSpec, ModelRevisionStatus
from pointsman.cli.faults import ClusterError
from pointsman.rollout.identity import revision_name

Json = Mapping[str, Any]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A ModelRevision."""

    name: str
    spec: ModelRevisionSpec
    status: ModelRevisionStatus

    def attempt(self, number: int | None = None) -> Attempt | None:
        """Its attempt of this number; without one the newest."""
        found = [one for one in self.status.attempts if number in (None, one.attempt)]
        return found[-1] if found else None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A ModelDeployment and its revisions by name."""

    namespace: str
    name: str
    created_at: datetime
    generation: int
    written: Json
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    revisions: Mapping[str, Revision] = field(default_factory=dict)

    def condition(self, kind: str) -> c.Condition | None:
        """One of its conditions."""
        return c.find(self.status.conditions, kind)

    @property
    def target(self) -> str:
        """The revision that the spec names."""
        return revision_name(self.name, self.written)

    @property
    def judged(self) -> bool:
        """Whether the operator has seen the spec as it is now."""
        return self.status.observed_generation == self.generation

    @property
    def running(self) -> tuple[ArmStatus, int] | None:
        """The candidate whose attempt is open, and the attempt's number."""
        candidate, rollout = self.status.candidate, self.status.rollout
        if candidate is None or rollout is None or rollout.phase == "RollingBack":
            return None
        return candidate, rollout.attempt

    @property
    def attempt(self) -> Attempt | None:
        """The record of the attempt that runs."""
        candidate, rollout = self.status.candidate, self.status.rollout
        if candidate is None or rollout is None or candidate.revision not in self.revisions:
            return None
        return self.revisions[candidate.revision].attempt(rollout.attempt)

    def ended(self, revision: str, attempt: int | None = None) -> HistoryEntry | None:
        """How an attempt of a revision ended; without a number the newest."""
        return next(
            (e for e in self.status.history if e.revision == revision and attempt in (None, e.attempt)),
            None,
        )


def model(deployment: Json, revisions: Iterable[Json] = ()) -> Model:
    """From objects as the API server gives them.

    Raises:
        ClusterError: they were written by another version of Pointsman and cannot be read.
    """
    meta = deployment["metadata"]
    return Model(
        namespace=meta["namespace"],
        name=meta["name"],
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
        generation=meta.get("generation", 1),
        written=deployment["spec"],
        spec=_read(ModelDeploymentSpec, deployment, "spec"),
        status=_read(ModelDeploymentStatus, deployment, "status"),
        revisions={one.name: one for one in map(revision, revisions) if one.spec.deployment == meta["name"]},
    )


def revision(obj: Json) -> Revision:
    """A ModelRevision, parsed.

    Raises:
        ClusterError: as `model`.
    """
    return Revision(
        name=obj["metadata"]["name"],
        spec=_read(ModelRevisionSpec, obj, "spec"),
        status=_read(ModelRevisionStatus, obj, "status"),
    )


def _read(kind: type[M], obj: Json, part: str) -> M:
    try:
        return kind.model_validate(obj.get(part) or {})
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in (part, *first["loc"]))
        meta = obj["metadata"]
        raise ClusterError(
            f"{obj['kind']} {meta['namespace']}/{meta['name']}: {where}: {first['msg']}: it was written by another version of"
            " Pointsman: use the `pointsman` of the version that runs in this cluster"
        ) from invalid
