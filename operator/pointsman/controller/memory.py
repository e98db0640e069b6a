"""What the operator remembers of a ModelDeployment between two reconciles; all of it can be lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.cluster.kinds import Json
from pointsman.controller.keys import Key
from pointsman.rollout.observed import Post
from pointsman.rollout.plan import Notice
from pointsman.rollout.record import Evidence
from pointsman.rollout.vigil import Vigil
from pointsman.signals.reading import Reading

_COUNTER = "deployment.kubernetes.io/revision"  # the Deployment controller's, a moment after every change of ours
_REFUSED_FOR = timedelta(seconds=60)  # then it is tried again: what was refused may be acceptable by now


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The API server's words on an object, and until when we believe them."""

    message: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Settled:
    """An object that already is what was asked for."""

    uid: str
    version: str  # resourceVersion at which `live` was computed
    live: str
    wanted: str


@dataclass
class Memory:
    """Of one ModelDeployment."""

    evidence: Evidence | None = None
    vigil: Vigil | None = None
    reading: Reading | None = None
    refusals: dict[str, Refusal] = field(default_factory=dict)
    settled: dict[tuple[str, str], Settled] = field(default_factory=dict)  # by kind and name
    pods: dict[str, tuple[int, int]] | None = None  # revision -> ready and warm pods at the last reconcile
    fallen: frozenset[str] = (
        frozenset()
    )  # revisions that had more ready pods before, and whose pods were not listed yet

    post: Post = field(default_factory=Post)  # what became of what webhooks were told
    unreadable: str | None = None  # what was said last of an object that does not read as its kind
    told_at: datetime | None = None  # when the ModelDeployment's status was last written
    tell_at: datetime | None = None  # when one that waits is to be written

    def refuse(self, name: str, message: str, now: datetime) -> bool:
        """Remember a refusal; whether it says something new."""
        before = self.refusals.get(name)
        self.refusals[name] = Refusal(message=message, until=now + _REFUSED_FOR)
        return before is None or before.message != message

    def refused(self, now: datetime) -> Mapping[str, str]:
        """The refusals that still count."""
        self.refusals = {name: refusal for name, refusal in self.refusals.items() if refusal.until > now}
        return {name: refusal.message for name, refusal in self.refusals.items()}

    def delivered(self, name: tuple[str, str]) -> None:
        """A webhook has taken a notification (its id and webhook)."""
        problems = {failed: why for failed, why in self.post.problems.items() if failed != name}
        self.post = Post(sent=self.post.sent | {name}, problems=problems)

    def undelivered(self, name: tuple[str, str], why: str) -> bool:
        """A webhook has not; whether that says something new."""
        if self.post.problems.get(name) == why:
            return False
        self.post = Post(sent=self.post.sent, problems={**self.post.problems, name: why})
        return True

    def forget_post(self, notices: Iterable[Notice], *statuses: ModelDeploymentStatus) -> None:
        """Remember no more than what is to be told, or stands in one of these statuses still."""
        owed = {(one.id, one.webhook) for one in notices}
        owed |= {(one.id, one.webhook) for status in statuses for one in status.notifications}
        problems = {name: why for name, why in self.post.problems.items() if name in owed}
        self.post = Post(sent=self.post.sent & owed, problems=problems)

    def wake_at(self) -> datetime | None:
        """When there is something to come back for: a refusal to be tried again, or a status that waits."""
        return min((at for at in (self.believed_until(), self.tell_at) if at is not None), default=None)

    def believed_until(self) -> datetime | None:
        """When the first refusal is to be tried again."""
        return min((refusal.until for refusal in self.refusals.values()), default=None)

    def is_settled(self, seen: Json, wanted: Json) -> bool:
        """Whether the object as seen is what the last apply of `wanted` made of it."""
        meta = seen["metadata"]
        name = (seen["kind"], meta["name"])
        settled = self.settled.get(name)
        if settled is None or settled.uid != meta["uid"] or settled.wanted != _digest(wanted):
            return False
        if settled.version == meta["resourceVersion"]:
            return True
        if settled.live != _content(seen):
            return False
        self.settled[name] = Settled(
            uid=settled.uid, version=meta["resourceVersion"], live=settled.live, wanted=settled.wanted
        )
        return True

    def settle(self, answer: Json, wanted: Json) -> None:
        """Remember what an apply of `wanted` made of the object."""
        meta = answer["metadata"]
        self.settled[answer["kind"], meta["name"]] = Settled(
            uid=meta["uid"], version=meta["resourceVersion"], live=_content(answer), wanted=_digest(wanted)
        )

    def unsettle(self, kind: str, name: str) -> None:
        """Forget an object."""
        self.settled.pop((kind, name), None)


class Memories:
    """The memory of every ModelDeployment."""

    def __init__(self) -> None:
        self._memories: dict[Key, Memory] = {}

    def of(self, key: Key) -> Memory:
        """Its memory; a new one for a new one."""
        return self._memories.setdefault(key, Memory())

    def get(self, key: Key) -> Memory | None:
        """Its memory, if there is one."""
        return self._memories.get(key)

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._memories.pop(key, None)


def _content(obj: Json) -> str:
    """A digest of what an apply can change: status and counters left out."""
    meta = obj["metadata"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key != _COUNTER}
    return _digest([meta.get("labels"), annotations, meta.get("ownerReferences"), obj.get("spec")])


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=dict).encode(), digest_size=16).hexdigest()
