"""Tables that a person hands to the command line: rows of CSV and Parquet, some at a time, with the line each stands in."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from pointsman.cli.faults import InputError
from pointsman.reference.building import Chunk, Wanted

_ROWS = 10_000  # at a time
_LONGEST = 1 << 20  # characters of a line; what is longer is no table, and must not fill the memory
_PARQUET = (".parquet", ".pq")


def columns(path: str) -> list[str]:
    """The names of a table's columns.

    Raises:
        InputError: the file cannot be read, or its header cannot be used.
    """
    if _is_parquet(path):
        return _names(path, list(_parquet(path).schema_arrow.names))
    with closing(_rows(path)) as rows:
        return _header(path, rows)


def reader(path: str, wanted: Wanted) -> Callable[[], Iterator[Chunk]]:
    """What gives the wanted columns of a table, from its first row on whenever it is called."""
    return lambda: _parquet_chunks(path, wanted) if _is_parquet(path) else _csv_chunks(path, wanted)


def _csv_chunks(path: str, wanted: Wanted) -> Iterator[Chunk]:
    with closing(_rows(path)) as rows:
        names = _header(path, rows)
        places = [(name, names.index(name)) for name in wanted.columns]
        time = None if wanted.time is None else names.index(wanted.time)
        while taken := list(islice(rows, _ROWS)):
            for line, row in taken:
                if len(row) != len(names):
                    raise InputError(
                        f"{path}:{line}: there are {len(row)} cells, and the header has {len(names)}: a cell with a comma needs quotes"
                    )
            yield Chunk(
                columns={name: [row[place] for _, row in taken] for name, place in places},
                lines=[line for line, _ in taken],
                times=None if time is None else [row[time] for _, row in taken],
            )


def _rows(path: str) -> Generator[tuple[int, list[str]]]:
    """Rows that are not empty, each with its line; whatever is wrong is said."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(iter(lambda: file.readline(_LONGEST), ""), strict=True)
            try:
                yield from ((rows.line_num, row) for row in rows if row)
            except csv.Error as error:
                raise InputError(f"{path}:{rows.line_num}: this is not CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{_undecodable(path)}: this is not UTF-8 text: write the table as UTF-8 CSV, or as *.parquet"
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _undecodable(path: str) -> int:
    """The first line that is not UTF-8."""
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _header(path: str, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    _, names = next(rows, (1, []))
    return _names(path, [name.strip() for name in names])


def _names(path: str, names: list[str]) -> list[str]:
    if not any(names):
        raise InputError(f"{path}:1: the first line must name the columns, and it is empty")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise InputError(f"{path}:1: there is more than one column named {doubles[0]!r}: name each column otherwise")
    return names


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(_PARQUET)


def _parquet(path: str) -> Any:
    """The open file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        parquet = import_module("pyarrow.parquet")  # an extra, which CSV does not need
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet needs pyarrow: pip install 'pointsman[parquet]', or write the table as CSV"
        ) from error
    try:
        return parquet.ParquetFile(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:  # pyarrow's own errors are ValueErrors
        raise InputError(f"{path}: this is not Parquet: {error}") from error


def _parquet_chunks(path: str, wanted: Wanted) -> Iterator[Chunk]:
    names = [*wanted.columns, *([] if wanted.time is None or wanted.time in wanted.columns else [wanted.time])]
    line = 1
    for batch in _parquet(path).iter_batches(batch_size=_ROWS, columns=names):
        cells: dict[str, Sequence[Any]] = {name: _scalars(path, name, batch.column(name).to_pylist()) for name in names}
        yield Chunk(
            columns={name: cells[name] for name in wanted.columns},
            lines=range(line, line + batch.num_rows),
            times=None if wanted.time is None else cells[wanted.time],
        )
        line += batch.num_rows


def _scalars(path: str, name: str, values: list[Any]) -> list[Any]:
    nested = next((value for value in values if isinstance(value, list | dict)), None)
    if nested is not None:
        raise InputError(f"{path}: column {name}: it holds lists or records: write each part as a column of its own")
    return values


def _unreadable(path: str, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"{path}: cannot be read: {reason}")
