"""Runs a program to its end and turns a failure into one readable error."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from hack.cluster.problem import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LAST_LINES = 15


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program and return what it printed on stdout.

    Raises:
        SetupError: it is not installed or ended with another code than 0; carries the last lines it printed.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, cwd=cwd, env={**os.environ, **(env or {})}, input=stdin, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as missing:
        raise SetupError(f"The program {words[0]!r} is not on this machine: {missing}.") from missing
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-LAST_LINES:])
        raise SetupError(f"{' '.join(words)[:300]} ended with code {done.returncode}:\n{tail}")
    return done.stdout


def works(*command: str | Path) -> bool:
    """Whether a program ends with code 0."""
    return not subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode
