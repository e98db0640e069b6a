"""`pointsman inspector`: reads what it is told and starts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.cli.faults import InputError
from pointsman.inspector import assignment, process

if TYPE_CHECKING:
    from pointsman.inspector.norms import Norms


def run(settings: process.Settings) -> int:
    """Run until told to stop; the exit status.

    Raises:
        InputError: the assignment is missing or cannot be used.
    """
    text = os.environ.get(assignment.VARIABLE)
    if not text:
        raise InputError(f"{assignment.VARIABLE}: set it to what docs/inspector.md describes")
    try:
        told = assignment.read(text)
        norms = None
        if told.reference is not None:
            file = Path(told.reference).read_bytes()
            told = assignment.with_reference(told, file)
            norms = _norms(told, file)
    except assignment.AssignmentError as error:
        raise InputError(str(error)) from error
    except FileNotFoundError as error:
        raise InputError(
            f"{assignment.VARIABLE}.reference: there is no file {error.filename}; of a reference in a ConfigMap: it is not"
            " there, or has no key reference.json (`pointsman reference build --configmap NAME` writes it)"
        ) from error
    except OSError as error:
        raise InputError(f"{assignment.VARIABLE}.reference: {error}") from error
    return process.main(told, settings, norms)


def _norms(told: assignment.Assignment, file: bytes) -> Norms | None:
    """What the reference expects, where a version is watched."""
    if told.tolerance is None:
        return None
    from pointsman.inspector.norms import Norms  # noqa: PLC0415  numpy: a quarter of the memory of who does not watch

    return Norms(file, tolerance=told.tolerance, where=str(told.reference))
