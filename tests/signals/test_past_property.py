"""Whatever the hour before looked like: never more in the past than was really counted, and without gaps all of it."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.signals.reading import RatePast
from pointsman.signals.samples import Series
from tests.signals.test_past import asking, failed, read, series, started
from tests.sizes import examples

STEP = 10.0
BACK = 24  # steps; a store that is further behind than Prometheus' lookback of 5 minutes shows nothing at all


@dataclass(frozen=True)
class Minute:
    """One step of the grid: what a pod serves in it, whether its process starts anew first, and which sample is shown after it."""

    ok: int
    bad: int
    anew: bool
    shown: int | None  # so many steps old; None: no sample


requests = st.integers(0, 30)
rough = st.lists(
    st.builds(
        Minute,
        ok=requests,
        bad=requests,
        anew=st.sampled_from([False] * 9 + [True]),
        shown=st.sampled_from([0] * 7 + [1, 3, BACK, None]),
    ),
    min_size=1,
    max_size=60,
)
smooth = st.lists(st.builds(Minute, ok=requests, bad=requests, anew=st.just(value=False), shown=st.just(0)), min_size=1)


@dataclass
class Told:
    """The counters as they were at each time, (failed, all, start of the process), and as they are shown."""

    true: list[tuple[int, int, float]]
    shown: list[tuple[int, int, float] | None]

    def series(self, *, says_start: bool) -> tuple[Series, ...]:
        columns = [[None if row is None else row[column] for row in self.shown] for column in range(3)]
        found = (failed(columns[0]), series(columns[1]))
        return (*found, started(columns[2])) if says_start else found


def tell(minutes: list[Minute], *, says_start: bool) -> Told:
    told = Told([(3, 70, 1000.0)], [(3, 70, 1000.0)])
    for number, minute in enumerate(minutes, 1):
        bad, every, start = told.true[-1]
        if minute.anew:
            bad, every, start = (
                0,
                0,
                1000 + number * STEP * 2,
            )  # a process lives for longer than the wobble of its start
        told.true.append((bad + minute.bad, every + minute.ok + minute.bad, start))
        past = None if minute.shown is None else told.true[max(0, number - minute.shown)]
        if past is not None and past[2] != start and not says_start:
            past = told.true[-1]  # nobody could tell an old process's sample from a new one's
        told.shown.append(past)
    return told


@given(rough, st.booleans())
@settings(max_examples=examples(300))
def test_no_request_of_the_past_counts_twice(minutes: list[Minute], says_start: bool) -> None:  # noqa: FBT001  drawn
    past = read(asking(steps=len(minutes)), tell(minutes, says_start=says_start).series(says_start=says_start))
    assert isinstance(past, RatePast)
    counted, bad = past.requests[past.requests >= 0].sum(), past.bad[past.bad >= 0].sum()
    assert 0 <= bad <= sum(minute.bad for minute in minutes)
    assert 0 <= counted - bad <= sum(minute.ok for minute in minutes)


@given(smooth)
@settings(max_examples=examples(100))
def test_without_gaps_every_interval_is_what_was_served_in_it(minutes: list[Minute]) -> None:
    past = read(asking(steps=len(minutes)), tell(minutes, says_start=True).series(says_start=True))
    assert isinstance(past, RatePast)
    assert past.requests[:, 0].tolist() == [minute.ok + minute.bad for minute in minutes]
    assert past.bad[:, 0].tolist() == [minute.bad for minute in minutes]
