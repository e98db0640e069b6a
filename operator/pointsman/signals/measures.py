"""What the query of a Threshold gate answered."""

from __future__ import annotations

import math

from pointsman.signals.reading import Measured, NoData
from pointsman.signals.samples import Answer, Failed


def measured(answer: Answer) -> Measured | NoData:
    """What the answer to a user's query says."""
    if isinstance(answer, Failed):
        return NoData(answer.reason)
    values = tuple(sample.value for sample in answer)
    if not values:
        return NoData("the query's answer is empty")
    return NoData("the query's answer is not a number (NaN)") if any(map(math.isnan, values)) else Measured(values)
