"""What a reference expects of inputs and answers at a time, and how far they may be from it; only who watches loads what that takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pointsman.evidence.bins import OTHER
from pointsman.evidence.profile import Norm, norms
from pointsman.inspector.assignment import AssignmentError
from pointsman.reference.file import ReferenceFileError, load

Label = Literal["feature", "output"]


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one edge (the share over it) or one category: its share and how far it may be from it, fractions."""

    label: Label
    name: str
    above: str
    value: str
    share: float
    allowed: float


class Norms:
    """The norms of a reference."""

    def __init__(self, text: bytes, *, tolerance: float, where: str) -> None:
        """Read a reference file.

        Args:
            text: the file.
            tolerance: how far a tail may move, a fraction.
            where: the file's name.

        Raises:
            AssignmentError: it is no reference.
        """
        try:
            features, predictions = load(text).profiles()
        except ReferenceFileError as error:
            raise AssignmentError(f"{where}: {error}") from error
        found = norms([*features, *predictions], tolerance=tolerance)
        self._norms: tuple[tuple[Label, Norm], ...] = (
            *(("feature", one) for one in found[: len(features)]),
            *(("output", one) for one in found[len(features) :]),
        )

    def at(self, seconds: float) -> Iterator[Expected]:
        """What is expected at a time in Unix seconds; of bins that say the same one is left."""
        for label, norm in self._norms:
            shares, allowed = norm.at(seconds)
            bins = norm.bins
            keys = [(repr(edge), "") for edge in bins.edges] or [("", one) for one in (*bins.categories, OTHER)]
            for (above, value), share, far in zip(keys, shares.tolist(), allowed.tolist(), strict=False):
                yield Expected(label, bins.name, above, value, share, far)
