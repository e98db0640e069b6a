"""Percentages, durations and quotas: as written and as numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pointsman.api.modeldeployment import Action
from pointsman.api.values import basis_points, percent, pods, probability, seconds


@pytest.mark.parametrize(
    ("written", "points"),
    [(0, 0), (5, 500), (100, 10_000), ("0.5", 50), ("33.33", 3333), ("0.01", 1), ("100", 10_000), ("5.0", 500)],
)
def test_a_percentage_in_basis_points(written: int | str, points: int) -> None:
    assert basis_points(written) == points


@pytest.mark.parametrize(
    ("points", "written"), [(0, 0), (500, 5), (10_000, 100), (50, "0.5"), (1, "0.01"), (3333, "33.33"), (1050, "10.5")]
)
def test_basis_points_as_the_api_writes_them(points: int, written: int | str) -> None:
    assert percent(points) == written
    assert basis_points(written) == points


@pytest.mark.parametrize(("written", "number"), [("1", 0.01), ("5", 0.05), ("0.001", 0.00001), (20, 0.2)])
def test_a_percentage_as_a_probability(written: int | str, number: float) -> None:
    assert probability(written) == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("0s", timedelta()),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("1m0.5s", timedelta(seconds=60.5)),
        ("30m1h", timedelta(minutes=90)),  # Go takes any order
        ("30d", timedelta(days=30)),  # Go knows no days; a LongDuration does
    ],
)
def test_a_duration(written: str, length: timedelta) -> None:
    assert seconds(written) == length


@pytest.mark.parametrize(
    ("quota", "replicas", "surge", "unavailable"),
    [
        (2, 4, 2, 2),
        (0, 4, 0, 0),
        (10, 4, 10, 10),
        ("25%", 4, 1, 1),
        ("25%", 5, 2, 1),  # 1.25: up for maxSurge, down for maxUnavailable
        ("25%", 1, 1, 0),
        ("1%", 1000, 10, 10),
        ("100%", 3, 3, 3),
        ("0%", 3, 0, 0),
    ],
)
def test_a_quota_of_pods(quota: int | str, replicas: int, surge: int, unavailable: int) -> None:
    assert pods(quota, replicas, up=True) == surge
    assert pods(quota, replicas, up=False) == unavailable


def test_times_keep_their_microseconds_on_the_wire_and_back() -> None:
    at = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)
    action = Action(name="abort", value="churn-81d0aa37/1", at=at)
    assert action.dump()["at"] == "2026-11-21T08:00:00.123456Z"
    assert Action.model_validate(action.dump()) == action


@pytest.mark.parametrize(
    ("read", "written"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T00:00:00+14:00", "2025-12-31T10:00:00.000000Z"),
    ],
)
def test_a_time_keeps_its_moment_whatever_its_zone(read: str, written: str) -> None:
    assert Action.model_validate({"name": "abort", "value": "x/1", "at": read}).dump()["at"] == written
