"""What people ask the operator for: the annotation that says it, whether it makes sense now, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pointsman.api import conditions as c
from pointsman.api import names
from pointsman.api.modeldeployment import HistoryEntry
from pointsman.cli import saying
from pointsman.cli.faults import NotNowError
from pointsman.cli.model import Model
from pointsman.rollout.actions import attempt_value, step_value

Verb = Literal["promote", "abort", "approve", "pause", "resume", "retry"]

_KEYS: Final[Mapping[Verb, str]] = {
    "promote": names.PROMOTE,
    "abort": names.ABORT,
    "approve": names.APPROVE,
    "retry": names.RETRY,
    "pause": names.PAUSE,
    "resume": names.PAUSE,
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: the annotation to write (value None: to take away), and in words what for."""

    verb: Verb
    value: str | None
    about: str

    @property
    def key(self) -> str:
        """The annotation."""
        return _KEYS[self.verb]

    def patch(self) -> dict[str, object]:
        """As a merge patch of the ModelDeployment."""
        return {"metadata": {"annotations": {self.key: self.value}}}

    def kubectl(self, model: Model) -> str:
        """The kubectl line that asks for the same."""
        word = f"{self.key}-" if self.value is None else f"{self.key}={self.value}"
        return f"kubectl annotate modeldeployment {model.name} -n {model.namespace} --overwrite {word}"


def request(verb: Verb, model: Model) -> Request:
    """What has to be written to ask for `verb`.

    Raises:
        NotNowError: it makes no sense now; the message says why.
    """
    match verb:
        case "abort":
            return _abort(model)
        case "promote":
            return _promote(model)
        case "approve":
            return _approve(model)
        case "retry":
            return _retry(model)
        case "pause":
            return Request(verb=verb, value="true", about="steps and deadline to stand still")
        case "resume":
            return Request(verb=verb, value=None, about="steps and deadline to go on")


def possible(model: Model) -> list[Request]:
    """What can be asked for now, the likeliest first."""
    paused = model.condition(c.PAUSED)
    stands = paused is not None and paused.status == "True"
    verbs: list[Verb] = ["approve", "promote", "abort", "retry"]
    if stands:
        verbs.insert(0, "resume")
    elif model.running is not None:
        verbs.append("pause")
    found = []
    for verb in verbs:
        try:
            found.append(request(verb, model))
        except NotNowError:
            continue
    return found


def answer(asked: Request, model: Model) -> str | None:
    """What the operator made of it, in a sentence; None: nothing yet."""
    if asked.verb in ("pause", "resume"):
        return _held(asked, model)
    done = any(action.name == asked.verb and action.value == asked.value for action in model.status.actions)
    return _done(asked, model) if done else _overtaken(asked, model)


def _abort(model: Model) -> Request:
    running, status = model.running, model.status
    if running is not None:
        candidate, attempt = running
        return Request(
            verb="abort",
            value=attempt_value(candidate.revision, attempt),
            about=f"version {candidate.version} (attempt {attempt}) to be taken back",
        )
    if status.rollout is not None:
        raise NotNowError(f"{model.name}: it is being taken back already: {status.rollout.message}")
    attempt_of = model.revisions.get(status.stable.revision) if status.stable is not None else None
    last = None if attempt_of is None else attempt_of.attempt()
    if status.previous is None or status.stable is None or last is None:
        raise NotNowError(f"{model.name}: there is nothing to abort: no rollout runs, and no previous version is kept")
    return Request(
        verb="abort",
        value=attempt_value(status.stable.revision, last.attempt),
        about=f"version {status.previous.version} to serve again instead of version {status.stable.version}",
    )


def _promote(model: Model) -> Request:
    candidate, attempt = _runs(model, "promote")
    if model.status.rollout is not None and model.status.rollout.phase == "Promoting":
        raise NotNowError(f"{model.name}: version {candidate} is being promoted already")
    revision = model.status.candidate
    return Request(
        verb="promote",
        value=attempt_value("" if revision is None else revision.revision, attempt),
        about=f"version {candidate} (attempt {attempt}) to take all traffic without the steps and proof that remain",
    )


def _approve(model: Model) -> Request:
    version, attempt = _runs(model, "approve")
    rollout, candidate = model.status.rollout, model.status.candidate
    if rollout is None or candidate is None:
        raise AssertionError("no rollout runs")
    if rollout.phase != "AwaitingApproval":
        raise NotNowError(
            f"{model.name}: there is nothing to approve: version {version} is at {_where(model)}, which is no approval"
        )
    value = step_value(candidate.revision, attempt, rollout.step)
    if any(action.name == "approve" and action.value == value for action in model.status.actions):
        raise NotNowError(f"{model.name}: step {rollout.step} is approved already: {rollout.message}")
    return Request(
        verb="approve",
        value=value,
        about=f"step {rollout.step} of version {version} (attempt {attempt}) to be approved",
    )


def _retry(model: Model) -> Request:
    accepted = model.condition(c.ACCEPTED)
    if accepted is not None and accepted.status == "False":
        raise NotNowError(f"{model.name}: the spec is not accepted, so it cannot be tried: {accepted.message}")
    stable, version = model.status.stable, model.spec.model.version
    if stable is not None and stable.revision == model.target:
        raise NotNowError(f"{model.name}: there is nothing to retry: the spec names version {version}, which serves")
    if model.running is not None:
        raise NotNowError(f"{model.name}: there is nothing to retry: version {model.running[0].version} is on its way")
    known = model.revisions.get(model.target)
    last = None if known is None else known.attempt()
    if known is None or last is None or known.status.state != "RolledBack":
        raise NotNowError(f"{model.name}: there is nothing to retry: version {version} was not rolled back or aborted")
    return Request(
        verb="retry",
        value=attempt_value(model.target, last.attempt),
        about=f"version {version} to be tried again after attempt {last.attempt}",
    )


def _runs(model: Model, verb: Verb) -> tuple[str, int]:
    """Version and attempt of the rollout that runs."""
    if model.running is not None:
        return model.running[0].version, model.running[1]
    if model.status.rollout is not None:
        raise NotNowError(
            f"{model.name}: there is nothing to {verb}: the candidate is being taken back: {model.status.rollout.message}"
        )
    serves = model.status.stable
    raise NotNowError(
        f"{model.name}: there is nothing to {verb}: no rollout runs"
        + ("" if serves is None else f", version {serves.version} takes all traffic")
    )


def _where(model: Model) -> str:
    rollout, attempt = model.status.rollout, model.attempt
    if rollout is None:
        return "no step"
    steps = [] if attempt is None else attempt.policy.steps or []
    if not 0 < rollout.step <= len(steps):
        return f"phase {rollout.phase}"
    return f"step {rollout.step} of {len(steps)} ({saying.step(steps[rollout.step - 1])})"


def _held(asked: Request, model: Model) -> str | None:
    paused = model.condition(c.PAUSED)
    if paused is None or (paused.status == "True") != (asked.verb == "pause"):
        return None
    if asked.verb == "pause":
        looks = " Looks, harm and abort go on." if model.running else " No rollout runs; the next one will stand still."
        return f"paused: steps and deadline stand still.{looks}"
    if model.running is None:
        return "resumed: no rollout runs."
    return f"resumed: version {model.running[0].version} goes on from {_where(model)}."


def _done(asked: Request, model: Model) -> str | None:
    """What follows an action that is recorded; None: what it says of itself is not there yet."""
    rollout, (revision, attempt) = model.status.rollout, _named(asked)
    entry, said = model.ended(revision, attempt), "" if rollout is None else rollout.message
    if asked.verb == "retry":
        running = model.running
        return None if running is None else f"attempt {running[1]} of version {running[0].version} has begun: {said}"
    if asked.verb == "abort":
        return None if entry is None else _aborted(model, entry)
    if entry is not None:
        return f"version {entry.version} (attempt {attempt}): {entry.outcome}: {entry.message}"
    return f"promoting: {said}" if asked.verb == "promote" else f"approved: the rollout is at {_where(model)}: {said}"


def _aborted(model: Model, entry: HistoryEntry) -> str:
    stable, rollout = model.status.stable, model.status.rollout
    serves = "" if stable is None else f"; version {stable.version} (revision {stable.revision}) serves"
    on_its_way = "" if rollout is None else f": {rollout.message}"
    return f"aborted: version {entry.version} (attempt {entry.attempt}) gets no requests{serves}{on_its_way}"


def _overtaken(asked: Request, model: Model) -> str | None:
    """How the attempt ended before the operator saw what was asked for; None: it did not."""
    revision, attempt = _named(asked)
    running = model.running
    if asked.verb == "retry" or (running is not None and (running[0].revision, running[1]) == (revision, attempt)):
        return None
    entry = model.ended(revision, attempt)
    if entry is None or (asked.verb == "abort" and entry.outcome == "Promoted"):
        return None
    raise NotNowError(
        f"{model.name}: too late to {asked.verb}: version {entry.version} (attempt {attempt}) was {entry.outcome} at"
        f" {saying.moment(entry.at)}: {entry.message}"
    )


def _named(asked: Request) -> tuple[str, int]:
    """The revision and the attempt that a request is about."""
    revision, _, rest = (asked.value or "").partition("/")
    return revision, int(rest.partition("/")[0])
