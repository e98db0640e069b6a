"""Agreement by slice: one query, and of the candidate's comparisons each slice's own beside all of them."""

from __future__ import annotations

import pytest

from pointsman.api.gates import Gate, Slices
from pointsman.signals.counts import look
from pointsman.signals.matching import FAILED, PART, PRESENT, STARTED
from pointsman.signals.profiles import Question, ask_inspector
from pointsman.signals.queries import plan
from pointsman.signals.reading import Answered, Counts, NoData, Watch
from pointsman.signals.samples import Answer, Failed, Sample
from tests.signals.scrape import AT, CANDIDATE, NOW, STABLE

TARGET = {"namespace": "ml", "pod": "churn-i2222222-1", "job": "inspectors", "instance": "i:8081"}
UP = (Sample(TARGET, NOW - 5),)


def watch(gate: Gate) -> Watch:
    asked = ask_inspector(gate)
    assert isinstance(asked, Question)
    return Watch("ml", stable=STABLE, candidate=CANDIDATE, questions=(asked,))


SLICED = watch(Gate(name="answers", signal="Agreement", slices=Slices(header="x-tenant")))


def compared(slice_: str, differ: int, total: int) -> list[Sample]:
    labels = {**TARGET, "revision": CANDIDATE, **({"slice": slice_} if slice_ else {})}
    return [Sample(labels, total), Sample({**labels, PART: FAILED}, differ)]


def read(counters: Answer, up: Answer = UP) -> Answered:
    made = plan([SLICED])
    counted, fresh = made.queries
    return look(made, {counted: counters, fresh: up}, AT).read(SLICED).gates["answers"]


PRESENTS = [
    Sample({**TARGET, "revision": CANDIDATE, PART: PRESENT}, 1),
    Sample({**TARGET, PART: STARTED}, 1000.0),
]


def test_each_slice_and_all_of_them() -> None:
    samples = [*PRESENTS, *compared("", 7, 100), *compared("acme", 6, 10), *compared("none", 1, 90)]
    seen = read(tuple(samples))
    assert isinstance(seen, Counts)
    (all_,) = seen.candidate.pods.values()
    assert (all_.cells, all_.started) == ((7, 100), 1000.0)
    found = {name: next(iter(arm.pods.values())) for name, arm in seen.slices.items()}
    assert {name: pod.cells for name, pod in found.items()} == {"acme": (6, 10), "none": (1, 90)}
    assert {pod.started for pod in found.values()} == {1000.0}


def test_one_query_tells_slices_apart_only_where_a_gate_asks() -> None:
    plain = watch(Gate(name="answers", signal="Agreement"))
    made = plan([SLICED, plain])
    texts = [query.text for query in made.shapes.values()]
    assert [",slice)" in text for text in texts] == [True, False]
    assert ['slice=~""' in text for text in texts] == [False, True]


@pytest.mark.parametrize(
    ("counters", "up"), [(Failed("no answer"), UP), ((), ()), (tuple(PRESENTS), (Sample(TARGET, NOW - 500),))]
)
def test_without_fresh_data_there_is_none_of_any_slice(counters: Answer, up: Answer) -> None:
    assert isinstance(read(counters, up), NoData)
