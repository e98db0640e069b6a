"""What the person at the keyboard sees: each step as it starts and the seconds it took."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hack.cluster.problem import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def say(text: str) -> None:
    """Print one line at once, on stderr: stdout is for answers that a script may read."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Name a step when it starts and say how long it took when it ends."""
    print(f"  {what} ...", end="", file=sys.stderr, flush=True)
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        say(" failed")
        raise
    say(f" {time.monotonic() - begun:.1f} s")


def wait_for(what: str, holds: Callable[[], bool], *, seconds: float, logs: Path) -> None:
    """Look at a condition until it holds.

    Raises:
        SetupError: it does not hold after `seconds`; names the folder of logs.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SetupError(f"{what} is not ready after {seconds:.0f} s: see the logs in {logs}.")
        time.sleep(0.05)
