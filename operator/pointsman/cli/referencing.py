"""`pointsman reference`: a reference from a table, and a reference in words."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from pointsman.cli import tables
from pointsman.cli.faults import InputError
from pointsman.cli.terminal import Terminal
from pointsman.reference import file
from pointsman.reference.building import TableError, Wanted
from pointsman.reference.building import build as built
from pointsman.reference.file import Distribution, Reference, ReferenceFileError

_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of `reference build`, as it was written."""

    data: str
    features: str
    predictions: str
    time: str | None
    bins: int
    output: str | None
    configmap: str | None


def build(request: Request) -> None:
    """Write the reference of a table.

    Raises:
        InputError: the table or an option cannot be used.
    """
    if request.configmap is not None and not _OBJECT.fullmatch(request.configmap):
        raise InputError(
            f"--configmap: {request.configmap!r} is no name of an object: lower case letters, digits, '-' and '.'"
        )
    wanted = _wanted(request, tables.columns(request.data))
    try:
        reference = built(tables.reader(request.data, wanted), wanted)
        text = reference.dump() if request.configmap is None else file.configmap(reference, request.configmap)
    except TableError as error:
        place = request.data if error.line is None else f"{request.data}:{error.line}"
        raise InputError(f"{place}: {error}") from error
    except ReferenceFileError as error:
        raise InputError(f"{request.data}: {error}") from error
    _write(text, request.output)


def show(path: str) -> None:
    """Print a reference.

    Raises:
        InputError: the file is no reference.
    """
    source = "standard input" if path == "-" else path
    try:
        found = file.load(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())
    except (OSError, ReferenceFileError) as error:
        reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise InputError(f"{source}: {reason}") from error
    Terminal(highlight=False).print(_table(found))


def _wanted(request: Request, columns: Sequence[str]) -> Wanted:
    if request.time is not None and request.time not in columns:
        raise _unknown(request, "--time", request.time, columns)
    predictions = _named(request, "--predictions", request.predictions, columns)
    features = _named(request, "--features", request.features, columns)
    if not request.features:
        features = {name: name for name in columns if name not in predictions and name != request.time}
    return Wanted(features=features, predictions=predictions, time=request.time, bins=request.bins)


def _named(request: Request, option: str, written: str, columns: Sequence[str]) -> dict[str, str]:
    """The names by column that an option asks for."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in written.split(","))):
        column, _, name = part.partition("=")
        if column not in columns:
            raise _unknown(request, option, column, columns)
        if column in found or (name or column) in found.values():
            raise InputError(f"{option}: {part!r} is there twice: write each column and each name once")
        found[column] = name or column
    return found


def _unknown(request: Request, option: str, column: str, columns: Sequence[str]) -> InputError:
    listed = ", ".join(columns[:20]) + (" ..." if len(columns) > 20 else "")  # noqa: PLR2004  as many as a person reads
    return InputError(f"{option}: {request.data} has no column {column!r}; it has {listed}")


def _write(text: str, path: str | None) -> None:
    if path is None or path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _table(found: Reference) -> Table:
    table = Table("", "name", "values", "missing", "bins", box=None, pad_edge=False)
    for what, all_ in (("feature", found.features), ("prediction", found.predictions)):
        for name, one in all_.items():
            table.add_row(what, name, f"{sum(one.total):,}", f"{one.missing:,}", _bins(one))
    return table


def _bins(one: Distribution) -> str:
    """Shares by category, or up to which edge; by the hour of the week where it is known so."""
    total = max(sum(one.total), 1)
    names = (
        [*(f"≤ {edge:g}" for edge in one.edges), f"> {one.edges[-1]:g}"] if one.edges else [*one.categories, "other"]
    )
    shares = ", ".join(f"{name} {100 * count / total:.3g} %" for name, count in zip(names, one.total, strict=True))
    return f"{shares} (by the hour of the week)" if one.hours else shares
