"""What goes on while a version serves alone: looks at its inputs and answers, what is said of them, and when it is taken back."""

from __future__ import annotations

from dataclasses import replace

from pointsman.api import conditions as c
from pointsman.api import names
from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.rollout import course, readiness, vigil
from pointsman.rollout.draft import Draft
from pointsman.rollout.folding import FRESH_LOOKS
from pointsman.rollout.policy import Watching
from pointsman.rollout.record import is_due
from pointsman.rollout.vigil import Vigil
from pointsman.signals.profiles import ServedQuestion
from pointsman.signals.reading import Watch, stale_after

Says = tuple[bool | None, str, str]
"""Whether a condition holds (None: Unknown), its reason and its message."""

_NO_CAUSE = "it serves alone, so that no other version was compared and no error rate is claimed for the cause"


def look(draft: Draft) -> None:
    """Fold a fresh look in; a model that alone is found to have changed is taken back where the policy says so."""
    watching = draft.watching
    if watching is None or draft.stable is None:
        return
    known, reading = _known(draft, draft.stable), draft.facts.observed.reading
    if reading is not None and vigil.GATE in reading.gates:
        known = vigil.fold(known, reading, watching, now=draft.now)
    draft.vigil = known
    if _taken_back(draft, watching, known):
        attempt = draft.record(draft.stable).attempts[-1]
        draft.vigil = None
        course.go_back(
            draft,
            attempt,
            "RolledBack",
            reason="PredictionDrift",
            message=f"{known.said}; back to the previous revision, as watch.onPredictionDrift says; {_NO_CAUSE}",
            decided_by="evidence",
        )


def _known(draft: Draft, stable: str) -> Vigil:
    """What is known in memory, else what was written."""
    kept = draft.facts.observed.vigil
    if kept is not None and kept.revision == stable:
        return kept
    written = draft.record(stable).drift
    return Vigil(revision=stable) if written is None else vigil.load(written, revision=stable)


def _taken_back(draft: Draft, watching: Watching, known: Vigil) -> bool:
    """Whether the previous revision takes over: not before it was written why, so that a crash comes to the same end."""
    if watching.on_prediction_drift != "Rollback" or known.kind != "Model" or known.saved_kind != "Model":
        return False
    said = c.find(draft.facts.observed.deployment.status.conditions, c.DRIFTED)
    told = said is not None and (said.status, said.reason) == ("True", "Model")
    kept = draft.previous is not None and draft.facts.pods(draft.previous).exists
    attempts = () if draft.stable is None else draft.record(draft.stable).attempts
    return told and kept and bool(attempts)


def watch(draft: Draft) -> Watch | None:
    """What to look at while a version serves alone: nothing before its requests are mirrored."""
    watching = draft.watching
    if watching is None or draft.stable is None:
        return None
    if draft.facts.switch(draft.stable, None).inspector != names.inspector(draft.stable):
        return None
    return Watch(
        namespace=draft.facts.observed.deployment.namespace,
        stable=draft.stable,
        candidate="",
        questions=(ServedQuestion(vigil.GATE),),
        stale_after=stale_after(watching.interval),
        interval=watching.interval,
    )


def drifted(draft: Draft) -> Says | None:
    """The condition; None: the policy watches nothing."""
    watching = draft.facts.policy.watching
    if watching is None or draft.stable is None:
        return None
    if draft.candidate is not None:
        return None, "RolloutRuns", "while a rollout runs nothing else is mirrored; watching goes on after it"
    if draft.facts.asked.paused:
        return None, "Paused", "nothing is mirrored while the annotation pointsman.dev/pause is there"
    known = draft.vigil
    if known is None:
        return None, "NotServing", "the version has not served yet"
    if known.kind:
        return True, known.kind, known.said
    return _unknown(draft, watching, known) or (False, "NoDrift", "inputs and predictions are where they are expected")


def _unknown(draft: Draft, watching: Watching, known: Vigil) -> Says | None:
    """Why nothing can be said yet; None: it can."""
    trouble = "" if draft.stable is None else readiness.unready_inspector(draft, draft.stable, "the")
    if trouble:
        return None, "InspectorNotReady", trouble
    if known.mismatch is not None:
        return None, "ReferenceMismatch", known.mismatch
    fresh = known.looked_at is not None and draft.now - known.looked_at <= FRESH_LOOKS * watching.interval
    if not fresh:
        return None, "NoData", known.problem or "no look has been made yet"
    until = known.learning_until
    if until is None:
        return None
    if until > draft.now:
        said = f"learning from live traffic what is normal, by the hour of the week, until {until:%Y-%m-%d %H:%M} UTC"
    else:
        said = "learning from live traffic what is normal, until every hour of the week was looked at"
    return None, "Learning", f"{said}: nothing is found before; a reference (spec.model.reference) needs no learning"


def tell(draft: Draft, status: ModelDeploymentStatus) -> None:
    """Post an Event when something has left its norm, when other things have, and when it is over."""
    before = c.find(draft.facts.observed.deployment.status.conditions, c.DRIFTED)
    now = c.find(status.conditions, c.DRIFTED)
    had = before.reason if before is not None and before.status == "True" else None
    has = now.reason if now is not None and now.status == "True" else None
    if has != had and now is not None and has is not None:
        draft.event(c.DRIFTED, now.message, action="Watch", warning=True)
    elif had is not None and now is not None and now.status == "False":
        draft.event("DriftOver", now.message, action="Watch")


def save(draft: Draft) -> None:
    """Write what is known into the revision, now and then, and before anything that relies on it; forget what is over."""
    for name in draft.facts.observed.revisions:
        if name not in (draft.stable, draft.candidate, draft.previous) and draft.record(name).drift is not None:
            draft.keep(name, drift=None)
    known = draft.vigil
    if known is None or known.looked_at is None or draft.stable is None:
        return
    saved = known.saved_at
    behind = saved is None or saved < known.looked_at
    due = saved is None or is_due(saved, draft.now, every=vigil.SAVE_EVERY, name=draft.stable)
    if behind and (due or known.kind != known.saved_kind):
        draft.vigil = replace(known, saved_at=draft.now, saved_kind=known.kind)
        draft.keep(draft.stable, drift=draft.vigil.dump())
