"""The detector for a version that serves alone: which inputs and predictions left their norm, at how many false alarms.

Of every feature and prediction every event (``bins``) has Shiryaev-Roberts statistics of e-values, M <- (M + 1) e, one for each guess of
how far its share moved; e is the likelihood ratio to the norm's share + what is allowed, an e-value for every share up to
that. Their average with weights that sum to 1, equal for the features and predictions, is one as well, and the alarm is
raised when it reaches A: while nothing has left its norm, the mean number of looks until then is at least A, over all
events together (Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", 2022,
Theorem 2.4). Cutting M down keeps that. It is tempered by the counts' dispersion from look to look, as gates are.

Nothing serves beside this version, so that nothing is proven about causes. Predictions that moved while every input is shown to have
stayed point to the model, and to what nobody watches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from pointsman.evidence import record
from pointsman.evidence.bins import counted
from pointsman.evidence.dispersion import Dispersion
from pointsman.evidence.margin import odds_times, one_sample
from pointsman.evidence.model import Integers, Numbers
from pointsman.evidence.process import settle
from pointsman.evidence.profile import Norm, norms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointsman.evidence.model import Flags
    from pointsman.evidence.profile import Profile

Kind: TypeAlias = Literal["", "Inputs", "InputsAndPredictions", "Predictions", "Model"]
FACTORS: Numbers = np.array([1.2, 1.5, 2.5, 6.0])
"""Guesses of how far a share moved: its odds over those of the line."""
_STAYED = math.log(20)  # evidence that an input stayed inside what is allowed; no promise hangs on it
_FULL = 1 - 1e-9


@dataclass(frozen=True, eq=False)
class Watch:
    """What is watched, and how rare false alarms have to be.

    Attributes:
        features: norms of the inputs.
        predictions: norms of the answers.
        looks: mean number of looks between false alarms, all features and predictions together.
    """

    features: tuple[Norm, ...]
    predictions: tuple[Norm, ...]
    looks: float

    def __post_init__(self) -> None:
        if not self.norms:
            raise ValueError("there is nothing to watch: name features or predictions")
        if not self.looks > 1:
            raise ValueError(f"false alarms must be more than one look apart, not {self.looks}")

    @property
    def norms(self) -> tuple[Norm, ...]:
        """All of them, features first."""
        return self.features + self.predictions


@dataclass(frozen=True)
class DriftLook:
    """Cumulative counts at one time: since the inspector began, not since the look before.

    Attributes:
        at: Unix seconds.
        features: requests per bin of each feature, by its name, shape (..., B); one that is missing has nothing new.
        predictions: the same of each prediction.
    """

    at: float
    features: Mapping[str, tuple[int, ...] | Integers] = field(default_factory=dict)
    predictions: Mapping[str, tuple[int, ...] | Integers] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Track:
    """What is remembered of one feature or prediction; ``...`` is the batch shape, E events, F guesses, B bins.

    Attributes:
        last: cumulative counts of the last look, -1 before the first, shape (..., B).
        moved: the statistics M, shape (..., E, F).
        stayed: logs of the evidence that each share is where it is expected and not further, shape (..., E).
        rising: of each event, how far the log of the smallest guess's evidence has risen from where it last was lowest, shape (..., E).
        requests, happened, expected: since then: requests, events and those expected, shape (..., E).
        dispersion: of the counts from look to look.
    """

    last: Integers
    moved: Numbers
    stayed: Numbers
    rising: Numbers
    requests: Numbers
    happened: Numbers
    expected: Numbers
    dispersion: Dispersion


@dataclass(frozen=True, eq=False)
class DriftState:
    """All that the detector remembers: a track of each feature and prediction, and since when it is drifted, nan if it is not (...)."""

    tracks: tuple[Track, ...]
    since: Numbers


@dataclass(frozen=True)
class Moved:
    """A feature or prediction that left its norm.

    Attributes:
        name: of the feature or prediction.
        prediction: whether it is a prediction.
        event: the tail or category that moved most clearly.
        expected, share: of the requests since its evidence began to rise, fractions.
        allowed: how far it might move, a fraction.
        requests: how many that are.
    """

    name: str
    prediction: bool
    event: str
    expected: float
    share: float
    allowed: float
    requests: int

    @property
    def points(self) -> float:
        """How far it moved, in percentage points."""
        return 100 * (self.share - self.expected)


@dataclass(frozen=True)
class DriftVerdict:
    """What the detector says at one look.

    Attributes:
        kind: what moved, "" while nothing is found. Inputs; InputsAndPredictions; Predictions, where it is not shown that every input
            stayed, or none is watched; Model, where it is: the predictions alone moved.
        since: Unix seconds of the look that raised the alarm; None without.
        moved: what left its norm, the furthest first.
        log_evidence: log of the average; ``level`` raises the alarm.
        level: ln A.
    """

    kind: Kind
    since: float | None
    moved: tuple[Moved, ...]
    log_evidence: float
    level: float

    @property
    def drifted(self) -> bool:
        """Whether the alarm is raised."""
        return bool(self.kind)


def watching(features: Sequence[Profile], predictions: Sequence[Profile], *, tolerance: float, looks: float) -> Watch:
    """Return the watch of these profiles.

    Args:
        features: what inputs looked like.
        predictions: what predictions looked like.
        tolerance: how far any tail may move, a fraction: 3 points are 0.03.
        looks: mean number of looks between false alarms.

    Raises:
        ValueError: the tolerance is no fraction, there is nothing to watch, or a name is there twice.
    """
    if not 0 < tolerance < 1:
        raise ValueError(
            f"the tolerance must lie between 0 and 1, not {tolerance}: 3 points are 0.03; without any, every day is drift"
        )
    for what, profiles in (("feature", features), ("prediction", predictions)):
        names = [profile.bins.name for profile in profiles]
        if len(set(names)) < len(names):
            raise ValueError(f"each {what} once, not {names}")
    found = norms([*features, *predictions], tolerance=tolerance)
    return Watch(found[: len(features)], found[len(features) :], looks)


def start(watch: Watch, batch: tuple[int, ...] = ()) -> DriftState:
    """Return the state before the first look, which is where counting begins."""
    return DriftState(tuple(_empty(norm, batch) for norm in watch.norms), np.full(batch, math.nan))


def fold(watch: Watch, state: DriftState, look: DriftLook) -> DriftState:
    """Return the state after one look; the same look again changes nothing. Counts that fell began anew: they count from there.

    Raises:
        ValueError: the state is of another watch, or counts are not of the reference's bins.
    """
    if len(state.tracks) != len(watch.norms):
        raise ValueError("the stored evidence is of other features or predictions: start the detector anew")
    given = [look.features.get(norm.bins.name) for norm in watch.features]
    given += [look.predictions.get(norm.bins.name) for norm in watch.predictions]
    tracks = tuple(
        track if counts is None else _fold(watch, norm, track, norm.joined(np.asarray(counts, dtype=np.int64)), look.at)
        for norm, track, counts in zip(watch.norms, state.tracks, given, strict=True)
    )
    average = _average(tracks)
    raised, over = average >= watch.looks, average < math.sqrt(watch.looks)
    since = np.where(raised & np.isnan(state.since), look.at, np.where(over, math.nan, state.since))
    return DriftState(tracks, since)


def interrupted(state: DriftState) -> DriftState:
    """Return the state before the first look at another process, whose counts say nothing about those of the one before."""
    return replace(state, tracks=tuple(replace(one, last=np.full_like(one.last, -1)) for one in state.tracks))


def drifted(state: DriftState) -> Flags:
    """Return where the alarm is raised, of the batch's shape: from an average of A on, until it is under the root of A."""
    return ~np.isnan(state.since)


def verdict(watch: Watch, state: DriftState) -> DriftVerdict:
    """Return what the detector says now, for one version."""
    alarm = bool(drifted(state))
    moved = [
        (_moved(norm, track, prediction=i >= len(watch.features)), float(track.moved.mean()))
        for i, (norm, track) in enumerate(zip(watch.norms, state.tracks, strict=True))
    ]
    least = min(math.sqrt(watch.looks), max(evidence for _, evidence in moved))
    named = [one for one, evidence in moved if alarm and evidence >= least]
    average = float(_average(state.tracks))
    return DriftVerdict(
        kind=_kind(watch, state, named),
        since=float(state.since) if alarm else None,
        moved=tuple(sorted(named, key=lambda one: -one.points)),
        log_evidence=math.log(average) if average > 0 else -math.inf,
        level=math.log(watch.looks),
    )


def dumps(state: DriftState) -> str:
    """Return the state as compact JSON; ``loads`` gives exactly the same state back."""
    return record.to_text("drift", state)


def loads(text: str) -> DriftState:
    """Return the state that ``dumps`` wrote.

    Raises:
        ValueError: the text is not one of ours; the detector must start anew.
    """
    kind, values = record.from_text(text)
    if kind != "drift":
        raise ValueError(f"the stored evidence is of the kind {kind!r}, not of drift: start the detector anew")
    return record.unpack(DriftState, values)


def _empty(norm: Norm, batch: tuple[int, ...]) -> Track:
    events = norm.shares.shape[-1]
    return Track(
        last=np.full((*batch, norm.bins.size), -1, dtype=np.int64),
        moved=np.zeros((*batch, events, len(FACTORS))),
        stayed=np.zeros((*batch, events)),
        rising=np.zeros((*batch, events)),
        requests=np.zeros((*batch, events)),
        happened=np.zeros((*batch, events)),
        expected=np.zeros((*batch, events)),
        dispersion=Dispersion.begin(batch, norm.bins.size),
    )


def _fold(watch: Watch, norm: Norm, track: Track, counts: Integers, at: float) -> Track:
    grown = counts - track.last
    anew = np.any((track.last < 0) | (grown < 0), axis=-1, keepdims=True)
    grown = np.where(anew, 0, grown)
    if not grown.any():
        return replace(track, last=np.broadcast_to(counts, track.last.shape))
    requests, happened = grown.sum(axis=-1).astype(float), counted(norm.bins, grown)
    expected, allowed = norm.at(at)
    line = np.minimum(expected + allowed, 1.0)
    phi, some = track.dispersion.phi(), (requests > 0)[..., None]
    log_e = _log_e(requests, happened, line) / phi[..., None, None]
    begins = some & (track.rising <= 0)  # the change is where the evidence was lowest (Page 1954)
    new = requests[..., None] + 0 * happened, happened, settle(requests[..., None] * expected)
    requests_, happened_, expected_ = (
        np.where(begins, now, before + now)
        for now, before in zip(new, (track.requests, track.happened, track.expected), strict=True)
    )
    return Track(
        last=np.broadcast_to(counts, track.last.shape),
        moved=np.where(some[..., None], _moving(watch, track.moved, log_e), track.moved),
        stayed=_staying(track.stayed, requests, happened, expected=expected, line=line, phi=phi),
        rising=settle(np.maximum(track.rising + log_e[..., 0], 0.0)),
        requests=requests_,
        happened=happened_,
        expected=expected_,
        dispersion=track.dispersion.fold(grown.astype(float)),
    )


def _log_e(requests: Numbers, happened: Numbers, line: Numbers) -> Numbers:
    """Return the log e-values of a look for each guess, shape (..., E, F); 0 where a share may be anything."""
    open_ = (line < _FULL)[..., None]
    null = np.where(open_, line[..., None], 0.5)
    log_e = one_sample(requests[..., None, None], happened[..., None], null=null, guess=odds_times(null, FACTORS))
    return np.where(open_, log_e, 0.0)


def _moving(watch: Watch, before: Numbers, log_e: Numbers) -> Numbers:
    """Return the statistics after a look, cut where they are beyond the alarm, so that they come down when the drift is over."""
    alone = math.log(watch.looks * len(watch.norms) * before.shape[-1] * before.shape[-2])
    return settle(np.minimum((before + 1) * np.exp(np.minimum(log_e, alone / 2)), math.exp(alone + 1)))


def _staying(
    before: Numbers, requests: Numbers, happened: Numbers, *, expected: Numbers, line: Numbers, phi: Numbers
) -> Numbers:
    """Return the evidence that no share is at its line or beyond; bounded, so that it is of the recent looks."""
    open_ = line < _FULL
    log_e = one_sample(
        requests[..., None], happened, null=np.where(open_, line, 0.5), guess=np.where(open_, expected, 0.5)
    )
    after = np.clip(before + log_e / phi[..., None], -2 * _STAYED, 2 * _STAYED)
    return settle(np.where(open_, after, 2 * _STAYED))


def _average(tracks: Sequence[Track]) -> Numbers:
    return np.asarray(np.mean([track.moved.mean(axis=(-2, -1)) for track in tracks], axis=0))


def _moved(norm: Norm, track: Track, *, prediction: bool) -> Moved:
    event = int(np.argmax(track.rising))
    requests = float(track.requests[event])
    expected = float(track.expected[event]) / max(requests, 1.0)
    allowed = norm.allowed[..., event]
    return Moved(
        name=norm.bins.name,
        prediction=prediction,
        event=norm.bins.event(event),
        expected=expected,
        share=float(track.happened[event]) / max(requests, 1.0),
        allowed=float(np.median(allowed)),
        requests=int(requests),
    )


def _kind(watch: Watch, state: DriftState, named: Sequence[Moved]) -> Kind:
    inputs, predictions = (any(one.prediction is which for one in named) for which in (False, True))
    if inputs:
        return "InputsAndPredictions" if predictions else "Inputs"
    if not predictions:
        return ""
    stayed = [bool((track.stayed >= _STAYED).all()) for track in state.tracks[: len(watch.features)]]
    return "Model" if stayed and all(stayed) else "Predictions"
