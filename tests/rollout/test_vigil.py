"""What is known of a version that serves alone, look by look: a week that is learnt, inspectors that come and go, other inputs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from pointsman.rollout import vigil
from pointsman.rollout.policy import Watching
from pointsman.rollout.vigil import Vigil
from pointsman.signals.reading import Distribution, NoData, Reading, Scale, Served

WATCHING = Watching(
    mirror=200, interval=timedelta(minutes=1), tolerance=0.03, looks=43_200, on_prediction_drift="Alert"
)
AGE, SCORE = Scale("/age", edges=(20.0, 40.0, 60.0)), Scale("score", edges=(0.5,))
USUAL = ((25, 25, 25, 25), (70, 30))
OLDER = ((10, 20, 25, 45), (70, 30))


class Serving:
    """A version that serves alone, and the vigil over it."""

    def __init__(self) -> None:
        self.vigil = Vigil(revision="churn-1")
        self.at = datetime(2026, 3, 2, tzinfo=UTC)
        self.pod = "inspector-1"
        self.counts = [np.zeros(4, dtype=int), np.zeros(2, dtype=int)]
        self.scales = [AGE, SCORE]

    def look(self, hundreds: int = 10, shares: tuple[tuple[int, ...], ...] = USUAL, **after: float) -> Vigil:
        self.at += timedelta(**(after or {"minutes": 1}))
        self.counts = [had + np.array(part) * hundreds for had, part in zip(self.counts, shares, strict=True)]
        found = [
            Distribution(scale=scale, counts=tuple(int(n) for n in counts))
            for scale, counts in zip(self.scales, self.counts, strict=True)
        ]
        served = Served(self.pod, 1000.0, features=tuple(found[:1]), predictions=tuple(found[1:]))
        self.vigil = vigil.fold(self.vigil, Reading(self.at, {vigil.GATE: served}), WATCHING, now=self.at)
        return self.vigil

    def week(self) -> None:
        """Every hour of a week is looked at twice."""
        for _ in range(2 * 24 * 7 + 2):
            self.look(minutes=30)

    def pod_is_replaced(self) -> None:
        self.pod += "1"
        self.counts = [np.zeros(4, dtype=int), np.zeros(2, dtype=int)]


def test_a_week_is_learnt_and_then_a_shift_is_found() -> None:
    serving = Serving()
    began = serving.look().learning_until
    assert began == serving.at + timedelta(days=7)
    serving.week()
    assert serving.vigil.learning_until is None
    for _ in range(30):
        assert serving.look().kind == ""
    for _ in range(30):
        serving.look(shares=OLDER)
    assert (serving.vigil.kind, serving.vigil.moved) == ("Inputs", ("/age",))
    assert "/age over 60: 45 % instead of 25 %" in serving.vigil.said


def test_what_was_learnt_and_found_is_written_and_read_again() -> None:
    serving = Serving()
    serving.look()
    serving.week()
    for _ in range(5):
        serving.look(shares=OLDER)
    text = serving.vigil.dump()
    assert text is not None
    assert len(text) < 10_000
    read = vigil.load(text, revision="churn-1")
    assert read.dump() == text
    serving.vigil = read
    for _ in range(25):
        serving.look(shares=OLDER)
    assert serving.vigil.kind == "Inputs"


def test_counters_of_another_inspector_are_neither_learnt_nor_drift() -> None:
    serving = Serving()
    serving.look()
    serving.week()
    serving.pod_is_replaced()
    serving.look(hundreds=5_000, shares=OLDER)  # what it counted before anybody looked
    for _ in range(30):
        assert serving.look().kind == ""


def test_what_is_answered_within_the_first_hour_is_learnt_too_and_what_comes_later_is_left_out() -> None:
    serving = Serving()
    serving.look(shares=((25, 25, 25, 25), (0, 0)))
    assert [one.name for part in serving.vigil.scales for one in part] == ["/age"]
    serving.look()
    assert [one.name for part in serving.vigil.scales for one in part] == ["/age", "score"]
    for _ in range(70):
        serving.look()
    serving.scales = [AGE, replace(SCORE, name="another")]
    serving.look()
    assert [one.name for part in serving.vigil.scales for one in part] == ["/age", "score"]


def test_other_bins_begin_anew() -> None:
    serving = Serving()
    for _ in range(70):
        serving.look()
    before = serving.vigil.learning_until
    serving.scales = [replace(AGE, edges=(10.0, 20.0, 30.0)), SCORE]
    assert serving.look().learning_until == serving.at + timedelta(days=7) != before


def test_the_same_look_again_and_one_without_data_change_nothing_that_is_known() -> None:
    serving = Serving()
    serving.look()
    serving.look()
    known = serving.vigil
    again = Reading(serving.at, {vigil.GATE: NoData("silence")})
    assert vigil.fold(known, again, WATCHING, now=serving.at) is known
    later = replace(again, at=serving.at + timedelta(minutes=1))
    after = vigil.fold(known, later, WATCHING, now=later.at)
    assert after == replace(known, problem="silence")
