"""How a condition replaces the one before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pointsman.api.conditions import MESSAGE_LIMIT, condition, find, merge

EARLIER = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("holds", "status"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_what_holds_is_a_word(holds: bool | None, status: str) -> None:  # noqa: FBT001  the case of the table
    assert condition("Ready", holds=holds, reason="Serves", now=NOW).status == status


@pytest.mark.parametrize(
    ("before", "after", "since"),
    [
        (True, True, EARLIER),  # the same, with another reason: the transition stays where it was
        (False, True, NOW),
        (None, False, NOW),
    ],
)
def test_the_transition_time_moves_with_the_status_only(before: bool | None, after: bool, since: datetime) -> None:  # noqa: FBT001  the cases of the table
    old = condition("Ready", holds=before, reason="Old", now=EARLIER)
    new = condition("Ready", holds=after, reason="New", message="said now", now=NOW, generation=3)
    (merged,) = merge([old], [new])
    assert merged.last_transition_time == since
    assert (merged.reason, merged.message, merged.observed_generation) == ("New", "said now", 3)


def test_a_new_type_starts_now_and_one_not_said_again_is_gone() -> None:
    old = [condition("Paused", holds=True, reason="Annotation", now=EARLIER)]
    new = [condition("Ready", holds=True, reason="Serves", now=NOW)]
    assert merge(old, new) == new
    assert find(merge(old, new), "Paused") is None


def test_a_message_is_cut_where_the_schema_would_refuse_it() -> None:
    said = condition("Ready", holds=False, reason="Crashes", message="x" * 100_000, now=NOW)
    assert len(said.message) == MESSAGE_LIMIT
