"""A reference from the rows of a table, read twice: once to choose the bins, once to count; memory does not grow with the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np

from pointsman.evidence.profile import hour_of_week
from pointsman.reference.columns import Cell, ColumnError, Survey, Tally
from pointsman.reference.file import Reference

Time: TypeAlias = Cell | datetime
_FAR = 1e11  # seconds: the year 5138; milliseconds reach it in 1973
_SEED = 20_261_121  # the same table gives the same reference


@dataclass(frozen=True)
class Chunk:
    """Some rows of a table, column by column.

    Attributes:
        columns: cells by the column's name.
        times: the rows' times, where they are asked for.
        lines: the line of each row in its file.
    """

    columns: Mapping[str, Sequence[Cell]]
    lines: Sequence[int]
    times: Sequence[Time] | None = None


@dataclass(frozen=True)
class Wanted:
    """Which columns make the reference, and what the inspector calls them.

    Attributes:
        features: names by column.
        predictions: names by column.
        time: the column of the rows' times, None for no hours.
        bins: how many of a number.
    """

    features: Mapping[str, str] = field(default_factory=dict)
    predictions: Mapping[str, str] = field(default_factory=dict)
    time: str | None = None
    bins: int = 10

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read, that of the time not included."""
        return tuple(dict.fromkeys([*self.features, *self.predictions]))


class TableError(ValueError):
    """A table cannot be counted: what is wrong, and in which line where there is one."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


def build(chunks: Callable[[], Iterable[Chunk]], wanted: Wanted) -> Reference:
    """Return the reference of a table.

    Args:
        chunks: gives the table's rows anew whenever it is called.
        wanted: what to count.

    Raises:
        TableError: there are no rows, or a column cannot be counted.
    """
    surveys = {name: Survey() for name in wanted.columns}
    random, rows = np.random.default_rng(_SEED), 0
    for chunk in chunks():
        keys = random.random(len(chunk.lines))
        for name, survey in surveys.items():
            survey.see(chunk.columns[name], keys, lines=chunk.lines)
        rows += len(chunk.lines)
    if not rows:
        raise TableError("there are no rows below the header")
    names = {**wanted.features, **wanted.predictions}
    tallies = {}
    for column, survey in surveys.items():
        try:
            tallies[column] = Tally(survey.bins(names[column], wanted.bins))
        except ColumnError as error:
            raise TableError(f"column {column}: {error}", error.line) from error
    for chunk in chunks():
        hours = (
            None if chunk.times is None else [_hour(wanted, *one) for one in zip(chunk.times, chunk.lines, strict=True)]
        )
        for name, tally in tallies.items():
            tally.see(chunk.columns[name], hours)
    return Reference(
        features={name: tallies[column].distribution() for column, name in wanted.features.items()},
        predictions={name: tallies[column].distribution() for column, name in wanted.predictions.items()},
    )


def _hour(wanted: Wanted, time: Time, line: int) -> int:
    """Return the hour of the week of a row.

    Raises:
        TableError: its time is none.
    """
    try:
        seconds = _seconds(time)
        if abs(seconds) >= _FAR:
            raise ValueError("these are milliseconds, or no time at all")  # noqa: TRY301  said below, as what does not parse
        return int(hour_of_week(seconds))
    except (ValueError, TypeError, OverflowError) as error:
        raise TableError(
            f"column {wanted.time}: {time!r} is not a time: write 2026-11-21T17:30:00Z, or seconds since 1970", line
        ) from error


def _seconds(time: Time) -> float:
    if isinstance(time, str):
        try:
            return float(time)
        except ValueError:
            time = datetime.fromisoformat(time.strip())
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time)  # type: ignore[arg-type]  # None raises, as it should
