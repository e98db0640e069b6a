"""Where commands print: colours only on terminals, and no complaint when the reader goes away."""

from __future__ import annotations

from rich.console import Console
from rich.errors import ConsoleError


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
