"""What people ask for by annotation; each value names what it is for, so that one left behind in Git does nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pointsman.api import names
from pointsman.api.modeldeployment import Action

Verb = Literal["abort", "promote", "retry", "approve"]

_KEYS: dict[Verb, str] = {
    "abort": names.ABORT,
    "promote": names.PROMOTE,
    "retry": names.RETRY,
    "approve": names.APPROVE,
}
_KEPT = 10


@dataclass(frozen=True)
class Asked:
    """The actions of a ModelDeployment: those asked for and not done yet, and those done."""

    annotations: Mapping[str, str]
    done: Sequence[Action]

    def __call__(self, verb: Verb, value: str) -> bool:
        """Whether `verb` is asked for exactly this, and was not done before."""
        asked = self.annotations.get(_KEYS[verb], "").strip() == value
        return asked and not any(action.name == verb and action.value == value for action in self.done)

    @property
    def paused(self) -> bool:
        """Steps and deadline stand still."""
        return names.PAUSE in self.annotations


def attempt_value(revision: str, attempt: int) -> str:
    """What abort, promote and retry name: `<revision>/<attempt>`."""
    return f"{revision}/{attempt}"


def step_value(revision: str, attempt: int, step: int) -> str:
    """What approve names: `<revision>/<attempt>/<step>`."""
    return f"{revision}/{attempt}/{step}"


def command(verb: Verb, value: str, *, namespace: str, deployment: str) -> str:
    """The kubectl line that asks for it."""
    return f"kubectl annotate modeldeployment {deployment} -n {namespace} --overwrite {_KEYS[verb]}={value}"


def recorded(done: Sequence[Action], verb: Verb, value: str, now: datetime) -> list[Action]:
    """`done` with this one, the newest first."""
    return [Action(name=verb, value=value, at=now), *done][:_KEPT]
