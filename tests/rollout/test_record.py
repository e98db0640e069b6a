from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from pointsman.rollout.record import is_due

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE, LOOK, REST = timedelta(minutes=1), timedelta(seconds=10), timedelta(seconds=45)
NAMES = [f"fraud-{number:08x}" for number in range(600)]


def dues(name: str, looks: int) -> list[int]:
    """The looks at which a record is written that was written at NOW, and is written whenever it is due."""
    saved, found = NOW, []
    for look in range(1, looks + 1):
        at = NOW + look * LOOK
        if is_due(saved, at, every=MINUTE, name=name, rest=REST):
            saved = at
            found.append(look)
    return found


@pytest.mark.parametrize("name", NAMES[:8])
def test_a_record_is_due_once_a_minute(name: str) -> None:
    found = dues(name, 60)
    assert 5 <= found[0] <= 11
    assert found == [*range(found[0], 61, 6)]


def test_records_that_were_written_together_are_not_due_together_again() -> None:
    together = Counter(dues(name, 11)[0] for name in NAMES)
    assert max(together.values()) < 130


def test_what_was_written_for_another_reason_is_not_written_again_at_once() -> None:
    name = NAMES[0]
    own = NOW + dues(name, 11)[0] * LOOK
    assert not is_due(own - timedelta(seconds=35), own, every=MINUTE, name=name, rest=REST)
    assert is_due(own - timedelta(seconds=50), own, every=MINUTE, name=name, rest=REST)


def test_without_a_rest_nothing_waits_longer_than_that_time() -> None:
    assert all(is_due(NOW, NOW + MINUTE, every=MINUTE, name=name) for name in NAMES)


@pytest.mark.parametrize("back", [timedelta(minutes=5), timedelta(days=400)])
def test_a_clock_that_was_set_back_holds_no_record_up(back: timedelta) -> None:
    assert is_due(NOW, NOW - back, every=MINUTE, name="fraud")
