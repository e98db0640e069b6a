"""What a command cannot do: one sentence, one exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

import typer

from pointsman.cli.terminal import ReaderGoneError

BAD_INPUT: Final = 2
"""The exit code for everything that has to be written otherwise."""


class CommandError(Exception):
    """What a command cannot do; the message is a sentence for whoever called it, `code` what the process ends with.

    CommandError
    ├── InputError     2: a file or an option cannot be used
    ├── NotNowError    1: what is asked for is not possible now, or did not happen in time
    ├── ClusterError   3: the cluster cannot be reached, does not let us, or has no Pointsman
    └── AbsentError    4: there is no object of that name
    """

    code: ClassVar[int] = 1


class InputError(CommandError):
    """A file or an option that cannot be used; the message says where, what, and what to write instead."""

    code = BAD_INPUT


class NotNowError(CommandError):
    """What is asked for is not possible now, or did not happen in time; the message says why and what is there instead."""

    code = 1


class ClusterError(CommandError):
    """The cluster cannot be reached, does not let us, or has no Pointsman; the message says what to do."""

    code = 3


class AbsentError(CommandError):
    """There is no object of that name; the message says where it was looked for."""

    code = 4


@contextmanager
def told() -> Iterator[None]:
    """Print a CommandError to stderr as it is and leave with its code; a reader that went away ends the command in silence."""
    try:
        yield
    except CommandError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.code) from None
    except ReaderGoneError:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter flushes it once more on its way out
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
