"""What goes into and what comes out of the evidence: gates, looks, counts and verdicts, as frozen values.

All rates and shares are fractions (0.1 percentage points are ``0.001``), all times seconds, all evidence natural logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

type Numbers = NDArray[np.float64]
type Count = int | NDArray[np.int64]
