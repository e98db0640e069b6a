"""The words that queries are made of: matchers of label values, and marks that tell the parts of one answer apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pointsman.signals.tokens import quoted

PART: Final = "pointsman_part"
"""The label that tells the parts of one answer apart; series of the shape's own metric have none."""
FAILED: Final = "failed"
STARTED: Final = "started"
PRESENT: Final = "present"
SCRAPED: Final = "scraped"
UNLABELLED: Final = "unlabelled"
NOWHERE: Final = "nowhere"


def mark(expression: str, part: str) -> str:
    """The series of an expression, marked as this part of the answer."""
    return f'label_replace({expression},"{PART}","{part}","","")'


def matcher(label: str, pattern: str) -> str:
    """A label's matcher by a pattern."""
    return f"{label}=~{quoted(pattern)}"


def union(values: Iterable[str]) -> str:
    """The pattern that matches each of the values, and nothing else."""
    return "|".join(literal(value) for value in sorted(set(values)))


def literal(value: str) -> str:
    r"""The value as RE2 that matches just it: what Go's regexp.QuoteMeta escapes (`re.escape` also escapes `-`, needlessly)."""
    return "".join(f"\\{character}" if character in r"\.+*?()|[]{}^$" else character for character in value)
