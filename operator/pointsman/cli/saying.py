"""Small words that all views of a rollout share: ages, arms, steps and what each is called."""

from __future__ import annotations

from datetime import datetime, timedelta

from pointsman.api.modeldeployment import ArmStatus
from pointsman.api.rolloutpolicy import Step
from pointsman.rollout.policy import DEFAULT_HOLD

VERDICTS = {"Safe": "green", "Harm": "red", "Undecided": "yellow", "NoData": "magenta", "Unanswerable": "magenta"}
"""A verdict's colour."""
OUTCOMES = {"Promoted": "green", "RolledBack": "red", "Aborted": "yellow", "Superseded": "dim"}
"""An outcome's colour."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))
_KEPT = 2  # so many units of a smaller kind are said in it: 90m, 47h


def age(then: datetime | None, now: datetime) -> str:
    """How long ago, as kubectl says it: `45s`, `90m`, `12d`."""
    return "" if then is None else lasting(now - then)


def lasting(time: timedelta) -> str:
    """A length of time in one unit: `45s`, `90m`, `12d`."""
    seconds = max(0, int(time.total_seconds()))
    for unit, letter in _UNITS:
        if seconds >= _KEPT * unit:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def moment(at: datetime) -> str:
    """A point in time: `2026-11-21 14:05:09Z`."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def pods(arm: ArmStatus) -> str:
    """How many of an arm's pods are ready: `3 of 4 pods ready`."""
    return f"{arm.ready_replicas} of {arm.replicas} {'pod' if arm.replicas == 1 else 'pods'} ready"


def step(one: Step) -> str:
    """A step as people say it: `canary 5 %, held for 5m`."""
    if one.approval is not None:
        return "approval"
    kind, share = ("shadow", one.shadow) if one.shadow is not None else ("canary", one.canary)
    percent = "" if share is None else f" {share.percent} %"
    return f"{kind}{percent}, held for {one.hold or DEFAULT_HOLD}"
