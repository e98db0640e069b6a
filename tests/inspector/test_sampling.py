"""Which requests are replayed, and what share of them under load."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.inspector.sampling import Share, Tokens, place
from tests.sizes import examples


def test_the_same_request_stands_at_the_same_place_in_every_process() -> None:
    assert place(b"7f3c", b"{}") == 0.13352288554960356
    assert place(b"", b"{}") == 0.007441945606240119
    assert place(b"", b"") == 0.8931675160897388


def test_places_are_spread_evenly() -> None:
    places = sorted(place(b"", str(number).encode()) for number in range(4_000))
    assert max(abs(at - number / 4_000) for number, at in enumerate(places)) < 0.03


def test_a_smaller_share_is_a_part_of_a_larger_one() -> None:
    bodies = [str(number).encode() for number in range(200)]
    kept = [{body for body in bodies if Share(value).takes(place(b"", body))} for value in (0.1, 0.5, 1.0)]
    assert kept[0] < kept[1] < kept[2] == set(bodies)


def test_the_share_falls_by_what_was_shed_and_grows_back_slowly() -> None:
    share = Share().adjusted(taken=100, shed=20)
    assert share.value == 0.8
    assert share.adjusted(taken=100, shed=100).value == 0.4
    seconds = 0
    while share.value < 1.0:
        share = share.adjusted(taken=80, shed=0)
        seconds += 1
    assert seconds == 5


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 1))))
def test_a_share_stays_a_share(load: list[tuple[int, float]]) -> None:
    share = Share()
    for taken, part in load:
        share = share.adjusted(taken=taken, shed=int(taken * part))
        assert 0 < share.value <= 1


def test_the_share_settles_where_the_load_can_be_carried() -> None:
    share = Share()
    carried = []
    for _ in range(120):
        taken = int(1_000 * share.value)
        share = share.adjusted(taken=taken, shed=max(0, taken - 300))
        carried.append(min(taken, 300))
    assert sum(carried[-60:]) / 60 > 280


def test_tokens_let_through_so_many_a_second_and_half_of_it_at_once() -> None:
    tokens = Tokens(10, now=0.0)
    assert [tokens.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert [tokens.take(0.1), tokens.take(0.1)] == [True, False]
    assert sum(tokens.take(1.0 + number / 100) for number in range(1_000)) == 5 + 99


def test_less_than_one_a_second_is_one_after_a_while() -> None:
    tokens = Tokens(0.5, now=0.0)
    assert [tokens.take(at) for at in (0.0, 1.0, 2.0, 3.0, 4.5)] == [True, False, True, False, True]
