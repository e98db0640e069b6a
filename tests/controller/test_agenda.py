from __future__ import annotations

import pytest

from pointsman.controller.agenda import Agenda

# A story is a list of steps, `verb key at`; what `take` answers is compared. The clock is the number at the end.
STORIES = [
    pytest.param(["add a", "add b", "take 0 a", "take 0 b", "take 0 -"], id="in the order in which they were added"),
    pytest.param(["add a", "add a", "take 0 a", "done a", "take 0 -"], id="asked for twice, done once"),
    pytest.param(["add a", "take 0 a", "take 0 -", "done a", "take 0 -"], id="one worker at a time"),
    pytest.param(
        ["add a", "take 0 a", "add a", "add a", "take 0 -", "done a", "take 0 a", "done a", "take 0 -"],
        id="asked for while it is worked on: once more, afterwards",
    ),
    pytest.param(["wake a 5", "take 4 -", "take 5 a", "done a", "take 9 -"], id="at its time, once"),
    pytest.param(["wake a 5", "wake a 9", "take 8 -", "take 9 a"], id="a later time replaces the one before"),
    pytest.param(["wake a 9", "wake a 5", "take 5 a", "done a", "take 9 -"], id="and an earlier one too"),
    pytest.param(["wake a 5", "wake a never", "take 9 -"], id="not by itself any more"),
    pytest.param(["wake a 5", "add a", "take 0 a", "done a", "take 5 a"], id="an event does not lose the time"),
    pytest.param(["wake a 5", "add a", "take 5 a", "done a", "take 5 -"], id="due while it is queued: done once"),
    pytest.param(["wake b 6", "wake a 5", "take 9 a", "take 9 b"], id="the earlier first"),
    pytest.param(["wake a 5", "forget a", "take 9 -"], id="gone"),
    pytest.param(["add_round a", "add b", "take 0 a", "take 0 b"], id="rounds move, even while others come in"),
    pytest.param(
        ["add_round a", "add_round b", "take 0 a", "add c", "take 0 c", "take 0 b"],
        id="while one round moves, changes go before the next",
    ),
    pytest.param(
        [*(f"add_round {key}" for key in "abcd"), "take 0 a", "take 0 b", "take 0 c", "take 0 -", "done a", "take 0 d"],
        id="three rounds at a time",
    ),
    pytest.param(
        ["add_round a", "add_round b", "add_round c", "add d", "take 0 a", "take 0 d", "take 0 b", "take 0 -"],
        id="two beside a change",
    ),
    pytest.param(
        [
            "add d",
            "take 0 d",
            *(f"add_round {key}" for key in "abc"),
            *(f"take 0 {key}" for key in "ab-"),
            "done d",
            "take 0 c",
        ],
        id="and three when it is done",
    ),
    pytest.param(
        [
            "add_round a",
            "add_round b",
            "add_round c",
            "take 0 a",
            "take 0 b",
            "add c",
            "take 0 c",
            "done c",
            "take 0 -",
        ],
        id="a change of what waits for its round: now, and once",
    ),
    pytest.param(["add a", "add_round a", "take 0 a", "done a", "take 0 -"], id="a round of what has changed: once"),
    pytest.param(
        ["add_round a", "take 0 a", "add_round a", "take 0 -", "done a", "take 0 a"], id="a round while worked on"
    ),
    pytest.param(["add a", "take 0 a", "wake a 1", "take 2 -", "done a", "take 2 a"], id="due while worked on"),
    pytest.param(["wake a 5", "hold a", "add a", "take 4 -", "take 5 a"], id="held: not before its time"),
    pytest.param(["wake a 5", "hold a", "add_round a", "take 4 -", "take 5 a", "take 5 -"], id="nor in its turn"),
    pytest.param(["add a", "take 0 a", "add a", "wake a 5", "hold a", "done a", "take 5 a"], id="held while worked on"),
    pytest.param(["wake a 5", "hold a", "take 5 a", "done a", "add a", "take 6 a"], id="held once"),
    pytest.param(["wake a 5", "hold a", "forget a", "add a", "take 0 a"], id="held, and gone, and there again"),
    pytest.param(
        [
            "waited 1 0",
            "add a",
            "waited 2 1",
            "add_round b",
            "add a",
            "waited 5 4",
            "take 5 b",
            "waited 6 5",
            "take 6 a",
        ],
        id="who waits longest",
    ),
    pytest.param(["wake a 5", "waited 4 0", "take 7 a", "waited 8 0"], id="who is not due yet does not wait"),
    pytest.param(["add a", "take 0 a", "add a", "waited 3 3", "hold a", "waited 4 0"], id="nor who is held"),
]


@pytest.mark.parametrize("story", STORIES)
def test_who_is_next(story: list[str]) -> None:
    agenda: Agenda[str] = Agenda(3)
    now = 0.0
    for step in story:
        verb, *words = step.split()
        if verb == "take":
            now = float(words[0])
            assert (agenda.take(now) or "-") == words[1], step
        elif verb == "waited":
            now = float(words[0])
            assert agenda.waited(now) == float(words[1]), step
        elif verb in ("add", "add_round", "done"):
            getattr(agenda, verb)(words[0], now)
        elif verb == "wake":
            agenda.wake(words[0], None if words[1] == "never" else float(words[1]))
        else:
            getattr(agenda, verb)(words[0])


def test_back_off_doubles_up_to_a_limit_and_ends_with_success() -> None:
    agenda: Agenda[str] = Agenda(2, first_delay=1, longest_delay=5)
    assert [agenda.failed("a", now=0) for _ in range(4)] == [1, 2, 4, 5]
    assert agenda.failed("b", now=0) == 1
    agenda.succeeded("a")
    assert agenda.failed("a", now=10) == 1
    assert agenda.next_at() == 1  # b
    assert agenda.failed("a", now=10, at_least=30) == 30


def test_a_failing_key_does_not_delay_an_event() -> None:
    agenda: Agenda[str] = Agenda(2)
    agenda.failed("a", now=0)
    agenda.add("a", 0)
    assert agenda.take(0) == "a"


def test_old_times_do_not_pile_up() -> None:
    agenda: Agenda[str] = Agenda(2)
    for at in range(1000, 0, -1):
        agenda.wake("a", at)
        assert agenda.next_at() == at
    agenda.wake("a", 2000)
    assert agenda.next_at() == 2000
    assert len(agenda._heap) == 1
