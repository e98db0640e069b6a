"""The `pointsman` command."""

from __future__ import annotations

from pointsman.cli.command import app


def main() -> None:
    """Run the command line."""
    app()


def plugin() -> None:
    """Run it as kubectl does: `kubectl pointsman` finds `kubectl-pointsman`."""
    app(prog_name="kubectl pointsman")
