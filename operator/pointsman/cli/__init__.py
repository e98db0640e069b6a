"""The `pointsman` command."""

from __future__ import annotations

from pointsman.cli.command import app


def main() -> None:
    """Run the command line."""
    app()
