"""The `pointsman` command."""

from __future__ import annotations

import os
import shlex
import sys

from pointsman.cli.command import app

_NO_FILES = ":4"
"""To kubectl: offer no names of files."""


def main() -> None:
    """Run the command line."""
    app()


def plugin() -> None:
    """Run it as kubectl does: `kubectl pointsman` finds `kubectl-pointsman`."""
    app(prog_name="kubectl pointsman")


def plugin_completion() -> None:
    """Complete as kubectl asks for it: `kubectl_complete-pointsman` with the words so far, the last one unfinished."""
    words = ["pointsman", *(sys.argv[1:] or [""])]
    os.environ["_POINTSMAN_COMPLETE"] = "complete_bash"
    os.environ["COMP_WORDS"] = shlex.join(words)
    os.environ["COMP_CWORD"] = str(len(words) - 1)
    try:
        app(prog_name="pointsman")
    finally:
        sys.stdout.write(f"{_NO_FILES}\n")
