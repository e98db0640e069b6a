"""What is known of a version that serves alone: its norm, learnt or told, the detector's evidence, and what that says."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from pointsman.api.modelrevision import EVIDENCE_LIMIT
from pointsman.evidence import drift, drift_words, learning, profile
from pointsman.evidence.bins import Bins
from pointsman.evidence.drift import DriftLook, DriftState, Kind
from pointsman.evidence.learning import LearningState, Lesson
from pointsman.remembered import remembered
from pointsman.rollout.policy import Watching
from pointsman.signals.reading import Distribution, Faulty, NoData, Reading, Served

GATE = "watch"
"""What a reading files the answer under."""
SAVE_EVERY = timedelta(minutes=10)
"""Counters are cumulative: what a restart forgets is read again with the next look."""

_MOST = 32  # features and predictions together: their evidence is kept in a status
_MOST_PREDICTIONS = 16
_SETTLING = timedelta(hours=1)  # for which what was not answered yet is waited for when learning begins
_SOME = 50  # requests after which it is noticed that none of them has what the reference names

Scales: TypeAlias = tuple[tuple[Bins, ...], tuple[Bins, ...]]
"""Bins of what is watched: features, then predictions."""


@dataclass(frozen=True, kw_only=True)
class Vigil:
    """Of one revision.

    asked      fingerprint of what the policy asks for: other numbers begin the evidence anew
    process    the inspector whose counters were seen last
    scales     what is watched; other bins begin everything anew
    lesson     what was learnt so far; None: a reference says what is normal
    state      the detector's; None: there is nothing to hold counts against yet
    kind       what moved, "" while nothing is found
    saved_kind the same, as it was written last
    moved      the names of what moved
    said       the same in a sentence, as it was when that was found
    evidence   log of the detector's average; an alarm is raised at `level`
    mismatch   what the reference names and requests or answers do not have
    problem    why the last look told nothing; None: it did
    """

    revision: str
    asked: str = ""
    process: str = ""
    looked_at: datetime | None = None
    saved_at: datetime | None = None
    scales: Scales = ((), ())
    lesson: LearningState | None = None
    state: DriftState | None = None
    kind: Kind = ""
    saved_kind: Kind = ""
    moved: tuple[str, ...] = ()
    said: str = ""
    evidence: float = -math.inf
    level: float = math.inf
    mismatch: str | None = None
    problem: str | None = None

    @property
    def learning_until(self) -> datetime | None:
        """When what is normal is known at the earliest; None: it is."""
        if self.lesson is None or learning.complete(self.lesson):
            return None
        return datetime.fromtimestamp(self.lesson.began + learning.WEEK, UTC)

    def dump(self) -> str | None:
        """As text for ModelRevision.status.drift; None: it would be too long."""
        values = {
            "at": None if self.looked_at is None else self.looked_at.timestamp(),
            "asked": self.asked,
            "process": self.process,
            "scales": [[[one.name, one.edges, one.categories] for one in part] for part in self.scales],
            "lesson": None if self.lesson is None else learning.dumps(self.lesson),
            "state": None if self.state is None else drift.dumps(self.state),
            "kind": self.kind,
            "moved": self.moved,
            "said": self.said,
        }
        text = base64.b85encode(zlib.compress(json.dumps(values).encode(), 6)).decode()
        return text if len(text) <= EVIDENCE_LIMIT else None


def load(text: str, *, revision: str) -> Vigil:
    """What `dump` wrote; one that knows nothing where that cannot be read."""
    try:
        values = json.loads(zlib.decompress(base64.b85decode(text)))
        features, predictions = (
            tuple(Bins(name, tuple(edges), tuple(categories)) for name, edges, categories in part)
            for part in values["scales"]
        )
        looked_at = None if values["at"] is None else datetime.fromtimestamp(values["at"], UTC)
        return Vigil(
            revision=revision,
            asked=values["asked"],
            process=values["process"],
            looked_at=looked_at,
            saved_at=looked_at,
            scales=(features, predictions),
            lesson=None if values["lesson"] is None else learning.loads(values["lesson"]),
            state=None if values["state"] is None else drift.loads(values["state"]),
            kind=values["kind"],
            saved_kind=values["kind"],
            moved=tuple(values["moved"]),
            said=values["said"],
        )
    except (KeyError, TypeError, ValueError, zlib.error):
        return Vigil(revision=revision)


def fold(vigil: Vigil, reading: Reading, watching: Watching, *, now: datetime) -> Vigil:
    """One look more. The same one again changes nothing, and one without data keeps what there is."""
    if vigil.looked_at is not None and reading.at <= vigil.looked_at <= now:
        return vigil
    answer = reading.gates.get(GATE, NoData("the look did not ask for it"))
    if not isinstance(answer, Served):
        reason = answer.reason if isinstance(answer, NoData | Faulty) else "it was asked something else"
        return replace(vigil, problem=reason)
    seen = _Seen.of(answer)
    if not any(seen.scales):
        return replace(vigil, mismatch=seen.mismatch, problem=_NOTHING)
    vigil = _of_process(_of_scales(vigil, seen), f"{answer.pod}/{answer.started or 0:.0f}")
    try:
        folded = _fold(vigil, seen, watching, at=reading.at.timestamp())
    except ValueError:  # of another version of the operator
        folded = replace(vigil, lesson=None, state=None, scales=((), ()))
    return replace(folded, looked_at=min(reading.at, now), mismatch=seen.mismatch, problem=None)


_NOTHING = (
    "nothing that can be watched was counted yet: `compare.features` names places in requests, and answers need outputs"
    " that are numbers, or that a reference has categories of"
)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A look at what is watched: that of the reference where there is one, else everything that is counted."""

    features: tuple[Distribution, ...]
    predictions: tuple[Distribution, ...]
    referred: bool
    mismatch: str | None
    scales: Scales = field(default=((), ()))

    @staticmethod
    def of(served: Served) -> _Seen:
        referred = any(one.norm for one in (*served.features, *served.predictions))
        counted = [
            [one for one in part if (one.norm if referred else any(one.counts))]
            for part in (served.features, served.predictions)
        ]
        predictions = tuple(counted[1][:_MOST_PREDICTIONS])
        features = tuple(counted[0][: _MOST - len(predictions)])
        return _Seen(
            features=features,
            predictions=predictions,
            referred=referred,
            mismatch=_mismatch(features, predictions) if referred else None,
            scales=(_bins(features), _bins(predictions)),
        )

    def look(self, at: float) -> DriftLook:
        features, predictions = (
            {one.scale.name: one.counts for one in part} for part in (self.features, self.predictions)
        )
        return DriftLook(at=at, features=features, predictions=predictions)


def _bins(found: Sequence[Distribution]) -> tuple[Bins, ...]:
    return tuple(Bins(one.scale.name, one.scale.edges, one.scale.categories) for one in found)


def _mismatch(features: Sequence[Distribution], predictions: Sequence[Distribution]) -> str | None:
    """What the reference names and no request or answer has."""
    requests = max((sum(one.counts) + one.missing for one in (*features, *predictions)), default=0)
    if requests < _SOME:
        return None
    lacking = [
        *(f"feature {one.scale.name}" for one in features if not any(one.counts)),
        *(f"prediction {one.scale.name}" for one in predictions if not any(one.counts)),
    ]
    if not lacking:
        return None
    return (
        f"the reference names {', '.join(lacking[:5])}, and no request or answer has it as the reference says, a number or a"
        " text: name the columns by JSON pointers and outputs in `pointsman reference build`"
    )


def _of_scales(vigil: Vigil, seen: _Seen) -> Vigil:
    """The vigil for these bins; what is learnt is what was there in the first hour, whatever comes or goes later."""
    fresh = replace(vigil, lesson=None, state=None, scales=seen.scales, kind="", moved=(), said="")
    if seen.referred:
        return vigil if vigil.scales == seen.scales and vigil.lesson is None else fresh
    if vigil.lesson is None:
        return replace(fresh, lesson=learning.start(Lesson(*seen.scales)))
    known = {one.name: one for part in vigil.scales for one in part}
    now = {one.name: one for part in seen.scales for one in part}
    others = any(known[name] != one for name, one in now.items() if name in known)
    settling = vigil.lesson.until - vigil.lesson.began < _SETTLING.total_seconds()
    if others or (settling and now.keys() - known.keys()):
        return replace(fresh, lesson=learning.start(Lesson(*seen.scales)))
    return vigil


def _of_process(vigil: Vigil, process: str) -> Vigil:
    if process == vigil.process:
        return vigil
    return replace(
        vigil,
        process=process,
        lesson=None if vigil.lesson is None else learning.interrupted(vigil.lesson),
        state=None if vigil.state is None else drift.interrupted(vigil.state),
    )


def _fold(vigil: Vigil, seen: _Seen, watching: Watching, *, at: float) -> Vigil:
    look, asked = seen.look(at), f"{watching.tolerance:g}/{watching.looks:g}"
    if vigil.lesson is not None and not learning.complete(vigil.lesson):
        return replace(vigil, lesson=learning.fold(Lesson(*vigil.scales), vigil.lesson, look), state=None)
    watch = _watch(vigil, seen, watching)
    state = vigil.state if vigil.state is not None and asked == vigil.asked else drift.start(watch)
    state = drift.fold(watch, state, look)
    verdict = drift.verdict(watch, state)
    moved = tuple(sorted(one.name for one in verdict.moved))
    same = (verdict.kind, moved) == (vigil.kind, vigil.moved)
    return replace(
        vigil,
        asked=asked,
        state=state,
        kind=verdict.kind,
        moved=moved,
        said=vigil.said if same else drift_words.said(verdict) if verdict.kind else "",
        evidence=verdict.log_evidence,
        level=verdict.level,
    )


def _watch(vigil: Vigil, seen: _Seen, watching: Watching) -> drift.Watch:
    """What counts are held against at this look."""
    if vigil.lesson is not None:
        return _learnt(vigil.scales, vigil.lesson, watching.tolerance, watching.looks)
    return drift.Watch(
        tuple(map(_told, vigil.scales[0], seen.features)),
        tuple(map(_told, vigil.scales[1], seen.predictions)),
        watching.looks,
    )


def _is_learnt(scales: Scales, lesson: LearningState, tolerance: float, looks: float) -> Hashable:
    return scales, id(lesson), tolerance, looks


@remembered(32, by=_is_learnt)
def _learnt(scales: Scales, lesson: LearningState, tolerance: float, looks: float) -> drift.Watch:
    """What was learnt does not change any more. The norm of a week takes twice as long as all the rest of a look, and 0.1 MB a feature."""
    features, predictions = learning.profiles(Lesson(*scales), lesson)
    return drift.watching(features, predictions, tolerance=tolerance, looks=looks)


def _told(bins: Bins, one: Distribution) -> profile.Norm:
    return profile.told(bins, one.norm)
