"""What goes on after a promotion: a small share stays mirrored, so that drift is seen while a version serves."""

from typing import Annotated, Literal

from pydantic import Field

from pointsman.api.cel import matching
from pointsman.api.values import DECIMAL, ApiModel, Duration, LongDuration, Mirrored

Movement = Annotated[
    str,
    matching(
        DECIMAL,
        'write percentage points in quotes above "0" and up to "100", such as "3"',
        max_length=13,
        also="double(self) > 0.0 && double(self) <= 100.0",
    ),
]


class DriftLimit(ApiModel):
    """How far a distribution may move."""

    points: Movement = Field(description="By so many percentage points a tail of it may move.")


class Watch(ApiModel):
    """The share that stays mirrored after a promotion, and what is an alarm."""

    percent: Mirrored | None = Field(None, description="Share of the requests; 2 by default.")
    interval: Duration | None = Field(None, description="Time between two looks; 1m by default.")
    mean_time_between_false_alarms: LongDuration | None = Field(
        None, description="Where nothing drifts, an alarm comes once in so long a time at most; 30d by default."
    )
    tolerance: DriftLimit | None = Field(None, description="What is no drift yet; 3 points by default.")
    on_prediction_drift: Literal["Alert", "Rollback"] | None = Field(
        None,
        description="Rollback goes back to the previous version while `keepPrevious` keeps it; Alert by default.",
    )
