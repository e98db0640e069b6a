"""Who has to be told what: what a decision changes, written into status for every webhook that wants it, until it is delivered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pointsman.api import conditions as c
from pointsman.api.modeldeployment import MOST_NOTIFICATIONS, ModelDeploymentStatus
from pointsman.api.notification import Notification, Notify, Occasion, Webhook
from pointsman.api.values import API_VERSION, GROUP
from pointsman.rollout import turns
from pointsman.rollout.draft import Draft
from pointsman.rollout.plan import Notice

GIVEN_UP_AFTER: Final = timedelta(hours=24)
_SUBJECT: Final[Mapping[Occasion, str]] = {"Drifted": "model"}


@dataclass(frozen=True, kw_only=True)
class Told:
    """Something that happened, of which people may want to hear."""

    occasion: Occasion
    revision: str
    version: str
    attempt: int | None = None
    reason: str | None = None
    gate: str | None = None
    message: str = ""


def told(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Told]:
    """What happened between two statuses, in its order: ends before beginnings."""
    for entry in turns.ended(before, after):
        yield Told(
            occasion=entry.outcome,
            revision=entry.revision,
            version=entry.version,
            attempt=entry.attempt,
            reason=entry.reason,
            gate=entry.gate,
            message=entry.message,
        )
    yield from _of_rollout(before, after)
    drifted = c.find(after.conditions, c.DRIFTED)
    if drifted is not None and drifted.status == "True" and after.stable is not None:
        was = c.find(before.conditions, c.DRIFTED)
        if was is None or was.status != "True":
            yield Told(
                occasion="Drifted",
                revision=after.stable.revision,
                version=after.stable.version,
                reason=drifted.reason,
                message=drifted.message,
            )


def _of_rollout(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Told]:
    now, candidate, then = after.rollout, after.candidate, before.rollout
    if now is None or candidate is None or now.phase == "RollingBack":
        return
    same = turns.goes_on(before, after)
    waits = now.phase == "AwaitingApproval"
    waited = same and then is not None and (then.phase, then.step) == (now.phase, now.step)
    happened: tuple[tuple[Occasion, bool], ...] = (
        ("Started", not same),
        ("AwaitingApproval", waits and not waited),
        ("Undecided", _reason(after) == "Undecided" and not (same and _reason(before) == "Undecided")),
    )
    for occasion, holds in happened:
        if holds:
            yield Told(
                occasion=occasion,
                revision=candidate.revision,
                version=candidate.version,
                attempt=now.attempt,
                message=now.message,
            )


def _reason(status: ModelDeploymentStatus) -> str:
    said = c.find(status.conditions, c.UP_TO_DATE)
    return "" if said is None else said.reason


def owed(draft: Draft, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status with what webhooks have still to be told, and how that goes."""
    before = draft.facts.observed.deployment.status
    waiting = [one for one in before.notifications if (one.id, one.webhook) not in draft.facts.observed.post.sent]
    for one in told(before, status):
        known = {
            digest(notify.webhook): None
            for notify in _asked(draft, one.revision, one.attempt)
            if one.occasion in notify.when
        }
        waiting += [_notification(draft, one, webhook) for webhook in known]
    kept = _given_up(draft, [one for one in waiting if _webhook(draft, one) is not None])
    conditions = [one for one in status.conditions if one.type != c.NOTIFIED]
    said = _condition(draft, kept)
    if said is not None:
        conditions += c.merge(before.conditions, [said])
    return status.model_copy(update={"notifications": kept, "conditions": conditions})


def notices(draft: Draft, status: ModelDeploymentStatus) -> tuple[Notice, ...]:
    """What the status owes, ready to be sent; before it, while an attempt runs, whether the tokens for it are there."""
    found = ((one, _webhook(draft, one)) for one in status.notifications)
    return (*_tokens(draft), *(_notice(draft, one, webhook) for one, webhook in found if webhook is not None))


def digest(webhook: Webhook) -> str:
    """Names a webhook without repeating its URL, which may be a secret by itself."""
    written = json.dumps(webhook.dump(), sort_keys=True)
    return hashlib.blake2b(written.encode(), digest_size=6).hexdigest()


def event(one: Notification, *, namespace: str, deployment: str) -> Mapping[str, Any]:
    """The CloudEvent (1.0, JSON)."""
    data = {
        "namespace": namespace,
        "modelDeployment": deployment,
        "occasion": one.occasion,
        "revision": one.revision,
        "version": one.version,
        "attempt": one.attempt,
        "reason": one.reason,
        "gate": one.gate,
        "message": one.message,
    }
    reversed_group = ".".join(reversed(GROUP.split(".")))
    return {
        "specversion": "1.0",
        "id": one.id,
        "source": f"/apis/{API_VERSION}/namespaces/{namespace}/modeldeployments/{deployment}",
        "type": f"{reversed_group}.{_SUBJECT.get(one.occasion, 'rollout')}.{one.occasion.lower()}",
        "time": one.dump()["at"],
        "subject": one.revision,
        "datacontenttype": "application/json",
        "data": {key: value for key, value in data.items() if value is not None},
    }


def _notification(draft: Draft, one: Told, webhook: str) -> Notification:
    """Its id is written with it: a decision that is repeated before it is written was told to nobody."""
    attempt = "" if one.attempt is None else f"/{one.attempt}"
    return Notification(
        id=f"{one.revision}{attempt}/{one.occasion}/{draft.now:%Y-%m-%dT%H:%M:%S.%fZ}",
        webhook=webhook,
        occasion=one.occasion,
        at=draft.now,
        revision=one.revision,
        version=one.version,
        attempt=one.attempt,
        reason=one.reason,
        gate=one.gate,
        message=one.message[:1024],
    )


def _notice(draft: Draft, one: Notification, webhook: Webhook) -> Notice:
    deployment = draft.facts.observed.deployment
    told = event(one, namespace=deployment.namespace, deployment=deployment.name)
    return _to(draft, webhook, id_=one.id, told=told)


def _tokens(draft: Draft) -> tuple[Notice, ...]:
    """What the running attempt will need: a Secret that is missing is told now, not when a version was rolled back."""
    running = draft.running()
    if running is None:
        return ()
    revision, attempt = running[0], running[1].attempt
    webhooks = {digest(one.webhook): one.webhook for one in _asked(draft, revision, attempt)}
    return tuple(
        _to(draft, webhook, id_=f"{revision}/{attempt}/token")
        for webhook in webhooks.values()
        if webhook.secret_ref is not None
    )


def _to(draft: Draft, webhook: Webhook, *, id_: str, told: Mapping[str, Any] | None = None) -> Notice:
    secret = webhook.secret_ref
    return Notice(
        id=id_,
        webhook=digest(webhook),
        url=webhook.url,
        allow_private=bool(webhook.allow_private),
        secret=None if secret is None else (draft.facts.observed.deployment.namespace, secret.name, secret.key),
        event=told,
    )


def _asked(draft: Draft, revision: str, attempt: int | None) -> Sequence[Notify]:
    """Who wants to be told: as the attempt's policy says, or where none is concerned, the one in force."""
    frozen = next((one for one in draft.record(revision).attempts if one.attempt == attempt), None)
    return (frozen.policy.notify or ()) if frozen is not None else _in_force(draft)


def _in_force(draft: Draft) -> Sequence[Notify]:
    return draft.facts.policy.fields.notify or ()


def _webhook(draft: Draft, one: Notification) -> Webhook | None:
    """Where it goes; None: nobody wants it any more."""
    for notify in (*_asked(draft, one.revision, one.attempt), *_in_force(draft)):
        if digest(notify.webhook) == one.webhook:
            return notify.webhook
    return None


def _given_up(draft: Draft, waiting: list[Notification]) -> list[Notification]:
    """Without what is too old, and the oldest of too many."""
    recent = [one for one in waiting if draft.now - one.at < GIVEN_UP_AFTER]
    kept = recent[-MOST_NOTIFICATIONS:]
    draft.wakes += [one.at + GIVEN_UP_AFTER for one in kept]
    lost = [one for one in waiting if one not in kept]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        said = f"given up, never delivered: {lost[0].occasion} of {lost[0].revision}{more}"
        draft.event("NotificationDropped", said, action="Notify", warning=True)
    return kept


def _condition(draft: Draft, waiting: Sequence[Notification]) -> c.Condition | None:
    """Whether webhooks take what they are told; None where nobody is told anything."""
    if not waiting and not _in_force(draft):
        return None
    generation, problems = draft.facts.observed.deployment.generation, draft.facts.observed.post.problems
    events = [(one, _webhook(draft, one)) for one in waiting]
    failing = [
        (one.id, webhook) for one, webhook in events if webhook is not None and (one.id, one.webhook) in problems
    ]
    tokens = [one for one in _tokens(draft) if (one.id, one.webhook) in problems]
    if failing:
        (name, webhook), reason = failing[0], "Undelivered"
        url, why, said = webhook.url, problems[name, digest(webhook)], f"undelivered: {len(failing)}. "
    elif tokens:
        url, why, said, reason = tokens[0].url, problems[tokens[0].id, tokens[0].webhook], "", "NoToken"
    else:
        return c.condition(c.NOTIFIED, holds=True, reason="Notified", now=draft.now, generation=generation)
    message = f"{said}The webhook at {urlsplit(url).hostname}: {why}; it is tried again"
    return c.condition(c.NOTIFIED, holds=False, reason=reason, message=message, now=draft.now, generation=generation)
