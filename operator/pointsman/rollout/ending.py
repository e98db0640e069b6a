"""How an attempt ends before its time: by harm, by a person, by the spec, or because the candidate cannot serve."""

from __future__ import annotations

from pointsman.api.modeldeployment import Outcome
from pointsman.api.modelrevision import State
from pointsman.rollout import scaling
from pointsman.rollout.draft import Draft

_STATES: dict[Outcome, State] = {"RolledBack": "RolledBack", "Aborted": "RolledBack", "Superseded": "Superseded"}
_SEPARATOR = "/"


def end(draft: Draft, outcome: Outcome, *, reason: str, message: str, decided_by: str, gate: str | None = None) -> None:
    """Take the traffic back: the attempt is over, its evidence is closed, stable gets everything."""
    if draft.candidate is None or draft.rollout is None:
        raise AssertionError("no attempt runs")
    revision = draft.candidate
    draft.close(outcome, reason=reason, message=message, decided_by=decided_by, gate=gate)
    draft.set_state(revision, _STATES[outcome])
    draft.final = annotation(revision, draft.rollout.attempt, outcome, gate or reason)
    scaling.for_stable(draft)
    draft.update(phase="RollingBack", percent=0, hold_started_at=None, message=message[:2048])
    draft.evidence = None
    version = draft.version(revision)
    text = f"version {version} (revision {revision}, attempt {draft.rollout.attempt}): {message}"
    draft.event(outcome, text, action="RollBack", warning=outcome != "Superseded")


def annotation(revision: str, attempt: int, outcome: Outcome, why: str) -> str:
    """`<revision>/<attempt>/<outcome>/<gate or reason>`: the decision that a lowering write commits."""
    return _SEPARATOR.join((revision, str(attempt), outcome, why))


def committed(decided: str | None, revision: str, attempt: int) -> tuple[Outcome, str] | None:
    """The outcome and its gate or reason that were already committed for this attempt, if any."""
    parts = (decided or "").split(_SEPARATOR, 3)
    if len(parts) != 4 or parts[0] != revision or parts[1] != str(attempt):  # noqa: PLR2004  as `annotation` writes it
        return None
    outcome = next((known for known in _STATES if known == parts[2]), None)
    return None if outcome is None else (outcome, parts[3])
