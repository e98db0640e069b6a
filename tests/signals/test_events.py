"""Counters of events: one query for all that share them, whose they are, and what grew since the last look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.api.gates import Gate
from pointsman.signals.counts import look
from pointsman.signals.ledger import Increments, Ledger, Tally, fold
from pointsman.signals.matching import FAILED, PART, SCRAPED
from pointsman.signals.own import EventsQuestion, Names, ThresholdQuestion, ask_events, ask_threshold
from pointsman.signals.queries import pasted, plan
from pointsman.signals.reading import Answered, Counts, Faulty, Measured, NoData, RatePast, Watch
from pointsman.signals.samples import Answer, Failed, Sample, Series
from tests.signals.scrape import AT, NOW

STEP = timedelta(seconds=10)
EVENTS = {
    "bad": 'labels_wrong_total{app="churn"}',
    "total": 'labels_total{app="churn"}',
    "arm": {"label": "model_version", "is": "Version"},
}
GATE = Gate.model_validate({"name": "labels", "signal": "Events", "events": EVENTS})
HALF = Gate.model_validate({"name": "memory", "signal": "Threshold", "threshold": {"query": "up", "max": "0.5"}})


def names(**changes: str) -> Names:
    return replace(
        Names(
            namespace="ml",
            deployment="churn",
            stable="churn-5f3a9c1b",
            candidate="churn-81d0aa37",
            stable_version="6",
            candidate_version="7",
        ),
        **changes,
    )


def watch(gate: Gate = GATE, **changes: str) -> Watch:
    own = names(**changes)
    question = ask_threshold(gate, own) if gate.threshold else ask_events(gate, own)
    assert isinstance(question, EventsQuestion | ThresholdQuestion)
    return Watch(own.namespace, stable=own.stable, candidate=own.candidate, questions=(question,))


def counter(version: str, value: float, *, bad: float = 0, age: float = 5, **labels: str) -> list[Sample]:
    """A series of all events, the one of the bad ones, and when they were scraped."""
    own = {"namespace": "ml", "model_version": version, "job": "labels", "instance": "labels:80", **labels}
    return [
        Sample({**own, "__name__": "labels_total"}, value),
        Sample({**own, "__name__": "labels_wrong_total", PART: FAILED}, bad),
        Sample({**own, PART: SCRAPED}, NOW - age),
    ]


def seen(*series: list[Sample], gate: Gate = GATE) -> Answered:
    asked = watch(gate)
    made = plan([asked])
    answer: Answer = tuple(sample for one in series for sample in one)
    return look(made, dict.fromkeys(made.queries, answer), AT).read(asked).gates[gate.name]


def grown(*looks: tuple[list[Sample], ...]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Events and bad ones of stable and of the candidate since the look before, for every look."""
    ledger, found = Ledger(), []
    for number, series in enumerate(looks):
        counts = seen(*series)
        assert isinstance(counts, Counts)
        ledger, increments = fold(ledger, counts, at=AT + number * STEP, warmup=0)
        assert isinstance(increments, Increments)
        found.append((_events(increments.stable), _events(increments.candidate)))
    return found


def _events(tally: Tally) -> tuple[int, int]:
    return tally.requests, tally.failed


def test_rollouts_that_count_the_same_share_a_query() -> None:
    watches = [
        watch(),
        watch(namespace="team", candidate_version="8"),
        watch(deployment="other", stable_version="1.0", candidate_version="2|3"),
    ]
    (query,) = plan(watches).queries
    matchers = r'{app="churn",namespace=~"ml|team",model_version=~"1\\.0|2\\|3|6|7|8"}'
    assert query.text == (
        f"labels_total{matchers}"
        f' or label_replace(labels_wrong_total{matchers},"pointsman_part","failed","","")'
        f' or label_replace(timestamp(labels_total{matchers}),"pointsman_part","scraped","","")'
    )
    other = GATE.model_copy(
        update={"events": GATE.events and GATE.events.model_copy(update={"total": 'labels_total{app="$deployment"}'})}
    )
    assert len(plan([watch(), watch(other, deployment="shop"), watch(other, namespace="team")]).queries) == 2


def test_what_happened_before_the_first_look_is_no_evidence() -> None:
    assert grown(
        (counter("6", 1000, bad=50), counter("7", 10, bad=1)),
        (counter("6", 1100, bad=55), counter("7", 30, bad=2)),
    ) == [((0, 0), (0, 0)), ((100, 5), (20, 1))]


def wrong(version: str, value: float, **labels: str) -> list[Sample]:
    """A series of bad events alone."""
    return counter(version, 0, bad=value, **labels)[1:2]


def test_bad_events_may_be_told_apart_further_than_all() -> None:
    first, again = counter("6", 100)[:1] + counter("6", 0)[2:], counter("6", 200)[:1] + counter("6", 0)[2:]
    assert grown(
        (first, wrong("6", 5, reason="late"), wrong("6", 1, reason="broken")),
        (again, wrong("6", 9, reason="late"), wrong("6", 2, reason="broken"), wrong("6", 1, reason="lost")),
    ) == [((0, 0), (0, 0)), ((100, 6), (0, 0))]


def test_an_exporter_that_starts_anew_loses_bad_ones_and_all_together() -> None:
    """Were they counted apart, the one that passes its old value first would count without the other."""
    assert grown(
        (counter("6", 100, bad=1),),
        (counter("6", 10, bad=1),),  # since its start
        (counter("6", 120, bad=3),),
    ) == [((0, 0), (0, 0)), ((0, 0), (0, 0)), ((20, 2), (0, 0))]


def test_a_new_cohort_counts_whole_and_one_that_is_gone_is_not_missed() -> None:
    """Delayed labels: a series a day; yesterday's appears with all of its labels, last week's is dropped one day."""
    assert grown(
        (counter("6", 500, bad=20, cohort="1"),),
        (counter("6", 500, bad=20, cohort="1"), counter("6", 480, bad=19, cohort="2"), counter("7", 20, cohort="2")),
        (counter("6", 500, bad=20, cohort="2"), counter("7", 40, bad=2, cohort="2")),
        (
            counter("6", 510, bad=20, cohort="1"),
            counter("6", 500, bad=20, cohort="2"),
            counter("7", 40, bad=2, cohort="2"),
        ),
    ) == [((0, 0), (0, 0)), ((480, 19), (20, 0)), ((20, 1), (20, 2)), ((10, 0), (0, 0))]


def test_counters_that_fall_count_nothing_until_they_pass_what_was_known() -> None:
    assert grown(
        (counter("6", 100, bad=10),),
        (counter("6", 90, bad=9),),  # an older sample
        (counter("6", 120, bad=10),),
    ) == [((0, 0), (0, 0)), ((0, 0), (0, 0)), ((20, 0), (0, 0))]


@pytest.mark.parametrize(
    ("series", "kind", "says"),
    [
        (
            (),
            NoData,
            'no event of the stable version is counted yet, `labels_total{app="churn",model_version="6",namesp',
        ),
        ((counter("7", 10),), NoData, "no event of the stable version"),
        ((counter("6", 10),), Counts, ""),  # the candidate has none so far
        ((counter("6", 10, namespace="other"),), NoData, "no event of the stable version"),
        ((counter("6", 10, age=61),), NoData, "the last scrape of labels_total of the stable version is over 60 s old"),
        ((counter("6", 10), counter("7", 10, age=61)), NoData, "of the candidate version is over 60 s old"),
        ((counter("6", 10, age=61), counter("6", 10, instance="b")), Counts, ""),  # one exporter of two
        ((counter("6", 1.5),), Faulty, "gate labels: labels_total = 1.5, which is no count"),
        ((counter("6", float("nan")),), Faulty, "= nan, which is no count"),
        (
            (counter("6", 10), wrong("6", 1, instance="billing:80", reason="late")),
            Faulty,
            'labels_wrong_total{instance="billing:80",job="labels",model_version="6",namespace="ml",reason="late"} is a p',
        ),
        (
            tuple(counter("6", 1, user=str(number)) for number in range(501)),
            Faulty,
            "have 1,002 series, more than 1,000: sum them with a recording rule",
        ),
    ],
)
def test_what_is_no_data(series: tuple[list[Sample], ...], kind: type[Answered], says: str) -> None:
    found = seen(*series)
    assert isinstance(found, kind)
    assert says in getattr(found, "reason", "")


def test_a_failed_query_is_no_data_of_whom_it_was_asked_for() -> None:
    for gate in (GATE, HALF):
        asked = watch(gate)
        made = plan([asked])
        found = look(made, dict.fromkeys(made.queries, Failed("no answer")), AT).read(asked).gates[gate.name]
        assert found == NoData("no answer")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((0.25, 0.75), Measured((0.25, 0.75))),
        ((), NoData("the query's answer is empty")),
        ((1.0, float("nan")), NoData("the query's answer is not a number (NaN)")),
    ],
)
def test_the_answer_of_a_query(values: tuple[float, ...], found: Answered) -> None:
    assert seen([Sample({"n": str(number)}, value) for number, value in enumerate(values)], gate=HALF) == found


def test_one_query_for_all_that_ask_the_same() -> None:
    (query,) = plan([watch(HALF), watch(HALF, deployment="other", candidate="other-1")]).queries
    assert query.text == 'up{namespace="ml"}'
    assert len(plan([watch(HALF), watch(HALF, namespace="team")]).queries) == 2


def test_what_a_person_pastes() -> None:
    (events,), (threshold,) = watch().questions, watch(HALF).questions
    arm: dict[str, Any] = {"namespace": "ml", "revision": "churn-5f3a9c1b"}
    assert pasted(events, "stable", **arm) == 'labels_total{app="churn",model_version="6",namespace="ml"}'
    assert pasted(events, "candidate", **arm) == 'labels_total{app="churn",model_version="7",namespace="ml"}'
    assert pasted(threshold, "candidate", **arm) == 'up{namespace="ml"}'


def before(*values: float, bad: bool = False, instance: str = "a", cohort: str = "1") -> Series:
    own = {"namespace": "ml", "model_version": "6", "job": "labels", "instance": instance, "cohort": cohort}
    times = tuple(NOW - 10.0 * (len(values) - 1 - number) for number in range(len(values)))
    return Series({**own, PART: FAILED} if bad else own, times, values)


def test_the_hour_before_is_counted_by_exporter() -> None:
    asked = replace(watch(), calibrate=timedelta(seconds=30))
    made = plan([asked])
    (query,) = made.ranges
    told = (
        before(0, 10, 30, 30),
        before(0, 1, 1, 1, bad=True),
        before(5, 5, 6, cohort="2"),  # begins later
        before(100, 200, 150, 300, instance="b"),  # steps back
        before(0, 0, 0, 500, bad=True, instance="b"),  # and says what cannot be
        before(0, 0, 0, 9, bad=True, instance="c"),  # of nobody
    )
    found = look(made, dict.fromkeys(made.queries, ()), AT, ranges={query: told}).read(asked).past["labels"]
    assert isinstance(found, RatePast)
    assert found.pods == ("labels/a", "labels/b")
    assert found.requests.tolist() == [[10, 100], [20, -1], [1, -1]]
    assert found.bad.tolist() == [[1, 0], [0, -1], [0, -1]]


@given(
    growth=st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    )
)
def test_every_event_counts_once_whatever_series_come_and_go(growth: list[list[tuple[int, int, bool]]]) -> None:
    """Three cohorts grow from zero, are scraped or not, and are all there in the end."""
    totals, looks = [[0, 0] for _ in range(3)], [(counter("6", 0, cohort="first"),)]
    for look_ in [*growth, [(0, 0, True)] * 3]:
        found = [counter("6", 0, cohort="first")]
        for number, (good, bad, scraped) in enumerate(look_):
            totals[number] = [totals[number][0] + good + bad, totals[number][1] + bad]
            if scraped:
                found.append(counter("6", totals[number][0], bad=totals[number][1], cohort=str(number)))
        looks.append(tuple(found))
    counted = [stable for stable, _ in grown(*looks)]
    assert [sum(column) for column in zip(*counted, strict=True)] == [
        sum(column) for column in zip(*totals, strict=True)
    ]
