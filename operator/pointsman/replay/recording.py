"""Recorded counters: a CSV of one cumulative counter a row, read and checked, as the counters of every pod at every time."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NoReturn, TypeAlias

from pointsman.signals.histogram import Fixed, common_edges, project
from pointsman.signals.reading import Cells, PodCount

HEADER: Final = ("time", "arm", "pod", "gate", "le", "value")
Arm: TypeAlias = Literal["stable", "candidate"]
Kind: TypeAlias = Literal["Rate", "Histogram"]

_ARMS: Final[Mapping[str, Arm]] = {"stable": "stable", "candidate": "candidate"}
_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0  # the years 1 to 9999
_MOST: Final = 2**53
_LONGEST: Final = 253  # a pod's name
_TIME, _ARM, _POD, _GATE, _LE, _VALUE = range(6)


class RecordingError(ValueError):
    """A row that cannot be read: `line` and `column` count from 1, `column` is 0 where the row as a whole is meant."""

    def __init__(self, line: int, column: int, reason: str) -> None:
        self.line, self.column, self.reason = line, column, reason
        where = f"{line}: column {column} ({HEADER[column - 1]}): " if column else f"{line}: "
        super().__init__(where + reason)


Pods: TypeAlias = Mapping[str, PodCount]
"""Pods by name; `started` is what a row `started` says, else None."""


@dataclass(frozen=True, slots=True)
class Track:
    """What was recorded for one gate.

    edges  of a histogram's cells, seconds, +Inf last; () of a rate, whose cells are (bad, total)
    rows   by time (seconds), then arm, then pod
    """

    edges: tuple[float, ...]
    rows: Mapping[float, Mapping[Arm, Pods]]


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording.

    times   at which anything was recorded, rising
    begins  the first time at which the candidate has a row: the rollout's first look
    tracks  by gate
    """

    times: tuple[float, ...]
    begins: float
    tracks: Mapping[str, Track]


_Cell: TypeAlias = dict[str, tuple[int, int]]
"""`le` as written -> (value, line)."""

_Place: TypeAlias = tuple[str, Arm, float, str]
"""Gate, arm, time, pod."""

_NONE_YET: Final = (0, 0)
"""A counter of failures that is not there: exporters have none before the first failure."""


def read(text: str, gates: Mapping[str, Kind]) -> Recording:
    """The recording in a CSV.

    Args:
        text: the file; rows in any order, the same row twice is one.
        gates: the policy's gates, and what each of them counts.

    Raises:
        RecordingError: a row cannot be read, contradicts another one, or no row of the candidate is there.
    """
    cells, places = _cells(text, gates)
    merged = _merged(cells, places)
    tracks = {name: _track(name, kind, merged.pop(name, {})) for name, kind in gates.items()}
    times = sorted({time for track in tracks.values() for time in track.rows})
    begins = min(
        (time for track in tracks.values() for time, arms in track.rows.items() if "candidate" in arms), default=None
    )
    if begins is None:
        raise RecordingError(1, 0, "no row is of the arm `candidate`: there is no rollout to replay")
    return Recording(times=tuple(times), begins=begins, tracks={name: one for name, one in tracks.items() if one.rows})


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise RecordingError(reader.line_num, 0, f"this is no CSV: {error}") from error


def _cells(text: str, gates: Mapping[str, Kind]) -> tuple[dict[tuple[str, ...], _Cell], dict[tuple[str, ...], _Place]]:
    """All rows by (time, arm, pod, gate) as written, and what these mean."""
    rows = _rows(text)
    line, header = next(rows, (1, []))
    if tuple(name.strip() for name in header) != HEADER:
        raise RecordingError(line, 0, f"the header has to be {','.join(HEADER)}, not {','.join(header)[:80]!r}")
    cells: dict[tuple[str, ...], _Cell] = {}
    places: dict[tuple[str, ...], _Place] = {}
    key: tuple[str, ...]
    for line, row in rows:
        try:
            *key_parts, le, value = row
            key = tuple(key_parts)
            cell = cells.get(key)
            if cell is None:
                if len(row) != len(HEADER):
                    _wrong_length(line, row)
                places[key] = _place(line, row, gates)
                cell = cells[key] = {}
            number = int(value) if value.isdecimal() and len(value) < 16 else _value(line, row)  # noqa: PLR2004  below _MOST
        except ValueError as error:
            if isinstance(error, RecordingError):
                raise
            _wrong_length(line, row)
        known = cell.get(le)
        if known is not None and known[0] != number:
            raise RecordingError(
                line, _VALUE + 1, f"{number} contradicts line {known[1]}, which says {known[0]} of the same counter"
            )
        cell[le] = (number, line)
    return cells, places


def _wrong_length(line: int, row: list[str]) -> NoReturn:
    raise RecordingError(line, 0, f"the row has {len(row)} columns, it needs {len(HEADER)}: {','.join(HEADER)}")


def _place(line: int, row: list[str], gates: Mapping[str, Kind]) -> _Place:
    arm, pod, gate = row[_ARM].strip(), row[_POD].strip(), row[_GATE].strip()
    if arm not in _ARMS:
        raise RecordingError(line, _ARM + 1, f"write stable or candidate, not {arm[:40]!r}")
    if not pod or len(pod) > _LONGEST:
        raise RecordingError(line, _POD + 1, f"write the pod's name, 1 to {_LONGEST} characters, not {pod[:40]!r}")
    if gate not in gates:
        known = ", ".join(f"`{name}`" for name in gates)
        raise RecordingError(line, _GATE + 1, f"the policy has no gate {gate[:63]!r}: write one of {known}")
    return gate, _ARMS[arm], _seconds(line, row[_TIME]), pod


def _seconds(line: int, written: str) -> float:
    try:
        time = round(float(written), 6)  # a datetime has microseconds
    except ValueError:
        time = math.nan
    if not _EARLIEST <= time <= _LATEST:
        raise RecordingError(line, _TIME + 1, f"write seconds, such as 1700000000 or 12.5, not {written[:40]!r}")
    return time + 0.0  # -0.0 is 0.0


def _value(line: int, row: list[str]) -> int:
    """A number that is not plain digits: 12.0 and 1e3 are whole too."""
    written = row[_VALUE].strip()
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if row[_LE].strip() == "started" and _EARLIEST <= number <= _LATEST:
        return round(number)
    if not (0 <= number <= _MOST and number.is_integer()):
        raise RecordingError(
            line, _VALUE + 1, f"write how many requests were counted so far, a whole number, not {written[:40]!r}"
        )
    return int(number)


_Merged: TypeAlias = dict[str, dict[float, dict[Arm, dict[str, _Cell]]]]


def _merged(cells: dict[tuple[str, ...], _Cell], places: dict[tuple[str, ...], _Place]) -> _Merged:
    """By what is meant instead of what is written: 10 and 10.0 are one time."""
    merged: _Merged = {}
    for key, cell in cells.items():
        gate, arm, time, pod = places[key]
        pods = merged.setdefault(gate, {}).setdefault(time, {}).setdefault(arm, {})
        known = pods.setdefault(pod, cell)
        if known is cell:
            continue
        for le, (value, line) in cell.items():
            before = known.setdefault(le, (value, line))
            if before[0] != value:
                low, high = sorted((before[1], line))
                raise RecordingError(
                    high, _VALUE + 1, f"this contradicts line {low}, which counts the same differently"
                )
    return merged


def _track(gate: str, kind: Kind, rows: dict[float, dict[Arm, dict[str, _Cell]]]) -> Track:
    plans: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[float, ...]]] = {}
    read: dict[float, dict[Arm, dict[str, tuple[Fixed, float | None]]]] = {}
    shapes: set[tuple[float, ...]] = set()
    for time, arms in rows.items():
        read[time] = {}
        for arm, pods in arms.items():
            seen = read[time][arm] = {}
            for pod, cell in pods.items():
                written = tuple(cell)
                plan = plans.get(written)
                if plan is None:
                    plan = plans[written] = _plan(gate, kind, cell)
                one = Fixed(edges=plan[1], cells=_in_order(cell, plan[0]))
                seen[pod] = (one, _started(cell))
                if any(one.cells):  # who has counted nothing may not have a histogram yet
                    shapes.add(plan[1])
    edges = _edges(kind, shapes)
    return Track(
        edges=edges,
        rows={time: {arm: _projected(pods, edges) for arm, pods in arms.items()} for time, arms in read.items()},
    )


def _projected(pods: Mapping[str, tuple[Fixed, float | None]], edges: tuple[float, ...]) -> Pods:
    return {pod: PodCount(cells=_on(one, edges), started=started) for pod, (one, started) in pods.items()}


def _on(one: Fixed, edges: tuple[float, ...]) -> Cells:
    if not edges or one.edges == edges:
        return one.cells
    return project(one, edges) if any(one.cells) else (0,) * len(edges)


def _edges(kind: Kind, shapes: set[tuple[float, ...]]) -> tuple[float, ...]:
    """The edges that all pods share at all times: cumulative counts are exact on any subset."""
    if kind == "Rate":
        return ()
    if not shapes:
        return (math.inf,)
    return common_edges(Fixed(edges=shape, cells=(0,) * len(shape)) for shape in shapes)


def _plan(gate: str, kind: Kind, cell: _Cell) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """In which order the counters of a pod are read, and at which edges a histogram's stand."""
    names = {le: le.strip() for le in cell if le.strip() != "started"}
    first = min(line for _, line in cell.values())
    if kind == "Rate":
        for le, name in names.items():
            if name not in ("bad", "total"):
                raise RecordingError(
                    cell[le][1], _LE + 1, f"gate {gate} counts requests: write total or bad, not {name[:40]!r}"
                )
        by_name = {name: le for le, name in names.items()}
        if "total" not in by_name:
            raise RecordingError(first, _LE + 1, f"the row `total` of this pod at this time is missing for gate {gate}")
        return (by_name.get("bad", "bad"), by_name["total"]), ()
    at: dict[float, str] = {}
    for le, name in names.items():
        edge = _edge(gate, cell[le][1], name)
        known = at.setdefault(edge, le)
        if cell[known][0] != cell[le][0]:
            raise RecordingError(
                cell[le][1], _VALUE + 1, f"this contradicts line {cell[known][1]}: both count requests up to {edge:g} s"
            )
    if math.inf not in at:
        raise RecordingError(
            first, _LE + 1, f"the row `+Inf` (or `total`) of this pod at this time is missing for gate {gate}"
        )
    edges = tuple(sorted(edge for edge in at if edge > 0))
    return tuple(at[edge] for edge in edges), edges


def _edge(gate: str, line: int, name: str) -> float:
    if name == "total":
        return math.inf
    try:
        edge = float(name)
    except ValueError:
        edge = math.nan
    if not edge >= 0:
        raise RecordingError(
            line,
            _LE + 1,
            f"gate {gate} reads a histogram: write a bucket's edge in seconds, +Inf or total, not {name[:40]!r}",
        )
    return edge


def _in_order(cell: _Cell, order: tuple[str, ...]) -> Cells:
    """Counters from left to right, which may not fall: a part is never more than the whole."""
    counted = tuple([cell.get(le, _NONE_YET)[0] for le in order])
    if any(fewer > more for fewer, more in pairwise(counted)):
        low, high = next((low, high) for low, high in pairwise(order) if cell[low][0] > cell[high][0])
        raise RecordingError(
            cell[high][1],
            _VALUE + 1,
            f"{cell[high][0]} at le {high.strip()} is less than {cell[low][0]} at le {low.strip()} (line {cell[low][1]}): counters are cumulative",
        )
    return counted


def _started(cell: _Cell) -> float | None:
    return next((float(value) for le, (value, _) in cell.items() if le.strip() == "started"), None)
