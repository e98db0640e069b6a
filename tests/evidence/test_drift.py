"""The drift detector: what it promises, what it tells apart, what it says, and what it remembers."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from pointsman.evidence import drift, drift_words, learning
from pointsman.evidence.bins import OTHER, Bins
from pointsman.evidence.drift import DriftLook, DriftState, Watch
from pointsman.evidence.profile import HOURS, Profile, hour_of_week, norms, told

AGE = Bins("age", edges=(20.0, 40.0, 60.0))
LAND = Bins("land", categories=("de", "fr"))
SCORE = Bins("score", edges=(0.25, 0.5, 0.75))
NORMAL = {"age": (0.25, 0.25, 0.25, 0.25), "land": (0.6, 0.3, 0.1), "score": (0.4, 0.3, 0.2, 0.1)}
OLDER = {**NORMAL, "age": (0.15, 0.2, 0.25, 0.4)}
HIGHER = {**NORMAL, "score": (0.25, 0.3, 0.3, 0.15)}
BOTH = {**OLDER, "score": HIGHER["score"]}
A_LITTLE_OLDER = {**NORMAL, "age": (0.24, 0.25, 0.25, 0.26)}
MONDAY = 1_763_337_600.0  # midnight


def profile(bins: Bins, requests: int = 100_000) -> Profile:
    return Profile(bins, np.array([[round(requests * share) for share in NORMAL[bins.name]]]))


WATCH = drift.watching([profile(AGE), profile(LAND)], [profile(SCORE)], tolerance=0.03, looks=43_200)


class Serving:
    """Live traffic of 300 requests a look, as shares say to the request, and the detector that watches it."""

    def __init__(self, watch: Watch = WATCH) -> None:
        self.watch, self.state, self.at = watch, drift.start(watch), MONDAY
        self.counts = {name: np.zeros(len(shares), dtype=np.int64) for name, shares in NORMAL.items()}
        self.look(NORMAL, requests=0)

    def look(self, shares: dict[str, tuple[float, ...]], requests: int = 300) -> DriftLook:
        self.at += 60
        for name, parts in shares.items():
            self.counts[name] = self.counts[name] + np.round(requests * np.array(parts)).astype(np.int64)
        look = DriftLook(self.at, {n: self.counts[n] for n in ("age", "land")}, {"score": self.counts["score"]})
        self.state = drift.fold(self.watch, self.state, look)
        return look

    def minutes(self, minutes: int, shares: dict[str, tuple[float, ...]], requests: int = 300) -> drift.DriftVerdict:
        for _ in range(minutes):
            self.look(shares, requests)
        return drift.verdict(self.watch, self.state)


# ---------------------------------------------------------------- the promise


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5])
def test_each_statistic_grows_no_faster_than_looks_come_while_nothing_left_its_norm(share: float) -> None:
    """M_t - t is a supermartingale: its expectation over every path of three looks of three requests is at most 0."""
    norm = Profile(Bins("x", edges=(0.0,)), np.array([[700_000, 300_000]]))
    watch = drift.watching([norm], [], tolerance=0.2, looks=10)
    assert float(watch.features[0].shares[0, 0] + watch.features[0].allowed[0, 0]) == pytest.approx(0.5, abs=1e-5)
    paths = np.array(list(product(range(4), repeat=3)))
    chance = np.prod([[math.comb(3, x) * share**x * (1 - share) ** (3 - x) for x in path] for path in paths], axis=1)
    assert chance.sum() == pytest.approx(1)
    state = drift.start(watch, (len(paths),))
    state = drift.fold(watch, state, DriftLook(MONDAY, {"x": np.zeros((len(paths), 2), dtype=np.int64)}))
    for i in range(3):
        over = paths[:, : i + 1].sum(axis=1)
        counts = np.stack([3 * (i + 1) - over, over], axis=-1)
        state = drift.fold(watch, state, DriftLook(MONDAY + 60 * (i + 1), {"x": counts}))
        assert np.max(np.tensordot(chance, state.tracks[0].moved, 1)) <= (i + 1) * (1 + 1e-5)


def test_chance_alone_raises_nothing() -> None:
    rng, runs = np.random.default_rng(5), 50
    state, counts = (
        drift.start(WATCH, (runs,)),
        {n: np.zeros((runs, len(p)), dtype=np.int64) for n, p in NORMAL.items()},
    )
    for i in range(400):
        for name, shares in NORMAL.items():
            counts[name] = counts[name] + rng.multinomial(300, shares, size=runs)
        look = DriftLook(MONDAY + 60 * i, {n: counts[n] for n in ("age", "land")}, {"score": counts["score"]})
        state = drift.fold(WATCH, state, look)
        assert not drift.drifted(state).any()


# ---------------------------------------------------------------- what it tells apart

KINDS = [
    ("nothing", NORMAL, "", []),
    ("inputs, less than is allowed", A_LITTLE_OLDER, "", []),
    ("inputs", OLDER, "Inputs", ["age"]),
    ("inputs and predictions", BOTH, "InputsAndPredictions", ["age", "score"]),
    ("predictions alone", HIGHER, "Model", ["score"]),
]


@pytest.mark.parametrize(("shares", "kind", "names"), [k[1:] for k in KINDS], ids=[k[0] for k in KINDS])
def test_what_moved(shares: dict[str, tuple[float, ...]], kind: str, names: list[str]) -> None:
    serving = Serving()
    assert serving.minutes(60, NORMAL).kind == ""
    found = serving.minutes(15, shares)
    assert (found.kind, sorted(one.name for one in found.moved)) == (kind, names)
    assert found.drifted is bool(kind)


def test_inputs_that_were_not_shown_to_stay_leave_the_model_unblamed() -> None:
    without = drift.watching([], [profile(SCORE)], tolerance=0.03, looks=43_200)
    assert Serving(without).minutes(20, HIGHER).kind == "Predictions"
    coarse = Profile(AGE, np.array([[25, 25, 25, 25]]))  # a hundred rows show nothing to 3 points
    unsure = drift.watching([coarse], [profile(SCORE)], tolerance=0.03, looks=43_200)
    assert float(unsure.features[0].allowed.max()) > 0.1
    seldom = {**HIGHER, "age": (0.0, 0.0, 0.0, 0.0)}
    assert Serving(unsure).minutes(20, seldom).kind == "Predictions"


def test_how_far_it_moved_is_measured_from_where_it_began() -> None:
    serving = Serving()
    serving.minutes(600, NORMAL)
    began = serving.at
    found = serving.minutes(20, OLDER)
    (age,) = found.moved
    assert (age.event, age.prediction) == ("over 60", False)
    assert age.points == pytest.approx(15, abs=0.1)
    assert age.requests == 20 * 300
    assert found.since is not None
    assert 0 < found.since - began <= 5 * 60


def test_the_alarm_ends_some_minutes_after_the_drift() -> None:
    serving = Serving()
    serving.minutes(30, NORMAL)
    assert serving.minutes(600, OLDER).drifted
    assert not serving.minutes(45, NORMAL).drifted


SAID = [
    (NORMAL, "no drift beyond what is allowed"),
    (
        OLDER,
        (
            "the inputs drifted and no prediction did: age over 60: 40 % instead of 25 %, +15 points where 3 are allowed, in some "
            "4,500 requests (no version serves beside this one, so nothing is proven about the cause)"
        ),
    ),
    (
        HIGHER,
        (
            "predictions drifted while every watched input stayed: look at the model, and at inputs that are not watched: score over "
            "0.5: 45 % instead of 30 %, +15 points where 3 are allowed, in some 4,500 requests (no version serves beside this "
            "one, so nothing is proven about the cause)"
        ),
    ),
]


@pytest.mark.parametrize(("shares", "said"), SAID)
def test_a_verdict_in_words(shares: dict[str, tuple[float, ...]], said: str) -> None:
    serving = Serving()
    serving.minutes(60, NORMAL)
    assert drift_words.said(serving.minutes(15, shares)) == said


# ---------------------------------------------------------------- what it remembers


def test_the_same_look_again_changes_nothing() -> None:
    serving = Serving()
    serving.minutes(5, OLDER)
    look = serving.look(OLDER)
    once = drift.dumps(serving.state)
    assert drift.dumps(drift.fold(WATCH, serving.state, look)) == once


def test_counts_that_fell_began_anew() -> None:
    serving = Serving()
    serving.minutes(5, NORMAL)
    before = serving.state.tracks[0].moved
    serving.counts = {name: np.array([7] * len(shares)) for name, shares in NORMAL.items()}
    serving.look(OLDER, requests=0)
    assert serving.state.tracks[0].moved.tolist() == before.tolist()
    assert serving.minutes(15, OLDER).kind == "Inputs"


def test_a_missed_look_loses_no_request() -> None:
    every, some = Serving(), Serving()
    every.minutes(30, OLDER)
    some.look(OLDER, requests=30 * 300)
    assert every.counts["age"].tolist() == some.counts["age"].tolist()
    assert drift.verdict(WATCH, every.state).drifted
    assert some.minutes(2, OLDER).drifted


def test_dumped_and_loaded_it_is_the_same_and_small() -> None:
    serving = Serving()
    serving.minutes(10, BOTH)
    text = drift.dumps(serving.state)
    again = drift.loads(text)
    assert drift.dumps(again) == text
    assert len(text) < 5_000
    assert drift.verdict(WATCH, again) == drift.verdict(WATCH, serving.state)
    with pytest.raises(ValueError, match="start the detector anew"):
        drift.loads('{"format":1,"kind":"rate"}')


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: drift.watching([], [], tolerance=0.03, looks=10), "nothing to watch"),
        (lambda: drift.watching([profile(AGE)], [], tolerance=0.0, looks=10), "3 points are 0.03"),
        (lambda: drift.watching([profile(AGE)], [], tolerance=0.03, looks=1), "more than one look apart"),
        (lambda: drift.watching([profile(AGE)] * 2, [], tolerance=0.03, looks=10), "each feature once"),
        (lambda: Profile(AGE, np.zeros((2, 4), dtype=np.int64)), "1 or 168 rows of 4 bins"),
        (lambda: drift.fold(WATCH, drift.start(WATCH), DriftLook(0.0, {"age": (1, 2)})), "must count with the edges"),
        (lambda: drift.fold(WATCH, DriftState((), np.asarray(math.nan)), DriftLook(0.0)), "other features"),
    ],
)
def test_what_cannot_be_is_said(wrong: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()  # type: ignore[operator]  # a table of calls


# ---------------------------------------------------------------- norms and learning


@pytest.mark.parametrize(
    ("seconds", "hour"), [(0.0, 72.0), (MONDAY, 0.0), (MONDAY + 90 * 60, 1.5), (MONDAY - 60, 168 - 1 / 60)]
)
def test_hours_of_the_week_begin_on_monday(seconds: float, hour: float) -> None:
    assert hour_of_week(seconds) == pytest.approx(hour)


def test_bins_that_say_the_same_are_joined() -> None:
    grid = Bins("x", edges=tuple(float(e) for e in range(20)))
    counts = np.zeros((1, 21), dtype=np.int64)
    counts[0, 5:9] = (400, 10, 190, 400)  # all between 4 and 8
    (norm,) = norms([Profile(grid, counts)], tolerance=0.03)
    assert norm.bins.edges == (4.0, 5.0, 7.0, 8.0)
    assert norm.joined(counts[0]).tolist() == [0, 400, 200, 400, 0]
    rare = Bins("c", categories=("a", "b", "c"))
    (norm,) = norms([Profile(rare, np.array([[600, 3, 390, 7]]))], tolerance=0.03)
    assert (norm.bins.categories, norm.groups) == (("a", "c"), (0, 2, 1, 2))


@pytest.mark.parametrize(("rows", "allowed"), [(1_000_000, 0.03), (1_000, 0.046), (50, 0.20)])
def test_a_small_reference_allows_what_it_cannot_tell(rows: int, allowed: float) -> None:
    assert float(norms([profile(AGE, rows)], tolerance=0.03)[0].allowed.max()) == pytest.approx(allowed, rel=0.1)


def learnt(wander: float = 0.0, requests: int = 20_000) -> Watch:
    """Return the watch after a week of a strong daily cycle, hours off it by ``wander`` (sd)."""
    rng = np.random.default_rng(11)
    lesson = learning.Lesson((Bins("x", edges=(0.0,)),), ())
    state, total = learning.start(lesson), np.zeros(2, dtype=np.int64)
    state = learning.fold(lesson, state, DriftLook(MONDAY, {"x": total}))
    for hour in range(HOURS + 1):
        assert not learning.complete(state)
        share = float(np.clip(cycle(hour + 0.5) + rng.normal(0, wander), 0, 1))
        total = total + rng.multinomial(requests, (1 - share, share))
        state = learning.fold(lesson, state, DriftLook(MONDAY + 3600 * hour + 3599, {"x": total}))
    assert learning.complete(learning.loads(learning.dumps(state)))
    return drift.watching(*learning.profiles(lesson, state), tolerance=0.03, looks=43_200)


def cycle(hour: float) -> float:
    return 0.5 + 0.25 * math.sin(2 * math.pi * hour / 24)


def test_a_week_is_learnt_by_the_hour() -> None:
    norm = learnt().features[0]
    for hour in (0.5, 3.25, 30.0, 167.9):
        expected, allowed = norm.at(MONDAY + 3600 * hour)
        assert float(expected[0]) == pytest.approx(cycle(hour), abs=0.012)
        assert float(allowed[0]) == pytest.approx(0.03)


def test_a_week_is_learnt_when_every_hour_was_looked_at() -> None:
    lesson = learning.Lesson((AGE,), ())
    state = learning.start(lesson)
    for hour in range(2 * HOURS):
        if hour != HOURS - 5:  # as when the inspector was down
            state = learning.fold(lesson, state, DriftLook(MONDAY + 3600 * hour, {"age": (0, 0, 0, hour)}))
        assert learning.complete(state) is (hour >= 2 * HOURS - 5)
        assert (learning.progress(state) == 1) is learning.complete(state)


@pytest.mark.parametrize(("wander", "requests", "least"), [(0.03, 20_000, 0.08), (0.0, 200, 0.08)])
def test_what_hours_do_not_tell_is_allowed(wander: float, requests: int, least: float) -> None:
    assert float(np.median(learnt(wander, requests).features[0].allowed)) > least


def test_counts_of_another_process_are_no_evidence_and_nothing_is_lost_of_what_was() -> None:
    serving = Serving()
    serving.minutes(20, NORMAL)
    before = serving.state
    after = drift.interrupted(before)
    assert all((track.last == -1).all() for track in after.tracks)
    assert all((new.moved == old.moved).all() for new, old in zip(after.tracks, before.tracks, strict=True))


@pytest.mark.parametrize(
    "profile",
    [
        Profile(Bins("age", edges=tuple(float(edge) for edge in range(30))), np.arange(31)[None, :] * 10),
        Profile(Bins("land", categories=("de", "fr", "mc", "sm")), np.array([[600, 300, 1, 1, 98]])),
    ],
    ids=["numbers, bins that say the same joined", "categories, rare ones among the others"],
)
def test_a_norm_that_is_told_is_the_one_that_it_was_made_of(profile: Profile) -> None:
    """An inspector tells of every edge, and of every category, what the reference expects; the detector makes the norm of it."""
    (made,) = norms([profile], tolerance=0.03)
    shares, allowed = made.at(MONDAY)
    keys = made.bins.edges or (*made.bins.categories, OTHER)
    expected = {key: (float(shares[i]), float(allowed[i])) for i, key in enumerate(keys)}
    found = told(profile.bins, expected)
    assert (found.bins, found.groups) == (made.bins, made.groups)
    for one, other in zip(found.at(MONDAY), made.at(MONDAY), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
