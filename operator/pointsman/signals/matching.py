"""The words that queries are made of: matchers of label values, and marks that tell the parts of one answer apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pointsman.signals.samples import Sample
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


def values_of(label: str, samples: Iterable[Sample]) -> tuple[str, ...]:
    """What a label says, in the order of its values; series without it are of none."""
    return tuple(sorted({value for sample in samples if (value := sample.labels.get(label, ""))}))


def counters_of(value: str, label: str, samples: Iterable[Sample]) -> list[Sample]:
    """All counters, and the failed ones among them, of the series whose label says this; "": those without it."""
    return [one for one in samples if one.labels.get(PART) in (None, FAILED) and one.labels.get(label, "") == value]
