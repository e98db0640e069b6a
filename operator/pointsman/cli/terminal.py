"""Where commands print: colours only on terminals, and no complaint when the reader goes away."""

from __future__ import annotations

from rich.console import Console
from rich.errors import ConsoleError

_UNFOLDED = 10_000
"""Columns where nobody folds lines: a file, or a program that reads them."""


class ReaderGoneError(ConsoleError):
    """Nobody reads what is printed: `pointsman replay ... | head`."""


class Terminal(Console):
    """A console that leaves it to the command what a closed pipe means; rich alone would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Stop printing."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise ReaderGoneError from None


def unfolded() -> Terminal:
    """Standard output: as wide as the terminal, and where it is none, as wide as the lines are."""
    console = Terminal(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Terminal(highlight=False, markup=False, emoji=False, width=_UNFOLDED)
