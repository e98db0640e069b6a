"""What a person handed to the command line and cannot be used: one sentence, one exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from pointsman.cli.terminal import ReaderGoneError

BAD_INPUT: Final = 2
"""The exit code for everything that has to be written otherwise."""


class InputError(Exception):
    """A file or an option that cannot be used; the message says where, what, and what to write instead."""


@contextmanager
def told() -> Iterator[None]:
    """Print an InputError to stderr as it is and leave with 2; a reader that went away ends the command in silence."""
    try:
        yield
    except InputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_INPUT) from None
    except ReaderGoneError:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter flushes it once more on its way out
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
