"""`pointsman inspector`: reads what it is told and starts it."""

from __future__ import annotations

import os
from pathlib import Path

from pointsman.cli.faults import InputError
from pointsman.inspector import assignment, process


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
        if told.reference is not None:
            told = assignment.with_reference(told, Path(told.reference).read_bytes())
    except assignment.AssignmentError as error:
        raise InputError(str(error)) from error
    except FileNotFoundError as error:
        raise InputError(
            f"{assignment.VARIABLE}.reference: there is no file {error.filename}; of a reference in a ConfigMap: it is not"
            " there, or has no key reference.json (`pointsman reference build --configmap NAME` writes it)"
        ) from error
    except OSError as error:
        raise InputError(f"{assignment.VARIABLE}.reference: {error}") from error
    return process.main(told, settings)
