"""How long the long tests run: `make test` takes a quick size, `make test-full` twenty times that."""

from __future__ import annotations

import os

FULL = bool(os.environ.get("POINTSMAN_FULL"))


def examples(quick: int) -> int:
    """How many examples Hypothesis tries."""
    return quick * 20 if FULL else quick
